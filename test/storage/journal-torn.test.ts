/** Goal: what lies behind a cut is gone for good. The torn states are made by hand, byte by byte. */
import { expect, test } from "bun:test";
import { Random } from "../tools/random.ts";
import type { SimDisk } from "../tools/sim/sim-disk.ts";
import {
  at,
  DIRECTORY,
  entriesOf,
  entryOf,
  inTerm,
  line,
  newDisk,
  openJournal,
  recoverLog,
} from "../tools/storage/journal-fixture.ts";

const HEADER = 64;
const FRAME = 48 + 32;
const SEGMENT_1 = `${DIRECTORY}/0000000000000001.seg`;
const SEGMENT_2 = `${DIRECTORY}/0000000000000002.seg`;

const kept = (disk: SimDisk) => disk.afterCrash(() => "kept", new Random(1));

/** The tail from `start` on, without the zeros at its end. */
function tailOf(disk: SimDisk, path: string, start: number): number {
  const bytes = disk.peek(path) ?? new Uint8Array(0);
  return bytes.subarray(start).findLastIndex((byte) => byte !== 0) + 1;
}

test("frames behind a lost one are wiped, and never follow what is written there next", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 2, 1, 32));
  await journal.append(entriesOf(3, 5, 1, 32));
  const start = HEADER + 2 * FRAME;
  const torn = kept(disk);
  torn.peek(SEGMENT_1)?.fill(0, start, start + FRAME);
  const { journal: again, torn: cut } = await openJournal(torn);
  expect(Number(again.lastIndex)).toBe(2);
  expect(cut).toEqual({ file: SEGMENT_1, position: start, bytes: 3 * FRAME });
  expect(
    tailOf(
      torn.afterCrash(() => "lost", new Random(1)),
      SEGMENT_1,
      start,
    ),
  ).toBe(0);
  await again.append([entryOf(3, 2, 32)]);
  const after = await recoverLog(kept(torn));
  expect(after.lines).toEqual([...entriesOf(1, 2, 1, 32), entryOf(3, 2, 32)].map(line));
});

test("a frame that does not follow the one before it ends the log", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 3, 1, 32));
  const old = disk.peek(SEGMENT_1)?.slice(HEADER + FRAME, HEADER + 2 * FRAME) ?? new Uint8Array(0);
  const other = await newDisk();
  const { journal: second } = await openJournal(other);
  await second.append([entryOf(1, 2, 32)]);
  // A stale frame of the same segment and position, left behind by a disk that lost the wiping.
  const stale = kept(other);
  stale.peek(SEGMENT_1)?.set(old, HEADER + FRAME);
  const log = await recoverLog(stale);
  expect(log.lines).toEqual([line(entryOf(1, 2, 32))]);
  expect(log.torn?.position).toBe(HEADER + FRAME);
});

test("a torn first write of a segment is no damage, and leaves nothing in the preallocated segment", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk, { segmentBytes: 1024 });
  await journal.append(entriesOf(1, 10, 1, 32));
  await journal.append(entriesOf(11, 14, 1, 32));
  const torn = kept(disk);
  torn.peek(SEGMENT_2)?.fill(0, 0, HEADER);
  const { journal: again } = await openJournal(torn);
  expect(Number(again.lastIndex)).toBe(10);
  expect(
    tailOf(
      torn.afterCrash(() => "lost", new Random(1)),
      SEGMENT_2,
      0,
    ),
  ).toBe(0);
  await again.append(entriesOf(11, 12, 2, 32));
  const expected = [...entriesOf(1, 10, 1, 32), ...entriesOf(11, 12, 2, 32)].map(line);
  expect((await recoverLog(kept(torn))).lines).toEqual(expected);
});

test("a torn reset leaves the log as it was", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 3, 1, 32));
  await journal.retrySpace();
  const reset = journal.resetTo(at(50), inTerm(4));
  while (tailOf(disk, SEGMENT_2, 0) === 0) await null;
  const torn = kept(disk);
  await reset;
  expect(tailOf(torn, SEGMENT_2, 0)).toBe(HEADER + 48);
  torn.peek(SEGMENT_2)?.fill(0, 0, HEADER);
  expect((await recoverLog(torn)).lines).toEqual(entriesOf(1, 3, 1, 32).map(line));
});

test("an incomplete last preallocated segment is removed, a complete one stays", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append([entryOf(1, 1)]);
  await journal.close();
  const files = await disk.list(DIRECTORY);
  const next = `${DIRECTORY}/${String(files.length + 1).padStart(16, "0")}.seg`;
  const file = await disk.open(next, "create");
  await file.write(0, new Uint8Array(100));
  const log = await recoverLog(kept(disk));
  expect(log.lastIndex).toBe(1);
});
