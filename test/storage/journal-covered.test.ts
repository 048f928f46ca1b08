/**
 * Goal: damage to what a checkpoint has costs a node alone nothing, and damage behind it is never
 * taken for that. Method: one flipped bit anywhere, and several at once, against checkpoints at
 * several entries of a log in which entries were replaced.
 */
import { expect, test } from "bun:test";
import { JournalDamaged } from "../../src/storage/journal/damage.ts";
import { openSegments } from "../../src/storage/journal/files.ts";
import { KIND_ENTRY } from "../../src/storage/journal/frame.ts";
import type { CoveredEnd } from "../../src/storage/journal/remainder.ts";
import { walkFrames } from "../../src/storage/journal/walk.ts";
import { forEachSeed, Random } from "../tools/random.ts";
import type { SimDisk } from "../tools/sim/sim-disk.ts";
import {
  at,
  DIRECTORY,
  entryOf,
  IDENTITY,
  logOf,
  openJournal,
  REPLACED_LAST,
  usedSegments,
  writtenWithReplaced,
} from "../tools/storage/journal-fixture.ts";

const LAST = REPLACED_LAST;
const ENDS: readonly CoveredEnd[] = [
  { index: 8, term: 2 },
  { index: 12, term: 2 },
  { index: 18, term: 3 },
  { index: LAST, term: 3 },
];

const origin = await writtenWithReplaced();
const all = (await logOf((await openJournal(origin.snapshot())).journal)).lines;
const segments = usedSegments(origin);

/** Where the last frame of each entry begins. */
const places = await placesOf(origin.snapshot());

async function placesOf(disk: SimDisk): Promise<Map<number, { path: string; position: number }>> {
  const found = new Map<number, { path: string; position: number }>();
  for (const { segment } of await openSegments({
    disk,
    directory: DIRECTORY,
    identity: IDENTITY,
  })) {
    for await (const { kind, index, position } of walkFrames(segment)) {
      if (kind === KIND_ENTRY) found.set(index, { path: segment.path, position });
    }
  }
  return found;
}

/** Whether it lies before the first entry that the checkpoint does not have. */
function isBefore({ index }: CoveredEnd, path: string, byte: number): boolean {
  const next = places.get(index + 1) ?? { path: "~", position: 0 };
  return path < next.path || (path === next.path && byte < next.position);
}

const open = (disk: SimDisk, end: CoveredEnd) =>
  openJournal(disk, { covered: () => Promise.resolve(end) });
const failureOf = (opening: Promise<unknown>) =>
  opening.then(
    () => null,
    (error: unknown) => error,
  );

/** The log with one bit flipped, in each of many places where that is damage. */
async function* damagedOnce(random: Random) {
  for (const path of segments) {
    const size = origin.peek(path)?.length ?? 0;
    for (let byte = random.below(5); byte < size; byte += 5) {
      const disk = origin.snapshot();
      disk.flipBit(path, byte * 8 + random.below(8));
      const failure = await failureOf(openJournal(disk.snapshot()));
      if (failure instanceof JournalDamaged) yield { disk, path, byte };
    }
  }
}

test("a flipped bit before the end of the checkpoint is done without", async () => {
  let count = 0;
  for (const end of ENDS) {
    for await (const { disk, path, byte } of damagedOnce(new Random(3))) {
      if (!isBefore(end, path, byte)) continue;
      const { journal, covered, torn } = await open(disk, end);
      const what = `${path} at ${byte}, checkpoint at ${end.index}`;
      expect({ torn, file: covered?.file }, what).toEqual({ torn: null, file: path });
      expect((await logOf(journal)).lines, what).toEqual(all.slice(end.index));
      expect(Number(journal.termAt(at(end.index)))).toBe(end.term);
      count++;
    }
  }
  expect(count).toBeGreaterThan(500);
});

