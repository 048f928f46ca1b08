/**
 * Goal: a record that was read from a file is served from memory as long as that is right, and
 * never longer. Method: a disk that counts reads and can be damaged below the cache.
 */
import { describe, expect, test } from "bun:test";
import { BatchBuilder, encodeRecord } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { PartitionDamaged } from "../../src/storage/partitions/damaged.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import { Marks } from "../../src/storage/partitions/marks.ts";
import { CachedWindow, ReadCache } from "../../src/storage/partitions/read-cache.ts";
import { INDEX_INTERVAL_BYTES } from "../../src/storage/partitions/segment-index.ts";
import { SegmentState } from "../../src/storage/partitions/segment-state.ts";
import type { PartitionStore, PartitionStoreOptions } from "../../src/storage/partitions/store.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";
import { DIRECTORY, openStore } from "../tools/storage/partition-support.ts";

const KiB = 1024;
/** A record of which 32 are between two points of the index. */
const RECORD_BYTES = INDEX_INTERVAL_BYTES / 32;

/** A record that begins with its number. */
function recordOf(number: number): ReturnType<typeof encodeRecord> {
  const value = new Uint8Array(RECORD_BYTES - 43);
  new DataView(value.buffer).setUint32(0, number);
  const encoded = encodeRecord(null, value);
  expect(encoded.bytes.length).toBe(RECORD_BYTES);
  return encoded;
}

function append(log: PartitionLog, count: number): void {
  for (let i = 0; i < count; i++) {
    const { bytes, logicalBytes } = recordOf(log.endOffset);
    log.append(bytes, log.endOffset, 1, 1, logicalBytes);
  }
}

/** The number of reads of segment files. */
function countingDisk(): { disk: SimDisk; reads: () => number } {
  let reads = 0;
  const onCall = (operation: string, path: string) => {
    if (operation === "read" && path.endsWith(".seg")) reads++;
  };
  return { disk: new SimDisk({ onCall }), reads: () => reads };
}

/** A partition whose records are all in files, and none in the tail. */
async function written(count: number, options: Partial<PartitionStoreOptions> = {}) {
  const { disk, reads } = countingDisk();
  const store = openStore(disk, { tailBytes: 1, segmentBytes: 256 * KiB, ...options });
  const log = store.create(7, 3);
  append(log, count);
  await store.flushAll();
  expect(log.chunks.length).toBe(0);
  return { disk, reads, store, log };
}

/** The numbers in the records of a page. */
async function numbersOf(log: PartitionLog, from: number, limit: number): Promise<number[]> {
  const numbers: number[] = [];
  const { slices } = await log.page(from, limit, 1e9);
  for (const slice of slices) {
    const cursor = new RecordCursor(slice);
    while (cursor.next()) {
      if (cursor.offset < from || numbers.length === limit) continue;
      const { bytes, valueStart } = cursor;
      numbers.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(valueStart));
    }
  }
  return numbers;
}

const range = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

function damage(disk: SimDisk, offset: number): void {
  const path = `${DIRECTORY}/7-3/${"0".padStart(20, "0")}.seg`;
  disk.flipBit(path, (offset * RECORD_BYTES + RECORD_BYTES - 20) * 8);
}

