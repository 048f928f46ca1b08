import { expect, test } from "bun:test";
import { ByteWriter } from "../../src/lib/bytes.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { PartitionDamaged } from "../../src/storage/partitions/damaged.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import {
  manifestFileHeads,
  manifestFiles,
  readManifest,
  writeManifestHead,
} from "../../src/storage/partitions/manifest.ts";
import type { PartitionStore, PartitionStoreOptions } from "../../src/storage/partitions/store.ts";
import { Random } from "../tools/random.ts";
import { CheckpointNode } from "../tools/storage/checkpoint-support.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";
import { DIRECTORY, nextTurn, openStore } from "../tools/storage/partition-support.ts";

const SHARED = `${DIRECTORY}/shared`;
const KiB = 1024;

const openShared = (disk: PartitionDisk, options: Partial<PartitionStoreOptions> = {}) =>
  openStore(disk, { mayShare: () => true, ...options });

function append(log: PartitionLog, length: number, mark = 1): void {
  const { bytes, logicalBytes } = encodeRecord(null, new Uint8Array(length).fill(mark));
  log.append(bytes, log.endOffset, 5, 1, logicalBytes);
}

async function checkpointed(store: PartitionStore): Promise<Uint8Array> {
  const cut = store.beginCut();
  await cut.flush();
  return cut.manifest;
}

const lastBytes = async (log: PartitionLog): Promise<number[]> =>
  (await log.read(0, 1e9, 1e9)).map((slice) => slice.at(-1) ?? -1);

test("a checkpoint writes many small partitions into one file, with one sync of it", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk);
  for (let topic = 1; topic <= 1000; topic++) append(store.create(topic, 0), 100, topic & 255);
  const syncs = () => disk.changes.filter(({ kind }) => kind === "sync").length;
  const manifest = await checkpointed(store);
  expect(disk.files()).toEqual([`${SHARED}/00000000000000000000.seg`]);
  expect(syncs()).toBe(1);
  const again = openShared(disk.crash(disk.changes.length, "lost"));
  again.restore(manifest);
  expect(again.describe()).toMatchObject({ partitions: 1000, unflushedBytes: 0 });
  for (const topic of [1, 500, 1000]) {
    expect(await lastBytes(again.get(topic, 0) as PartitionLog)).toEqual([topic & 255]);
  }
});

test("the files of a manifest are named alike with and without their segments", async () => {
  for (const share of [true, false]) {
    const store = openStore(new PartitionDisk(), { mayShare: () => share, segmentBytes: 64 * KiB });
    for (let topic = 1; topic <= 30; topic++) {
      const log = store.create(topic, topic % 3);
      for (let i = 0; i < topic % 5; i++) append(log, topic % 7 === 0 ? 30 * KiB : 100);
    }
    const manifest = await checkpointed(store);
    const whole = manifestFiles(DIRECTORY, manifest).map(({ path, length, shared, segments }) => {
      const { topicId = 0, partition = 0, baseOffset = 0 } = segments[0] ?? {};
      const own = shared === null ? { topicId, partition, baseOffset } : null;
      return { path, length, shared, own };
    });
    expect(whole.some(({ own }) => own !== null)).toBe(true);
    expect(whole.some(({ shared }) => shared !== null)).toBe(share);
    expect(manifestFileHeads(DIRECTORY, manifest)).toEqual(whole);
  }
});

test("without permission to share nothing changes: files of their own, and the first manifest", async () => {
  const disk = new PartitionDisk();
  const store = openStore(disk);
  append(store.create(1, 0), 100);
  const manifest = await checkpointed(store);
  expect(manifest[0]).toBe(1);
  expect(disk.files()).toEqual([`${DIRECTORY}/1-0/00000000000000000000.seg`]);
});

test("a partition gets a file of its own when it has more than 64 KiB, or 32 KiB at once", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk);
  const slow = store.create(1, 0);
  const fast = store.create(2, 0);
  append(fast, 40 * KiB);
  for (let i = 0; i < 3; i++) {
    append(slow, 20 * KiB);
    await checkpointed(store);
  }
  const own = () => disk.files().filter((path) => !path.startsWith(SHARED));
  expect(own()).toEqual([`${DIRECTORY}/2-0/00000000000000000000.seg`]);
  expect(slow.segments.length).toBe(4);
  append(slow, 20 * KiB);
  append(slow, 100);
  const manifest = await checkpointed(store);
  expect(own()[0]).toBe(`${DIRECTORY}/1-0/00000000000000000003.seg`);
  const again = openShared(disk);
  again.restore(manifest);
  const log = again.get(1, 0) as PartitionLog;
  append(log, 50, 7);
  await checkpointed(again);
  expect((await lastBytes(log)).length).toBeGreaterThan(0);
  expect(log.segments.length).toBe(4);
});