test("a flipped bit behind it is refused, and nothing is changed", async () => {
  let count = 0;
  for (const end of ENDS) {
    for await (const { disk, path, byte } of damagedOnce(new Random(4))) {
      if (isBefore(end, path, byte)) continue;
      const before = disk.digest();
      const what = `${path} at ${byte}, checkpoint at ${end.index}`;
      expect(await failureOf(open(disk, end)), what).toBeInstanceOf(JournalDamaged);
      expect(disk.digest()).toBe(before);
      count++;
    }
  }
  expect(count).toBeGreaterThan(300);
});

test("what was damaged is released, and until then each start does without it", async () => {
  for (const end of ENDS) {
    const disk = origin.snapshot();
    disk.flipBit(segments[0] ?? "", 300 * 8);
    const { journal } = await open(disk, end);
    expect(journal.damagedUpTo).toBeNull();
    await journal.retrySpace();
    await journal.append([entryOf(LAST + 1, 3), entryOf(LAST + 2, 4)]);
    const log = [...all.slice(end.index), ...(await logOf(journal)).lines.slice(-2)];
    const again = await open(
      disk.afterCrash(() => "lost", new Random(1)),
      end,
    );
    expect(again.covered).not.toBeNull();
    expect((await logOf(again.journal)).lines).toEqual(log);
    expect(Number(journal.damagedUpTo)).toBe(LAST);
    await journal.release(at(LAST));
    expect(journal.damagedUpTo).toBeNull();
    const { journal: whole } = await openJournal(disk.afterCrash(() => "lost", new Random(1)));
    expect((await logOf(whole)).lines).toEqual(log.slice(-2));
  }
});

/**
 * The entries that a start would read if all up to the checkpoint were intact. A torn end is not
 * damage.
 */
async function linesBehind(end: CoveredEnd, disk: SimDisk): Promise<string[]> {
  const next = places.get(end.index + 1) ?? { path: "~", position: 0 };
  for (const path of segments) {
    const to = path < next.path ? undefined : path === next.path ? next.position : 0;
    disk.peek(path)?.set(origin.peek(path)?.slice(0, to) ?? []);
  }
  return (await logOf((await openJournal(disk)).journal)).lines.slice(end.index);
}

test("damage in many places at once never costs an entry behind the checkpoint", async () => {
  const outcomes: Promise<void>[] = [];
  let without = 0;
  forEachSeed(400, (random, seed) => {
    const end = random.pick(ENDS);
    const disk = origin.snapshot();
    for (let i = 2 + random.below(3); i > 0; i--) {
      const bytes = disk.peek(random.pick(segments)) ?? new Uint8Array(0);
      const start = random.below(bytes.length);
      if (random.below(2) === 0) bytes[start] = (bytes[start] ?? 0) ^ 4;
      else bytes.fill(0, start, start + 1 + random.below(300));
    }
    const damaged = disk.snapshot();
    const check = async () => {
      const opened = await open(disk, end).catch((error: unknown) => error);
      if (opened instanceof Error) return;
      const { journal, covered } = opened as Awaited<ReturnType<typeof open>>;
      if (covered === null) return;
      without++;
      const { lines } = await logOf(journal);
      expect(lines.join(), `seed ${seed}`).toBe((await linesBehind(end, damaged)).join());
    };
    outcomes.push(check());
  });
  await Promise.all(outcomes);
  expect(without).toBeGreaterThan(20);
});

test("a checkpoint of another term, or one that the journal does not know, proves nothing", async () => {
  for (const end of [
    { index: LAST, term: 9 },
    { index: LAST + 2, term: 3 },
  ]) {
    const disk = origin.snapshot();
    disk.flipBit(segments[0] ?? "", 300 * 8);
    expect(await failureOf(open(disk, end))).toBeInstanceOf(JournalDamaged);
  }
});

test("a file that is missing before the end of the checkpoint is done without too", async () => {
  const disk = origin.snapshot();
  await disk.remove(segments[1] ?? "");
  expect(await failureOf(open(disk.snapshot(), { index: 4, term: 1 }))).toBeInstanceOf(
    JournalDamaged,
  );
  const { journal } = await open(disk, { index: LAST, term: 3 });
  expect(Number(journal.firstIndex)).toBe(LAST + 1);
});