describe("a page from a file", () => {
  test("is read once, and then served without a promise", async () => {
    const { log, reads, store } = await written(200);
    expect(await numbersOf(log, 40, 10)).toEqual(range(40, 10));
    const before = reads();
    for (const offset of [40, 32, 50, 63 - 10]) {
      expect(log.page(offset, 10, 1e9)).not.toBeInstanceOf(Promise);
      expect(await numbersOf(log, offset, 10)).toEqual(range(offset, 10));
    }
    expect(reads()).toBe(before);
    expect(store.readCache).toMatchObject({ misses: 1 });
    expect(store.readCache.hits).toBeGreaterThan(3);
  });
  test("of many readers at once is read once", async () => {
    const { log, reads } = await written(200);
    await numbersOf(log, 0, 1);
    const before = reads();
    const pages = await Promise.all(range(0, 20).map((i) => numbersOf(log, 100 + (i & 7), 1)));
    expect(pages.length).toBe(20);
    expect(reads()).toBe(before + 1);
  });
  test("goes on behind the one before, so a reader of all reads each byte once", async () => {
    const { disk, log, store } = await written(250);
    const file = await disk.open(`${log.directory}/${"0".padStart(20, "0")}.seg`, "existing");
    const bytes = await file.size();
    expect(bytes).toBe(250 * RECORD_BYTES);
    for (let from = 0; from < 250; from += 10) {
      expect(await numbersOf(log, from, 10)).toEqual(range(from, 10));
    }
    const { usedBytes, misses } = store.readCache;
    expect(misses).toBe(Math.ceil(bytes / INDEX_INTERVAL_BYTES));
    expect(usedBytes).toBeGreaterThan(bytes);
    expect(usedBytes).toBeLessThan(bytes * 1.05);
  });
  test("is not kept with a cache of 0 bytes", async () => {
    const { log, reads, store } = await written(100, { readCacheBytes: 0 });
    expect(await numbersOf(log, 10, 10)).toEqual(range(10, 10));
    const before = reads();
    expect(await numbersOf(log, 10, 10)).toEqual(range(10, 10));
    expect(reads()).toBeGreaterThan(before);
    expect(store.readCache.usedBytes).toBe(0);
  });
  test("that ends at the end of the file goes on with what was appended later", async () => {
    const { log, store, reads } = await written(40);
    expect(await numbersOf(log, 33, 100)).toEqual(range(33, 7));
    append(log, 30);
    await store.flushAll();
    expect(log.chunks.length).toBe(0);
    expect(await numbersOf(log, 33, 100)).toEqual(range(33, 37));
    const before = reads();
    expect(await numbersOf(log, 33, 100)).toEqual(range(33, 37));
    expect(reads()).toBe(before);
  });
});

describe("the cache is bounded", () => {
  test("by its limit, and the least recently used windows go first", async () => {
    const limit = 12 * INDEX_INTERVAL_BYTES;
    const { log, store, reads } = await written(1000, { readCacheBytes: limit });
    for (let from = 0; from < 1000; from += 32) {
      await numbersOf(log, from, 1);
      await numbersOf(log, 5, 1);
      expect(store.readCache.usedBytes).toBeLessThanOrEqual(limit);
    }
    const before = reads();
    await numbersOf(log, 5, 1);
    expect(reads()).toBe(before);
    await numbersOf(log, 70, 1);
    expect(reads()).toBeGreaterThan(before);
  });
  test("and does not take a batch that is larger than an eighth of it", async () => {
    const { store, log } = await written(1, { readCacheBytes: 200 * KiB });
    const large = encodeRecord(null, new Uint8Array(30 * KiB));
    log.append(large.bytes, 1, 1, 1, large.logicalBytes);
    await store.flushAll();
    expect((await log.read(1, 1, 1e9)).length).toBe(1);
    expect(store.readCache.usedBytes).toBe(0);
  });
});

describe("records leave the cache", () => {
  test("when their segment is trimmed", async () => {
    const { store, log } = await written(600);
    expect(log.segments.length).toBeGreaterThan(2);
    await numbersOf(log, 0, 600);
    const { usedBytes } = store.readCache;
    const second = log.segments[1]?.baseOffset ?? 0;
    log.trim(second + 3);
    expect(store.readCache.usedBytes).toBeLessThan(usedBytes);
    expect((await log.page(0, 1, 1e9)).next).toBe(second + 4);
    expect(await numbersOf(log, second + 3, 5)).toEqual(range(second + 3, 5));
  });
  test("when their partition is deleted; one that is created then has none of them", async () => {
    const { store, log } = await written(100);
    await numbersOf(log, 0, 100);
    store.delete(7, 3);
    expect(store.readCache.usedBytes).toBe(0);
    expect(await log.read(0, 10, 1e9)).toEqual([]);
    const again = store.create(8, 3);
    append(again, 3);
    await store.flushAll();
    expect(await numbersOf(again, 0, 10)).toEqual(range(0, 3));
  });
  test("when a partition is deleted while its file is read", async () => {
    const { store, log } = await written(100);
    const page = log.page(0, 10, 1e9);
    store.delete(7, 3);
    await page;
    expect(store.readCache.usedBytes).toBe(0);
  });
  test("when the store is closed, as for a snapshot that replaces it", async () => {
    const { store, log } = await written(100);
    await numbersOf(log, 0, 100);
    await store.close();
    expect(store.readCache.usedBytes).toBe(0);
    expect(await log.read(0, 10, 1e9)).toEqual([]);
  });
});

