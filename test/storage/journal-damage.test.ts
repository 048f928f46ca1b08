/** Goal: damage to what was durable is found and named, never cut off and never read as data. */
import { expect, test } from "bun:test";
import { JournalDamaged, JournalUnsupported } from "../../src/storage/journal/damage.ts";
import { forEachSeed, Random } from "../tools/random.ts";
import type { SimDisk } from "../tools/sim/sim-disk.ts";
import {
  at,
  DIRECTORY,
  entriesOf,
  entryOf,
  inTerm,
  line,
  logOf,
  newDisk,
  openJournal,
  recoverLog,
  usedSegments,
} from "../tools/storage/journal-fixture.ts";

const SEGMENT_BYTES = 768;
const ENTRIES = 24;

/** Three or more segments, cut once, closed in order. */
async function written(close = true): Promise<SimDisk> {
  const disk = await newDisk();
  const { journal } = await openJournal(disk, { segmentBytes: SEGMENT_BYTES });
  await journal.append(entriesOf(1, 6, 1, 40));
  await journal.append(entriesOf(5, 8, 2, 40));
  await journal.noteIdle();
  for (let index = 9; index <= ENTRIES; index++) await journal.append([entryOf(index, 2, 60)]);
  await journal.retrySpace();
  if (close) await journal.close();
  return disk;
}

const copyOf = (disk: SimDisk) => disk.afterCrash(() => "kept", new Random(1));
const pathsOf = async (disk: SimDisk) =>
  (await disk.list(DIRECTORY)).map((name) => `${DIRECTORY}/${name}`);

async function damageOf(disk: SimDisk): Promise<JournalDamaged> {
  const before = disk.digest();
  const failure: unknown = await openJournal(disk).catch((cause: unknown) => cause);
  expect(failure).toBeInstanceOf(JournalDamaged);
  if (!(failure instanceof JournalDamaged)) throw failure;
  expect(disk.digest()).toBe(before);
  return failure;
}

test("any flipped bit is refused with file and position, or does no harm", async () => {
  const disk = await written();
  const expected = (await logOf((await openJournal(copyOf(disk))).journal)).lines;
  expect(expected.length).toBe(ENTRIES);
  const random = new Random(Number(process.env["SEED"] ?? 1));
  let refused = 0;
  let harmless = 0;
  for (const path of await pathsOf(disk)) {
    const size = disk.peek(path)?.length ?? 0;
    for (let byte = 0; byte < size; byte++) {
      const bit = byte * 8 + random.below(8);
      const flipped = copyOf(disk);
      flipped.flipBit(path, bit);
      const outcome = await recoverLog(flipped).catch((failure: unknown) => failure);
      if (outcome instanceof JournalDamaged) {
        expect(outcome.damage.file, `${path} bit ${bit}`).toBe(path);
        expect(outcome.damage.position).toBeLessThanOrEqual(byte);
        expect(outcome.damage.from).toBeLessThanOrEqual(outcome.damage.to);
        refused++;
      } else if (outcome instanceof JournalUnsupported) refused++;
      else {
        expect(outcome, `${path} bit ${bit}`).toMatchObject({ lines: expected });
        harmless++;
      }
    }
  }
  console.log(`flipped bits refused: ${refused}, harmless: ${harmless}`);
  expect(refused).toBeGreaterThan(ENTRIES * 108);
});

test("overwritten ranges, zeroed ranges and swapped files are refused too", async () => {
  const disk = await written();
  const expected = (await logOf((await openJournal(copyOf(disk))).journal)).lines.join();
  const paths = (await pathsOf(disk)).slice(0, 3);
  const outcomes: Promise<void>[] = [];
  forEachSeed(150, (random, seed) => {
    const broken = copyOf(disk);
    const path = random.pick(paths);
    const bytes = broken.peek(path) ?? new Uint8Array(0);
    const start = random.below(bytes.length);
    const length = 1 + random.below(200);
    const other = broken.peek(random.pick(paths)) ?? bytes;
    const kind = random.below(3);
    if (kind === 0) bytes.fill(0, start, start + length);
    else if (kind === 1) bytes.set(other.slice(start, start + length), start);
    else bytes.copyWithin(start & ~15, (start + 112) & ~15, bytes.length);
    outcomes.push(
      recoverLog(broken).then(
        (log) => expect(log.lines.join(), `seed ${seed}`).toBe(expected),
        (failure) => expect(failure, `seed ${seed}`).toBeInstanceOf(Error),
      ),
    );
  });
  await Promise.all(outcomes);
});

test("a missing segment is named, wherever it was", async () => {
  const disk = await written();
  const paths = await pathsOf(disk);
  for (const path of paths.slice(1, -1)) {
    const broken = copyOf(disk);
    await broken.remove(path);
    const failure = await damageOf(broken);
    expect(failure.damage.file).toBe(path);
    expect(failure.message).toContain("the file is missing");
  }
  // The oldest ones go by themselves after a checkpoint.
  const first = copyOf(disk);
  await first.remove(paths[0] ?? "");
  expect((await recoverLog(first)).lastIndex).toBe(ENTRIES);
});

