import { expect, test } from "bun:test";
import { DiskFailure } from "../../src/env/disk.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { OffsetTrimmed, PartitionDamaged } from "../../src/storage/partitions/damaged.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import { FilesClosed, SegmentFiles } from "../../src/storage/partitions/segment-files.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";
import {
  appendSome,
  DIRECTORY,
  expectedPage,
  Model,
  nextTurn,
  openStore,
  pageOf,
} from "../tools/storage/partition-support.ts";

const ALL = { start: 0, limit: 1e9, maxBytes: 1e12 };

function appendOne(log: PartitionLog, length: number, timestampMs = 5): void {
  const { bytes, logicalBytes } = encodeRecord(null, new Uint8Array(length).fill(1));
  log.append(bytes, log.endOffset, timestampMs, 1, logicalBytes);
}

async function readAll(log: PartitionLog, model: Model): Promise<number[]> {
  return pageOf(await log.read(0, 1e9, 1e12), model, ALL);
}

test("what fits into the tail is read without a promise and without the disk", () => {
  const disk = new PartitionDisk();
  const log = openStore(disk).create(1, 0);
  const model = new Model();
  const random = new Random(1);
  for (let i = 0; i < 50; i++) appendSome(log, model, random, i);
  const slices = log.read(0, 1e9, 1e12);
  expect(slices).toBeArray();
  expect(log.bytesBefore(40)).toBe(model.bytesBefore(40));
  expect(log.offsetAtTime(30)).toBe(model.offsetAtTime(30));
  expect(log.offsetAtBytes(500)).toBe(model.offsetAtBytes(500));
  expect(disk.reads).toBe(0);
});

test("the tails of all partitions stay within their budget, and unflushed bytes stay in memory", async () => {
  const disk = new PartitionDisk();
  const store = openStore(disk, { tailBytes: 300_000, unflushedBytes: 100_000 });
  const random = new Random(2);
  const logs = Array.from({ length: 40 }, (_, i) => store.create(1, i));
  const models = logs.map(() => new Model());
  for (let i = 0; i < 3000; i++) {
    const at = random.below(40);
    const log = logs[at];
    const model = models[at];
    if (log && model) appendSome(log, model, random, i, 5000);
    if (i % 50 === 0) await nextTurn();
  }
  await store.flushAll();
  expect(store.describe().tailBytes).toBeLessThanOrEqual(300_000);
  expect(store.describe().unflushedBytes).toBe(0);
  expect(store.describe().storedBytes).toBeGreaterThan(600_000);
  for (const [i, log] of logs.entries()) {
    const model = models[i] ?? new Model();
    expect((await readAll(log, model)).length).toBe(model.records.length);
  }
  expect(disk.reads).toBeGreaterThan(0);
});

test("ten thousand partitions with a record each cost little and come back from a manifest", async () => {
  const disk = new PartitionDisk();
  const store = openStore(disk);
  for (let i = 0; i < 10_000; i++) appendOne(store.create(1, i), 64);
  expect(store.describe().tailBytes).toBeLessThan(3_000_000);
  const cut = store.beginCut();
  expect(cut.manifest.length).toBeLessThan(300_000);
  await cut.flush();
  expect(store.describe().openFiles).toBeLessThanOrEqual(256);
  const again = openStore(disk.crash(disk.changes.length, "lost"));
  again.restore(cut.manifest);
  expect(again.describe().partitions).toBe(10_000);
  for (let i = 0; i < 10_000; i += 999) {
    const slices = await again.get(1, i)?.read(0, 10, 1e6);
    expect(slices?.length).toBe(1);
  }
});

test("any flipped bit of a segment or index file is found or harmless, never wrong data", async () => {
  const disk = new PartitionDisk();
  const store = openStore(disk, { segmentBytes: 60_000 });
  const log = store.create(4, 2);
  const model = new Model();
  const random = new Random(11);
  while (log.appendedTo < 200_000) appendSome(log, model, random, model.records.length, 3000);
  const cut = store.beginCut();
  await cut.flush();
  const files = disk.files();
  expect(files.filter((path) => path.endsWith(".idx")).length).toBeGreaterThan(2);
  let damaged = 0;
  for (let i = 0; i < 1500; i++) {
    const path = random.pick(files);
    const position = random.below(disk.whole(path)?.length ?? 1);
    const bit = random.below(8);
    disk.flip(path, position, bit);
    damaged += await lookAtDamaged(disk, cut.manifest, model, path, i);
    disk.flip(path, position, bit);
  }
  expect(damaged).toBeGreaterThan(100);
});

