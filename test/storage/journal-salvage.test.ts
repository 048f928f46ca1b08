/** Goal: a cut of a damaged journal keeps all before the damage and never forgets how far it went. */
import { expect, test } from "bun:test";
import type { Entry } from "../../src/raft/types.ts";
import { JournalDamaged } from "../../src/storage/journal/damage.ts";
import { readMarker } from "../../src/storage/journal/truncated-log.ts";
import { Random } from "../tools/random.ts";
import type { SimDisk } from "../tools/sim/sim-disk.ts";
import {
  at,
  DIRECTORY,
  entriesOf,
  entryOf,
  IDENTITY,
  inTerm,
  line,
  logOf,
  openJournal,
  REPLACED_APPENDS,
  REPLACED_LAST,
  usedSegments,
  writtenWithReplaced,
} from "../tools/storage/journal-fixture.ts";
import { ShardDisk, workedShard } from "../tools/storage/shard-support.ts";

const LAST = REPLACED_LAST;
const CLAIM = { index: at(LAST), term: inTerm(3) };
const MARKER_PATH = `${DIRECTORY}/claimed`;

/** Every log that the journal has been, entry by entry. */
const PAST = pastOf(REPLACED_APPENDS);

function pastOf(appends: readonly (readonly Entry[])[]): Set<string> {
  const past = new Set([""]);
  const log: string[] = [];
  for (const entry of appends.flat()) {
    log.length = entry.index - 1;
    log.push(line(entry));
    past.add(log.join());
  }
  return past;
}

const origin = await writtenWithReplaced();
const all = (await logOf((await openJournal(origin.snapshot())).journal)).lines;
const segments = usedSegments(origin);

const isDamaged = async (disk: SimDisk): Promise<boolean> =>
  (await openJournal(disk).catch((error: unknown) => error)) instanceof JournalDamaged;

/** Cuts, and checks all that a node relies on. @returns the last entry that is left. */
async function salvage(disk: SimDisk): Promise<number> {
  const { journal, salvaged } = await openJournal(disk, { cutDamaged: true });
  expect(salvaged).not.toBeNull();
  expect(journal.marker).toEqual(CLAIM);
  const log = await logOf(journal);
  expect(PAST).toContain(log.lines.join());
  expect(salvaged).toMatchObject({ from: log.lastIndex + 1, to: LAST });
  await journal.retrySpace();
  return log.lastIndex;
}

test("after any damage the journal before it is kept, and a truncated-log marker records its end", async () => {
  const random = new Random(2);
  expect(segments.length).toBeGreaterThan(3);
  let cuts = 0;
  for (const path of segments) {
    const size = origin.peek(path)?.length ?? 0;
    for (let byte = random.below(7); byte < size; byte += 7) {
      const disk = origin.snapshot();
      disk.flipBit(path, byte * 8 + random.below(8));
      if (!(await isDamaged(disk.snapshot()))) continue;
      const last = await salvage(disk);
      cuts++;
      // The next start finds nothing to complain of, and reads the marker.
      const again = await openJournal(disk.afterCrash(() => "lost", random));
      expect({ last: again.journal.lastIndex as number, salvaged: again.salvaged }).toEqual({
        last,
        salvaged: null,
      });
      expect(again.journal.marker).toEqual(CLAIM);
    }
  }
  expect(cuts).toBeGreaterThan(250);
});

test("the marker remains until the log reaches as far", async () => {
  const disk = origin.snapshot();
  disk.flipBit(segments[1] ?? "", 300 * 8);
  const last = await salvage(disk);
  const { journal } = await openJournal(disk);
  expect(last).toBeLessThan(LAST);
  expect(await journal.releaseMarker()).toBe(false);
  for (let index = last + 1; index <= LAST; index++) {
    expect(await journal.releaseMarker()).toBe(false);
    await journal.append([entryOf(index, 3)]);
  }
  expect(await journal.releaseMarker()).toBe(true);
  expect(journal.marker).toBeNull();
  const again = await openJournal(disk.afterCrash(() => "lost", new Random(1)));
  expect(again.journal.marker).toBeNull();
  expect(disk.peek(MARKER_PATH)).toBeNull();
});

test("a later term, and a snapshot, reach as far too; a longer log of an older term does not", async () => {
  for (const [how, released] of [
    ["older", false],
    ["later", true],
    ["snapshot", true],
  ] as const) {
    const disk = origin.snapshot();
    disk.flipBit(segments[1] ?? "", 300 * 8);
    const next = (await salvage(disk)) + 1;
    const { journal } = await openJournal(disk);
    if (how === "older") await journal.append(entriesOf(next, LAST + 20, 2));
    if (how === "later") await journal.append([entryOf(next, 4)]);
    if (how === "snapshot") await journal.resetTo(at(LAST), inTerm(3));
    expect(await journal.releaseMarker(), how).toBe(released);
  }
});