test("a shortened segment and a copy under another name are refused", async () => {
  const disk = await written();
  const [first = "", second = ""] = await pathsOf(disk);
  const short = copyOf(disk);
  const file = await short.open(second, "existing");
  await file.truncate(SEGMENT_BYTES - 16);
  expect((await damageOf(short)).message).toContain("instead of 768");
  const copied = copyOf(disk);
  copied.peek(second)?.set(copied.peek(first) ?? []);
  expect((await damageOf(copied)).message).toContain("this is segment 1 by its header");
});

test("the message tells an operator what, where, and what to do", async () => {
  const disk = await written();
  const [first = ""] = await pathsOf(disk);
  disk.flipBit(first, (64 + 48 + 5) * 8);
  const { message, damage } = await damageOf(disk);
  expect(message).toContain(`${first} at byte 64: entry 1: wrong payload checksum`);
  expect(message).toContain("Nothing was changed");
  expect(Number(damage.from)).toBe(1);
  expect(Number(damage.to)).toBeGreaterThan(20);
});

test("damage in the last append is found once a watermark covers it", async () => {
  for (const idle of [false, true]) {
    const disk = await newDisk();
    const { journal } = await openJournal(disk);
    await journal.append(entriesOf(1, 3, 1, 32));
    if (idle) await journal.noteIdle();
    const [path = ""] = await pathsOf(disk);
    for (const byte of [60, 62]) disk.flipBit(path, (64 + 2 * 80 + byte) * 8);
    const crashed = disk.afterCrash(() => "kept", new Random(1));
    if (idle) expect(Number((await damageOf(crashed)).damage.from)).toBe(3);
    // Without one it looks like a torn write.
    else expect((await recoverLog(crashed)).lines).toEqual(entriesOf(1, 2, 1, 32).map(line));
  }
});

test("one flipped bit in the last append is no torn write, whatever a crash left behind it", async () => {
  const from = 64 + 2 * 80;
  for (let bit = from * 8; bit < (from + 80) * 8; bit++) {
    const disk = await newDisk();
    const { journal } = await openJournal(disk);
    await journal.append(entriesOf(1, 2, 1, 32));
    await journal.append([entryOf(3, 1, 32)]);
    await journal.noteIdle();
    // The watermark was never synced, and is lost.
    const crashed = disk.afterCrash(() => "lost", new Random(1));
    const [path = ""] = await pathsOf(crashed);
    crashed.flipBit(path, bit);
    const { damage } = await damageOf(copyOf(crashed));
    expect([bit, Number(damage.from), Number(damage.to)]).toEqual([bit, 3, 3]);
    const salvaged = await openJournal(crashed, { cutDamaged: true });
    expect(salvaged.journal.marker).toEqual({ index: at(3), term: inTerm(1) });
    expect(Number(salvaged.journal.lastIndex)).toBe(2);
  }
});

test("one flipped bit in a last append that replaces entries is no torn write: the old ones stay void", async () => {
  const from = 64 + 5 * 80;
  for (let bit = from * 8; bit < (from + 80) * 8; bit += 5) {
    const disk = await newDisk();
    const { journal } = await openJournal(disk);
    await journal.append(entriesOf(1, 5, 1, 32));
    await journal.append([entryOf(3, 2, 32)]);
    const crashed = disk.afterCrash(() => "lost", new Random(1));
    const [path = ""] = await pathsOf(crashed);
    crashed.flipBit(path, bit);
    const { damage } = await damageOf(copyOf(crashed));
    expect([bit, Number(damage.from), Number(damage.to)]).toEqual([bit, 3, 3]);
    const salvaged = await openJournal(crashed, { cutDamaged: true });
    expect(salvaged.salvaged).toMatchObject({ from: at(3), to: at(3) });
    expect(salvaged.journal.marker).toEqual({ index: at(3), term: inTerm(2) });
    // A leader may replace the entry again that the damaged one replaced.
    await salvaged.journal.append([entryOf(3, 3, 32)]);
    expect((await logOf(salvaged.journal)).lines).toEqual(
      [...entriesOf(1, 2, 1, 32), entryOf(3, 3, 32)].map(line),
    );
  }
});