/** 1 if reading everything finds the damage, 0 if everything is as it should be. */
async function lookAtDamaged(
  disk: PartitionDisk,
  manifest: Uint8Array,
  model: Model,
  path: string,
  at: number,
): Promise<number> {
  const store = openStore(disk, { segmentBytes: 60_000 });
  store.restore(manifest);
  const log = store.get(4, 2) as PartitionLog;
  for (let offset = at % 50; offset < model.records.length; offset += 50) {
    const time = model.records[offset]?.timestampMs ?? 0;
    const answers = [log.bytesBefore(offset), log.offsetAtTime(time), log.offsetAtTime(time + 1)];
    const right = [
      model.bytesBefore(offset),
      model.offsetAtTime(time),
      model.offsetAtTime(time + 1),
    ];
    for (const [i, answer] of answers.entries()) {
      const found = await Promise.resolve(answer).catch((error) => error);
      if (!(found instanceof PartitionDamaged)) expect(found).toBe(right[i]);
    }
  }
  const outcome = await readAll(log, model).catch((error) => error);
  if (outcome instanceof PartitionDamaged) {
    expect(outcome.file).toBe(path);
    return 1;
  }
  expect(path).toEndWith(".idx");
  expect(outcome.length).toBe(model.records.length);
  return 0;
}

test("a batch that is whole but in the wrong place is found out by its offset", async () => {
  const disk = new PartitionDisk();
  const store = openStore(disk);
  const log = store.create(1, 0);
  for (let i = 0; i < 10; i++) appendOne(log, 50);
  const cut = store.beginCut();
  await cut.flush();
  const path = `${DIRECTORY}/1-0/00000000000000000000.seg`;
  const length = (disk.whole(path)?.length ?? 0) / 10;
  const file = await disk.open(path, "existing");
  await file.write(3 * length, await file.read(7 * length, length));
  const again = openStore(disk);
  again.restore(cut.manifest);
  const outcome = await Promise.resolve(again.get(1, 0)?.read(0, 100, 1e6)).catch((e) => e);
  expect(outcome).toBeInstanceOf(PartitionDamaged);
  expect(outcome.position).toBe(3 * length);
});

test("a missing or shortened segment file is damage, not an empty page", async () => {
  for (const spoil of ["remove", "truncate"] as const) {
    const disk = new PartitionDisk();
    const store = openStore(disk);
    for (let i = 0; i < 10; i++) appendOne(store.get(1, 0) ?? store.create(1, 0), 50);
    const cut = store.beginCut();
    await cut.flush();
    const path = `${DIRECTORY}/1-0/00000000000000000000.seg`;
    if (spoil === "remove") await disk.remove(path);
    else await (await disk.open(path, "existing")).truncate(300);
    const again = openStore(disk);
    again.restore(cut.manifest);
    const log = again.get(1, 0) as PartitionLog;
    expect(await Promise.resolve(log.read(0, 100, 1e6)).catch((e) => e)).toBeInstanceOf(
      PartitionDamaged,
    );
    appendOne(log, 50);
    const failure = await again.flushAll().catch((e) => e);
    expect(failure).toBeInstanceOf(Error);
  }
});

test("a full disk stops nothing but the flush, and nothing is lost", async () => {
  const disk = new PartitionDisk();
  const seen: boolean[] = [];
  const store = openStore(disk, {
    tailBytes: 100_000,
    unflushedBytes: 50_000,
    onDiskFull: (full) => seen.push(full),
  });
  const log = store.create(1, 0);
  const model = new Model();
  const random = new Random(3);
  disk.room = 150_000;
  for (let i = 0; i < 400; i++) {
    appendSome(log, model, random, i, 5000);
    if (i % 20 === 0) await nextTurn();
  }
  expect(store.diskFull).toBeTrue();
  expect(seen).toEqual([true]);
  expect((await readAll(log, model)).length).toBe(model.records.length);
  disk.room = Number.POSITIVE_INFINITY;
  store.retryAfterDiskFull();
  await store.flushAll();
  expect(store.diskFull).toBeFalse();
  expect(store.describe().tailBytes).toBeLessThanOrEqual(100_000);
  expect((await readAll(log, model)).length).toBe(model.records.length);
});

test("a failed write in the background is reported, so that the process ends", async () => {
  const disk = new PartitionDisk();
  const failures: unknown[] = [];
  const store = openStore(disk, { onFailure: (error) => failures.push(error) });
  const log = store.create(1, 0);
  disk.before = (operation) => {
    if (operation === "write") throw new DiskFailure("EIO");
  };
  for (let i = 0; i < 20; i++) appendOne(log, 30_000);
  for (let i = 0; i < 5; i++) await nextTurn();
  expect(failures[0]).toBeInstanceOf(DiskFailure);
});

test("readers on their way see whole pages while the log is rolled, flushed and trimmed", async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const random = new Random(seed);
    const disk = new PartitionDisk();
    disk.before = async () => {
      for (let i = random.below(3); i > 0; i--) await nextTurn();
    };
    const options = { segmentBytes: 8000, tailBytes: 10_000, unflushedBytes: 3000, openFiles: 1 };
    const store = openStore(disk, { ...options, indexPoints: 0 });
    const log = store.create(1, 0);
    const model = new Model();
    const readers: Promise<void>[] = [];
    for (let i = 0; i < 300; i++) {
      appendSome(log, model, random, i, 3000);
      readers.push(readRandomly(log, model, random));
      if (random.below(15) === 0) {
        model.low += random.below(((model.records.length - model.low) >>> 1) + 1);
        log.trim(model.low);
      }
      if (random.below(4) === 0) await nextTurn();
    }
    await Promise.all(readers);
    await store.flushAll();
    await store.close();
    const kept = disk.files().filter((path) => path.endsWith(".seg"));
    expect(kept.length).toBe(log.segments.filter(({ length }) => length > 0).length);
  }
});