describe("damage", () => {
  const placeOf = { topicId: 7, partition: 3, segmentOffset: 0 };

  /** The batches of a store that is not damaged. */
  async function fetched(from: number, to: number): Promise<Uint8Array> {
    const { log } = await written(200);
    const raw = await log.rawRange(from, to, 1e9);
    if (raw === null) throw new Error("there are no batches");
    return raw.bytes;
  }
  const repairOf = async (store: PartitionStore) => {
    const found = await store.damagedRange(placeOf);
    if (found === null) throw new Error("nothing is damaged");
    await store.repair(found, await fetched(found.fromOffset, found.endOffset));
    return found;
  };

  test("below a cached window is found by a scrub and repaired, then read from the file", async () => {
    const { disk, store, log, reads } = await written(200);
    await numbersOf(log, 0, 200);
    damage(disk, 40);
    expect(await numbersOf(log, 40, 1)).toEqual([40]);
    expect(await repairOf(store)).toMatchObject({ fromOffset: 40, endOffset: 41 });
    const before = reads();
    expect(await numbersOf(log, 40, 1)).toEqual([40]);
    expect(reads()).toBeGreaterThan(before);
    expect(await store.damagedRange(placeOf)).toBeNull();
  });
  test("of one record does not hide the others of its window, and is not cached", async () => {
    const { disk, store, log } = await written(200);
    damage(disk, 40);
    for (let round = 0; round < 2; round++) {
      expect(await numbersOf(log, 32, 8)).toEqual(range(32, 8));
      expect(await numbersOf(log, 41, 20)).toEqual(range(41, 20));
      await expect(numbersOf(log, 38, 5)).rejects.toThrow(PartitionDamaged);
      expect(store.readCache.usedBytes).toBe(0);
    }
    await repairOf(store);
    expect(await numbersOf(log, 38, 5)).toEqual(range(38, 5));
    expect(store.readCache.usedBytes).toBeGreaterThan(0);
  });
});

test("windows of a segment never overlap: one that was read meanwhile is not added", () => {
  const record = { baseOffset: 0, length: 0, bytesBefore: 0, firstTimestampMs: 0 };
  const segment = new SegmentState("d", 0, 0, {
    ...record,
    lastTimestampMs: 0,
    indexCrc: 0,
    piece: null,
  });
  const cache = new ReadCache(100 * KiB);
  const windowOf = (from: number, to: number) =>
    new CachedWindow(new Uint8Array(KiB), from * 100, from, to);
  cache.add(segment, windowOf(10, 20));
  cache.add(segment, windowOf(30, 40));
  for (const [from, to] of [
    [10, 20],
    [5, 11],
    [19, 21],
    [20, 31],
    [0, 50],
    [35, 36],
  ] as const) {
    cache.add(segment, windowOf(from, to));
  }
  const found = (offset: number) => cache.find(segment, offset)?.baseOffset ?? null;
  expect([9, 10, 19, 20, 29, 30, 39, 40].map(found)).toEqual([
    null,
    10,
    10,
    null,
    null,
    30,
    30,
    null,
  ]);
  cache.add(segment, windowOf(20, 30));
  expect([20, 29].map(found)).toEqual([20, 20]);
  cache.forget(segment);
  expect([10, 20, 30].map(found)).toEqual([null, null, null]);
  expect(cache.usedBytes).toBe(0);
});

describe("marks", () => {
  test("lead to a record at most about 1 KiB before the one that is looked for", () => {
    const builder = new BatchBuilder();
    for (let i = 0; i < 400; i++) builder.add(null, new Uint8Array(50));
    const { bytes } = builder.finish();
    const marks = new Marks();
    for (const offset of [399, 1, 0, 200, 250, 399]) {
      const near = marks.recordNear(bytes, 0, offset) ?? { offset: 0, at: 40 };
      expect(near.offset).toBeLessThanOrEqual(offset);
      expect((offset - near.offset) * 52).toBeLessThanOrEqual(KiB + 52);
      expect(near.at).toBe(40 + near.offset * 52);
    }
  });
  test("of a run that grows stay right", () => {
    const { bytes } = recordOf(0);
    const whole = new Uint8Array(100 * bytes.length);
    for (let i = 0; i < 100; i++) whole.set(bytes, i * bytes.length);
    const marks = new Marks();
    const place = (count: number, offset: number) =>
      marks.batchAt({ bytes: whole, length: count * bytes.length, baseOffset: 1000 }, offset);
    expect(place(10, 1005)).toEqual({ offset: 1005, at: 5 * bytes.length });
    expect(place(10, 1010)).toEqual({ offset: 1010, at: 10 * bytes.length });
    marks.stoppedAt(1010, 10 * bytes.length);
    for (const offset of [1099, 1010, 1000, 1050, 1003]) {
      expect(place(100, offset)).toEqual({ offset, at: (offset - 1000) * bytes.length });
    }
  });
});