for (const size of [32, 0]) {
  const count = 960 / (48 + size);

  test(`a segment that is full to its last byte is read to it (payloads of ${size} bytes)`, async () => {
    const disk = await newDisk();
    const { journal } = await openJournal(disk, { segmentBytes: 1024 });
    for (const entry of entriesOf(1, count, 1, size)) await journal.append([entry]);
    const [path = ""] = await pathsOf(disk);
    expect(usedSegments(disk)).toEqual([path]);
    expect(disk.peek(path)?.length).toBe(1024);
    expect(
      disk
        .peek(path)
        ?.subarray(1024 - 48)
        .some((byte) => byte !== 0),
    ).toBe(true);
    const crashed = disk.afterCrash(() => "lost", new Random(1));
    const { journal: again, torn } = await openJournal(crashed, { segmentBytes: 1024 });
    expect(torn).toBeNull();
    expect((await logOf(again)).lines).toEqual(entriesOf(1, count, 1, size).map(line));
    await again.append([entryOf(count + 1, 1, size)]);
    expect(usedSegments(crashed).length).toBe(2);
    const last = await recoverLog(crashed.afterCrash(() => "lost", new Random(1)));
    expect(last.lines).toEqual(entriesOf(1, count + 1, 1, size).map(line));
  });

  test(`one flipped bit in the frame that fills a segment is no torn write (payloads of ${size} bytes)`, async () => {
    const disk = await newDisk();
    const { journal } = await openJournal(disk, { segmentBytes: 1024 });
    for (const entry of entriesOf(1, count, 1, size)) await journal.append([entry]);
    const from = 1024 - 48 - size;
    for (let bit = from * 8; bit < 1024 * 8; bit += 3) {
      const crashed = disk.afterCrash(() => "lost", new Random(1));
      const [path = ""] = await pathsOf(crashed);
      crashed.flipBit(path, bit);
      const { damage } = await damageOf(crashed);
      expect([bit, Number(damage.from), Number(damage.to)]).toEqual([bit, count, count]);
    }
  });
}

test("one flipped bit in the header of the newest segment is no torn write either", async () => {
  for (const entries of [2, 12]) {
    for (let bit = 0; bit < 64 * 8; bit++) {
      const disk = await newDisk();
      const { journal } = await openJournal(disk, { segmentBytes: 1024 });
      for (let i = 1; i <= entries; i++) await journal.append([entryOf(i, 1, 32)]);
      const crashed = disk.afterCrash(() => "lost", new Random(1));
      const paths = await pathsOf(crashed);
      const path = paths.findLast((each) => crashed.peek(each)?.some((byte) => byte !== 0)) ?? "";
      crashed.flipBit(path, bit);
      expect([bit, (await damageOf(crashed)).damage.file]).toEqual([bit, path]);
    }
  }
});

test("a last append that was cut short is torn, wherever it was cut", async () => {
  const from = 64 + 2 * 80;
  for (const size of [32, 33, 700]) {
    const entry = entryOf(3, 1, size);
    // The last byte alone may be all that is missing, and that be a single bit.
    for (const lastByte of [1, 0x80, 0xff]) {
      entry.data[size - 1] = lastByte;
      const disk = await newDisk();
      const { journal } = await openJournal(disk);
      await journal.append(entriesOf(1, 2, 1, 32));
      await journal.append([entry]);
      const [path = ""] = await pathsOf(disk);
      for (let end = from; end < from + 48 + size; end++) {
        const crashed = disk.afterCrash(() => "lost", new Random(1));
        crashed.peek(path)?.fill(0, end);
        expect((await recoverLog(crashed)).lines).toEqual(entriesOf(1, 2, 1, 32).map(line));
      }
    }
  }
});

test("a disk that stores half of what it accepts is found out", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 3, 1));
  disk.faults.halfWrites = true;
  await journal.append([entryOf(4, 1, 200)]);
  disk.faults.halfWrites = false;
  await journal.append([entryOf(5, 1)]);
  expect(Number((await damageOf(copyOf(disk))).damage.from)).toBe(4);
});

test("a failed sync that lost its pages costs nothing that was acknowledged", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 3, 1));
  disk.faults.syncError = "0001.seg";
  await expect(journal.append([entryOf(4, 1)])).rejects.toThrow("EIO");
  // The next sync would report success; the journal must not ask.
  await expect(journal.append([entryOf(4, 1)])).rejects.toThrow("earlier failure");
  const crashed = disk.afterCrash(() => "kept", new Random(1));
  expect((await recoverLog(crashed)).lines).toEqual(entriesOf(1, 3, 1).map(line));
});

test("a read verifies what it gives", async () => {
  const disk = await newDisk();
  const { journal } = await openJournal(disk);
  await journal.append(entriesOf(1, 5, 1, 32));
  const [path = ""] = await pathsOf(disk);
  disk.flipBit(path, (64 + 2 * 80 + 60) * 8);
  expect((await journal.read(at(1), at(2), 1e9)).length).toBe(2);
  const failure: unknown = await journal.read(at(1), at(5), 1e9).catch((cause: unknown) => cause);
  expect(failure).toBeInstanceOf(JournalDamaged);
  if (failure instanceof JournalDamaged) expect(Number(failure.damage.from)).toBe(3);
});
