/** Small partitions that share files while they grow: when they are written, parked, merged, scrubbed. */
import { heapStats } from "bun:jsc";
import { expect, spyOn, test } from "bun:test";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import type { PartitionStore, PartitionStoreOptions } from "../../src/storage/partitions/store.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";
import { DIRECTORY, nextTurn, openStore } from "../tools/storage/partition-support.ts";

const SHARED = `${DIRECTORY}/shared`;

const openShared = (disk: PartitionDisk, options: Partial<PartitionStoreOptions> = {}) =>
  openStore(disk, { mayShare: () => true, ...options });

function append(log: PartitionLog, length: number): void {
  const { bytes, logicalBytes } = encodeRecord(null, new Uint8Array(length).fill(1));
  log.append(bytes, log.endOffset, 5, 1, logicalBytes);
}

const at = (store: PartitionStore, topic: number) => store.get(topic, 0) as PartitionLog;

async function checkpoint(store: PartitionStore): Promise<void> {
  const cut = store.beginCut();
  await cut.flush();
  cut.release();
}

test("partitions that were written in the background are parked, without a checkpoint", async () => {
  const store = openShared(new PartitionDisk(), { warmMax: 10 });
  for (let round = 0; round < 2; round++) {
    for (let topic = 1; topic <= 6000; topic++) {
      append(round === 0 ? store.create(topic, 0) : at(store, topic), 100);
    }
    for (let i = 0; i < 60; i++) await nextTurn();
    // At most 2,048 partitions wait to be written, each with two chunks of 256 bytes or fewer.
    expect(store.describe().tailBytes).toBeLessThanOrEqual(2 * 2048 * 256);
    expect(at(store, 1).isParked).toBe(true);
  }
});

test("partitions that had bytes before sharing began are written into a shared file, too", async () => {
  const disk = new PartitionDisk();
  const sharing = { isOn: false };
  const store = openShared(disk, { mayShare: () => sharing.isOn });
  for (let topic = 1; topic <= 3000; topic++) append(store.create(topic, 0), 100);
  for (let i = 0; i < 20; i++) await nextTurn();
  expect(disk.files()).toEqual([]);
  sharing.isOn = true;
  append(store.create(3001, 0), 100);
  for (let i = 0; i < 60; i++) await nextTurn();
  expect(store.describe().unflushedBytes).toBeLessThanOrEqual(2048 * 150);
  expect(at(store, 1).segments[0]?.shared?.path).toBe(`${SHARED}/00000000000000000000.seg`);
  expect(disk.files()).toEqual([`${SHARED}/00000000000000000000.seg`]);
});

test("parked partitions with many pieces get them merged", async () => {
  const store = openShared(new PartitionDisk(), { warmMax: 2 });
  const topics = Array.from({ length: 200 }, (_, i) => i + 1);
  for (const topic of topics) store.create(topic, 0);
  for (let round = 0; round < 12; round++) {
    for (const topic of topics) append(at(store, topic), 100);
    await checkpoint(store);
  }
  expect(topics.every((topic) => at(store, topic).segments.length === 13)).toBe(true);
  await store.tidy();
  await checkpoint(store);
  for (const topic of topics) {
    expect(at(store, topic).endOffset).toBe(12);
    expect(at(store, topic).segments.length).toBe(2);
  }
});

test("a pass over many pieces looks once whether their file is there, and again when it is not", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk, { openFiles: 1 });
  for (let topic = 1; topic <= 300; topic++) append(store.create(topic, 0), 100);
  await checkpoint(store);
  const list = spyOn(disk, "list");
  const found = new Set<string>();
  const place = (topicId: number) => ({ topicId, partition: 0, segmentOffset: 0 });
  for (let topic = 1; topic <= 300; topic++) {
    expect(await store.damagedRange(place(topic), nextTurn, found)).toBeNull();
  }
  expect(list).toHaveBeenCalledTimes(1);
  await store.close();

  const cut = openShared(disk);
  cut.restore(store.beginCut().manifest);
  await disk.remove(`${SHARED}/00000000000000000000.seg`);
  for (const topic of [1, 300]) {
    const range = await cut.damagedRange(place(topic), nextTurn, found);
    expect(range).toMatchObject({ position: 0, fromOffset: 0, endOffset: 1 });
  }
});

test("a scrub does not write what is in memory only", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk);
  append(store.create(1, 0), 100);
  const place = { topicId: 1, partition: 0, segmentOffset: 0 };
  expect(await store.damagedRange(place)).toBeNull();
  expect(disk.files()).toEqual([]);
  expect(at(store, 1).segments.length).toBe(1);
});

test("the manifest of a consistent point is joined again as it was, whatever changed since then", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk, { warmMax: 10 });
  for (let topic = 1; topic <= 3000; topic++) append(store.create(topic, 0), 60);
  await checkpoint(store);
  await store.tidy();
  const cut = store.beginCut();
  await cut.flush();
  const before = cut.manifest;
  expect(cut.manifest).toBe(before);
  cut.forget();
  for (let topic = 1; topic <= 3000; topic += 2) {
    if (topic % 3 === 0) store.delete(topic, 0);
    else append(at(store, topic), 60);
  }
  await checkpoint(store);
  await store.tidy();
  expect(cut.manifest).not.toBe(before);
  expect(Bun.deepEquals(cut.manifest, before)).toBe(true);
  const restored = openShared(disk.copy(), { warmMax: 10 }).restore(before);
  expect(Bun.deepEquals(restored.manifest, before)).toBe(true);
});

test("partitions that are not in use have no arrays of their own, also after each was looked at", async () => {
  const count = 5000;
  const store = openShared(new PartitionDisk(), { warmMax: 10 });
  for (let topic = 1; topic <= count; topic++) append(store.create(topic, 0), 60);
  const cut = store.beginCut();
  await cut.flush();
  const { manifest } = cut;
  const before = arrays();
  const again = openShared(new PartitionDisk(), { warmMax: 10 });
  again.restore(manifest);
  for (const { endOffset } of again.logs()) expect(endOffset).toBe(1);
  await nextTurn();
  expect(arrays() - before).toBeLessThan(count / 10);
  expect(again.describe().partitions).toBe(count);
});

function arrays(): number {
  Bun.gc(true);
  const { Uint8Array: bytes = 0, ArrayBuffer: buffers = 0 } = heapStats().objectTypeCounts;
  return bytes + buffers;
}