/** A page that begins at the asked offset, or later only if that was trimmed meanwhile. */
async function readRandomly(log: PartitionLog, model: Model, random: Random): Promise<void> {
  const end = model.records.length;
  const start = model.low + random.below(end - model.low + 1);
  const page = { start, limit: 1 + random.below(50), maxBytes: 20_000 };
  const expected = expectedPage(model, end, page);
  const offsets = pageOf(await log.read(start, page.limit, page.maxBytes), model, page);
  const first = offsets[0] ?? end;
  if (first === start) {
    if (model.low <= start) expect(offsets.slice(0, expected.length)).toEqual(expected);
  } else {
    expect(model.low).toBeGreaterThan(start);
  }
}

test("a deleted partition gives empty pages, and its directory goes", async () => {
  const disk = new PartitionDisk();
  const store = openStore(disk);
  const log = store.create(1, 0);
  for (let i = 0; i < 20; i++) appendOne(log, 1000);
  await store.flushAll();
  expect(disk.files().length).toBe(1);
  store.delete(1, 0);
  expect(store.get(1, 0)).toBeNull();
  expect(await log.read(0, 10, 1e6)).toEqual([]);
  await store.close();
  expect(await disk.list(DIRECTORY)).toEqual([]);
  expect(store.describe().unflushedBytes).toBe(0);
});

/** A partition that is in files only, on a disk where each call takes an event-loop iteration. */
async function slowlyRead() {
  let slow = false;
  const disk = new SimDisk({ delay: () => (slow ? nextTurn() : null) });
  const first = openStore(disk, { segmentBytes: 40_000 });
  const model = new Model();
  const random = new Random(4);
  const before = first.create(1, 0);
  for (let i = 0; i < 300; i++) appendSome(before, model, random, i, 3000);
  const cut = first.beginCut();
  await cut.flush();
  await first.close();
  const store = openStore(disk, { segmentBytes: 40_000, openFiles: 2 });
  store.restore(cut.manifest);
  const log = store.get(1, 0) ?? store.create(1, 0);
  const middle = log.endOffset >>> 1;
  slow = true;
  const begin = () => [
    log.read(0, 1e9, 1e12),
    log.read(middle, 1, 1),
    log.bytesBefore(middle),
    log.bytesBefore(5),
    log.bytesBefore(log.endOffset - 2),
    log.offsetAtTime(150),
    log.offsetAtBytes(model.bytesBefore(middle)),
  ];
  return { store, log, begin };
}

/** Late answers may be short, or say that the offset is gone; they neither hang nor blame the disk. */
async function expectSoft(answers: readonly unknown[]): Promise<void> {
  for (const answer of await Promise.allSettled(answers)) {
    if (answer.status === "rejected") expect(answer.reason).toBeInstanceOf(OffsetTrimmed);
  }
}

test("who reads while the store is closed, or its partition deleted, fails softly", async () => {
  for (let turns = 0; turns < 12; turns++) {
    for (const end of ["close", "delete"] as const) {
      const { store, log, begin } = await slowlyRead();
      const answers = begin();
      for (let i = 0; i < turns; i++) await nextTurn();
      const ended = end === "close" ? store.close() : store.delete(1, 0);
      await expectSoft(answers);
      await ended;
      expect(await log.read(0, 10, 1e6)).toBeArray();
      await expectSoft(begin());
    }
  }
});

test("a file is not closed under its user, whose number would soon be another file's", async () => {
  const files = new SegmentFiles(new SimDisk(), 10, (error) => {
    throw error;
  });
  const steps: string[] = [];
  const using = files.use("a", "truncate", async (file) => {
    for (let i = 0; i < 5; i++) await nextTurn();
    await file.write(0, new Uint8Array(5));
    steps.push("used");
  });
  await Promise.all([using, files.close().then(() => steps.push("closed"))]);
  expect(steps).toEqual(["used", "closed"]);
  await expect(files.use("a", "existing", async () => 1)).rejects.toBeInstanceOf(FilesClosed);
});

test("a cut that the end of the store interrupts does not vouch for what was not written", async () => {
  const { store, log } = await slowlyRead();
  appendOne(log, 5000, 300);
  const cut = store.beginCut();
  const flushed = cut.flush();
  await store.close();
  await expect(flushed).rejects.toThrow();
});

test("appends must be dense, in order of time, and what they say they are", () => {
  const log = openStore(new PartitionDisk()).create(1, 0);
  appendOne(log, 10);
  const { bytes } = encodeRecord(null, new Uint8Array(10));
  expect(() => log.append(bytes, 2, 5, 1, 10)).toThrow("dense");
  expect(() => log.append(bytes, 1, 4, 1, 10)).toThrow("timestamps");
  expect(() => log.append(bytes, 1, 5, 2, 10)).toThrow("count");
});