test("the data directory is prepared before the first shared file, and not otherwise", async () => {
  const disk = new PartitionDisk();
  const seen: string[][] = [];
  const prepareShared = async () => void seen.push(disk.files());
  const store = openShared(disk, { prepareShared });
  append(store.create(1, 0), 40 * KiB);
  await checkpointed(store);
  expect(seen).toEqual([]);
  append(store.create(2, 0), 10);
  await checkpointed(store);
  append(store.create(3, 0), 10);
  await checkpointed(store);
  expect(seen).toEqual([[`${DIRECTORY}/1-0/00000000000000000000.seg`]]);
});

test("many small partitions are written in the background, before a checkpoint", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk);
  for (let topic = 1; topic <= 5000; topic++) append(store.create(topic, 0), 100);
  for (let i = 0; i < 20; i++) await nextTurn();
  expect(store.describe().unflushedBytes).toBeLessThan(5000 * 150 - 2048 * 140);
  expect(disk.files()).toEqual([`${SHARED}/00000000000000000000.seg`]);
});

test("damage of one piece is told and repaired, and the pieces beside it are not concerned", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk);
  for (const topic of [1, 2, 3]) append(store.create(topic, 0), 500, topic);
  const manifest = await checkpointed(store);
  const path = `${SHARED}/00000000000000000000.seg`;
  const before = disk.whole(path) as Uint8Array;
  const { position } = (store.get(2, 0) as PartitionLog).segments[0] ?? { position: 0 };
  disk.flip(path, position + 100, 3);
  const again = openShared(disk);
  again.restore(manifest);
  expect(await lastBytes(again.get(1, 0) as PartitionLog)).toEqual([1]);
  const error = await lastBytes(again.get(2, 0) as PartitionLog).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(PartitionDamaged);
  expect(error).toMatchObject({
    file: `${path}:2-0/00000000000000000000.seg`,
    topicId: 2,
    partition: 0,
    segmentOffset: 0,
    position: 0,
  });
  const range = await again.damagedRange(error as PartitionDamaged);
  const raw = await (store.get(2, 0) as PartitionLog).rawRange(0, 1, 1e6);
  expect(range).toMatchObject({
    position: 0,
    length: raw?.bytes.length,
    fromOffset: 0,
    endOffset: 1,
  });
  if (range !== null && raw !== null) await again.repair(range, raw.bytes);
  expect(disk.whole(path)).toEqual(before);
  expect(await lastBytes(again.get(2, 0) as PartitionLog)).toEqual([2]);
  expect(await lastBytes(again.get(3, 0) as PartitionLog)).toEqual([3]);
});

test("a shared file that is missing is damage of each of its partitions, and comes back by repairs", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk);
  for (const topic of [1, 2]) append(store.create(topic, 0), 500, topic);
  const manifest = await checkpointed(store);
  const path = `${SHARED}/00000000000000000000.seg`;
  const before = disk.whole(path) as Uint8Array;
  await disk.remove(path);
  const again = openShared(disk);
  again.restore(manifest);
  for (const topic of [2, 1]) {
    const place = { topicId: topic, partition: 0, segmentOffset: 0 };
    const range = await again.damagedRange(place);
    const raw = await (store.get(topic, 0) as PartitionLog).rawRange(0, 1, 1e6);
    if (range !== null && raw !== null) await again.repair(range, raw.bytes);
    expect(await again.damagedRange(place)).toBeNull();
  }
  expect(disk.whole(path)).toEqual(before);
});

test("a full disk loses nothing: the pieces are written to their places when there is space", async () => {
  const disk = new PartitionDisk();
  const told: boolean[] = [];
  const store = openShared(disk, { onDiskFull: (full) => void told.push(full) });
  append(store.create(1, 0), 500, 1);
  disk.room = 100;
  const cut = store.beginCut();
  await expect(cut.flush()).rejects.toThrow("no room");
  cut.release();
  expect(store.diskFull).toBe(true);
  append(store.create(2, 0), 500, 2);
  append(store.get(1, 0) as PartitionLog, 500, 3);
  disk.room = 1e9;
  store.retryAfterDiskFull();
  const manifest = await checkpointed(store);
  expect(told).toEqual([true, false]);
  const again = openShared(disk.crash(disk.changes.length, "lost"));
  again.restore(manifest);
  expect(await lastBytes(again.get(1, 0) as PartitionLog)).toEqual([1, 3]);
  expect(await lastBytes(again.get(2, 0) as PartitionLog)).toEqual([2]);
});