test("a second damage never lowers the marker", async () => {
  const disk = origin.snapshot();
  disk.flipBit(segments[2] ?? "", 300 * 8);
  const last = await salvage(disk);
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(last + 1, last + 3, 2));
  await journal.close();
  disk.flipBit(segments[0] ?? "", 200 * 8);
  expect(await isDamaged(disk.snapshot())).toBe(true);
  expect(await salvage(disk)).toBeLessThan(last);
});

test("a crash anywhere in a cut leaves the damage to be seen, or the marker", async () => {
  const random = new Random(4);
  let states = 0;
  for (const path of segments) {
    const images: SimDisk[] = [];
    const image = origin.snapshot();
    image.flipBit(path, 250 * 8);
    if (!(await isDamaged(image.snapshot()))) continue;
    const disk = image.snapshot({ onCall: () => void images.push(disk.snapshot()) });
    const last = await salvage(disk);
    images.push(disk.snapshot());
    for (const point of images) {
      for (const fate of ["lost", "kept", "mixed"] as const) {
        const fates = ["lost", "kept", "torn", "zeros"] as const;
        const pick = () => (fate === "mixed" ? random.pick(fates) : fate);
        const crashed = point.afterCrash(pick, random);
        const plain = await openJournal(crashed.snapshot()).catch((error: unknown) => error);
        if (plain instanceof Error) expect(plain).toBeInstanceOf(JournalDamaged);
        const { journal } = await openJournal(crashed, { cutDamaged: true });
        expect(journal.marker).toEqual(CLAIM);
        const log = await logOf(journal);
        expect(PAST).toContain(log.lines.join());
        expect(log.lastIndex).toBe(last);
        await journal.append([entryOf(log.lastIndex + 1, 3)]);
        states++;
      }
    }
  }
  expect(states).toBeGreaterThan(100);
});

test("where the very end is missing nothing is cut, because no marker would be high enough", async () => {
  const missing = origin.snapshot();
  await missing.remove(segments.at(-1) ?? "");
  const short = origin.snapshot();
  const file = await short.open(segments.at(-1) ?? "", "existing");
  await file.truncate(512);
  for (const disk of [missing, short]) {
    const before = disk.digest();
    const opening = openJournal(disk, { cutDamaged: true });
    await expect(opening).rejects.toThrow("how far the journal went is not known");
    expect(disk.digest()).toBe(before);
  }
});

test("missing and swapped files are cut before them; a whole journal is left alone", async () => {
  for (const path of segments.slice(1, -1)) {
    const disk = origin.snapshot();
    await disk.remove(path);
    await salvage(disk);
  }
  const disk = origin.snapshot();
  await disk.rename(segments[1] ?? "", `${DIRECTORY}/aside`);
  await disk.rename(segments[2] ?? "", segments[1] ?? "");
  await disk.rename(`${DIRECTORY}/aside`, segments[2] ?? "");
  await salvage(disk);
  const whole = origin.snapshot();
  const opened = await openJournal(whole, { cutDamaged: true });
  expect({ salvaged: opened.salvaged, marker: opened.journal.marker }).toEqual({
    salvaged: null,
    marker: null,
  });
  expect((await logOf(opened.journal)).lines).toEqual(all);
});

test("one flipped bit of the marker is harmless; a marker that cannot be read is an error", async () => {
  const disk = origin.snapshot();
  disk.flipBit(segments[1] ?? "", 300 * 8);
  await salvage(disk);
  const size = disk.peek(MARKER_PATH)?.length ?? 0;
  for (let bit = 0; bit < size * 8; bit += 5) {
    const flipped = disk.snapshot();
    flipped.flipBit(MARKER_PATH, bit);
    expect(await readMarker(flipped, DIRECTORY, IDENTITY)).toEqual(CLAIM);
  }
  disk.flipBit(MARKER_PATH, 8 * 20);
  disk.flipBit(MARKER_PATH, 8 * 532);
  expect(await isDamaged(disk)).toBe(true);
  await expect(openJournal(disk, { cutDamaged: true })).rejects.toBeInstanceOf(JournalDamaged);
});

test("a journal that was cut below the checkpoint goes on behind it", async () => {
  const { disk, node } = await workedShard(2, 6);
  const path = disk.paths().find((name) => name.includes("/journal/")) ?? "";
  disk.flipBit(path, 300 * 8);
  await expect(ShardDisk.open(disk)).rejects.toBeInstanceOf(JournalDamaged);
  const cut = await ShardDisk.open(disk, { cutDamaged: true });
  expect(cut.journal.lastIndex).toBeLessThan(node.index);
  // Also when a crash comes before it is reset: the marker explains what is missing.
  const shard = await ShardDisk.open(disk.afterCrash(() => "lost", new Random(1)));
  const index = await shard.recover();
  expect(await shard.settle()).toBe(true);
  expect(shard.journal.lastIndex as number).toBe(index);
  expect(shard.journal.marker).toEqual({ index: at(node.index), term: inTerm(3) });
  expect(await shard.journal.releaseMarker()).toBe(index === node.index);
});