test("files of deleted partitions are removed, and files with much garbage are emptied", async () => {
  const disk = new PartitionDisk();
  const node = new CheckpointNode(disk, { mayShare: () => true, segmentBytes: 20_000 });
  const random = new Random(1);
  for (let topic = 1; topic <= 60; topic++) node.create(`${topic}-0`);
  const round = async () => {
    for (const name of node.state.keys()) node.append(name, 1, random);
    await node.take().done;
    await node.store.tidy();
  };
  for (let i = 0; i < 3; i++) await round();
  const { bytes } = node.store.sharedSizes;
  expect(bytes).toBeGreaterThan(40_000);
  for (let topic = 1; topic <= 50; topic++) node.delete(`${topic}-0`);
  for (let i = 0; i < 4; i++) await round();
  const after = node.store.sharedSizes;
  expect(after.garbageBytes).toBeLessThan(after.bytes / 2 + 20_000);
  expect(after.bytes).toBeLessThan(bytes);
  const files = disk.files().filter((path) => path.startsWith(SHARED));
  expect(files.length).toBeLessThanOrEqual(after.files + 4);
  await node.verify();
  for (let topic = 51; topic <= 60; topic++) node.delete(`${topic}-0`);
  node.create("99-0");
  for (let i = 0; i < 3; i++) await round();
  await node.checkpoints.dropPredecessor();
  expect(node.store.sharedSizes.files).toBe(1);
});

test("pieces of a partition that grows slowly are merged, while it is read and trimmed", async () => {
  const disk = new PartitionDisk();
  const node = new CheckpointNode(disk, { mayShare: () => true });
  node.create("1-0");
  const random = new Random(2);
  for (let i = 0; i < 30; i++) {
    node.append("1-0", 1, random);
    await node.take().done;
    const tidied = node.store.tidy();
    if (i === 20) node.trim("1-0", 7);
    await node.verify();
    await tidied;
    await node.verify();
    expect(node.log("1-0").segments.length).toBeLessThanOrEqual(10);
  }
});

test("a manifest with shared files is read to its last byte, and pieces lie within their files", async () => {
  const store = openShared(new PartitionDisk());
  append(store.create(1, 0), 200);
  const manifest = await checkpointed(store);
  expect(manifest[0]).toBe(2);
  for (let length = 0; length < manifest.length; length++) {
    expect(() => readManifest(manifest.subarray(0, length), () => undefined)).toThrow();
  }
  const records: unknown[] = [];
  const head = readManifest(manifest, (record) => records.push(record));
  const { length = 0 } = (store.get(1, 0) as PartitionLog).segments[0] ?? {};
  expect(head).toEqual({ partitions: 1, nextShared: 1, shared: [{ number: 0, length }] });
  expect(records).toMatchObject([{ segments: [{ length, piece: { file: 0, position: 0 } }] }]);
  const short = new ByteWriter(64);
  writeManifestHead(short, { ...head, shared: [{ number: 0, length: length - 1 }] });
  const original = new ByteWriter(64);
  writeManifestHead(original, head);
  const forged = Buffer.concat([short.view(), manifest.subarray(original.length)]);
  expect(() => readManifest(forged, () => undefined)).toThrow("does not lie in shared file 0");
});

test("partitions that are not in use are parked, and come back as they were when they change", async () => {
  const disk = new PartitionDisk();
  const store = openShared(disk, { warmMax: 2 });
  for (let topic = 1; topic <= 10; topic++) append(store.create(topic, 0), 100, topic);
  await checkpointed(store);
  await store.tidy();
  const held = store.get(3, 0) as PartitionLog;
  expect(held.isParked).toBe(true);
  expect(store.get(3, 0)).toBe(held);
  expect(await lastBytes(held)).toEqual([3]);
  expect(store.describe()).toMatchObject({ partitions: 10, unflushedBytes: 0 });
  append(held, 100, 33);
  held.trim(1);
  append(store.get(4, 0) as PartitionLog, 100, 44);
  expect(held.isParked).toBe(false);
  expect([...store.logs()].length).toBe(10);
  const manifest = await checkpointed(store);
  const again = openShared(disk.crash(disk.changes.length, "lost"), { warmMax: 2 });
  again.restore(manifest);
  expect(again.get(3, 0)).toMatchObject({ lowWatermark: 1, endOffset: 2 });
  expect(await lastBytes(again.get(3, 0) as PartitionLog)).toEqual([33]);
  expect(await lastBytes(again.get(4, 0) as PartitionLog)).toEqual([4, 44]);
  expect(again.describe()).toMatchObject({
    partitions: 10,
    storedBytes: store.describe().storedBytes,
  });
  again.delete(4, 0);
  expect(again.get(4, 0)).toBeNull();
  expect(again.getOrGone(4, 0).deleted).toBe(true);
  expect(again.describe().partitions).toBe(9);
  const kept = again.get(5, 0) as PartitionLog;
  await again.close();
  expect(kept.deleted).toBe(true);
});
