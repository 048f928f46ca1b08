import { expect, test } from "bun:test";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { batchLength, partitionSeed, stampBatch } from "../../src/record/batch-header.ts";
import { PartitionDamaged } from "../../src/storage/partitions/damaged.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import { type DamagedRange, RepairRefused } from "../../src/storage/partitions/repair.ts";
import type { PartitionStore } from "../../src/storage/partitions/store.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";
import {
  appendSome,
  DIRECTORY,
  Model,
  openStore,
  pageOf,
} from "../tools/storage/partition-support.ts";

const OPTIONS = { segmentBytes: 90_000, tailBytes: 1 };
const ALL = { start: 0, limit: 1e9, maxBytes: 1e12 };

/** A partition of three segments on one disk; the last one is active. */
async function written(): Promise<{ disk: SimDisk; manifest: Uint8Array; model: Model }> {
  const disk = new SimDisk();
  const store = openStore(disk, OPTIONS);
  const model = new Model();
  const log = store.create(7, 3);
  const random = new Random(5);
  for (let i = 0; i < 260; i++) appendSome(log, model, random, i, 3000);
  expect(log.segments.length).toBe(3);
  const cut = store.beginCut();
  await cut.flush();
  await store.close();
  return { disk, manifest: cut.manifest, model };
}

const origin = await written();

function restored(disk: SimDisk, tailBytes = 1): { store: PartitionStore; log: PartitionLog } {
  const store = openStore(disk, { ...OPTIONS, tailBytes });
  store.restore(origin.manifest);
  const log = store.get(7, 3);
  if (log === null) throw new Error("no partition");
  return { store, log };
}

const peer = restored(origin.disk.snapshot()).log;

async function fetchAll(range: DamagedRange, maxBytes = 1e9, from = peer): Promise<Uint8Array> {
  const parts: number[] = [];
  let next = range.fromOffset;
  while (next < range.endOffset) {
    const raw = await from.rawRange(next, range.endOffset, maxBytes);
    if (raw === null || raw.baseOffset !== next) throw new Error(`nothing at ${next}`);
    parts.push(...raw.bytes);
    next = raw.endOffset;
  }
  return Uint8Array.from(parts);
}

const readAll = async (log: PartitionLog) =>
  pageOf(await log.read(0, 1e9, 1e12), origin.model, ALL).length;

/** Finds the damage as a reader does, and repairs it. @returns the number of repairs. */
async function repair(store: PartitionStore, log: PartitionLog): Promise<number> {
  for (let repairs = 0; ; repairs++) {
    const damage = await readAll(log).catch((error: unknown) => error);
    if (!(damage instanceof PartitionDamaged)) {
      expect(damage).toBe(origin.model.records.length);
      return repairs;
    }
    expect({ topicId: damage.topicId, partition: damage.partition }).toEqual({
      topicId: 7,
      partition: 3,
    });
    const range = await store.damagedRange(damage);
    if (range === null) throw damage;
    expect(range.fromOffset).toBeGreaterThanOrEqual(damage.offset ?? 1e9);
    await store.repair(range, await fetchAll(range, 5000));
    expect(repairs).toBeLessThan(20);
  }
}

const segmentPaths = origin.disk.paths().filter((path) => path.endsWith(".seg"));
const lengthOf = (path: string) => origin.disk.peek(path)?.length ?? 0;

test("after a flipped bit anywhere in a segment the same batch of a peer makes it as it was", async () => {
  const random = new Random(3);
  expect(segmentPaths.length).toBe(3);
  let wide = 0;
  for (let i = 0; i < 150; i++) {
    const path = random.pick(segmentPaths);
    const disk = origin.disk.snapshot();
    disk.flipBit(
      path,
      i < 6 ? (i % 2) * (lengthOf(path) * 8 - 1) : random.below(lengthOf(path) * 8),
    );
    if (i % 10 === 0) await disk.remove(path.replace(".seg", ".idx"));
    const { store, log } = restored(disk);
    expect(await repair(store, log)).toBe(1);
    // Durable at once, and byte for byte.
    const after = disk.afterCrash(() => "lost", random);
    for (const one of segmentPaths) {
      expect(Bun.hash(after.peek(one) ?? "")).toBe(Bun.hash(origin.disk.peek(one) ?? ""));
    }
    if (i % 10 === 0) wide++;
  }
  expect(wide).toBeGreaterThan(10);
});

test("damage in many places, a shortened and a missing file are healed piece by piece", async () => {
  const random = new Random(8);
  const many = origin.disk.snapshot();
  for (let i = 0; i < 9; i++) {
    const path = segmentPaths[i % 3] ?? "";
    many.flipBit(path, random.below(lengthOf(path) * 8));
  }
  const short = origin.disk.snapshot();
  for (const path of segmentPaths) {
    const file = await short.open(path, "existing");
    await file.truncate(lengthOf(path) - 5000 - random.below(1000));
  }
  const missing = origin.disk.snapshot();
  await missing.remove(segmentPaths[1] ?? "");
  for (const disk of [many, short, missing]) {
    const { store, log } = restored(disk);
    await repair(store, log);
    for (const path of segmentPaths) {
      expect(Bun.hash(disk.peek(path) ?? "")).toBe(Bun.hash(origin.disk.peek(path) ?? ""));
    }
  }
});

test("a range is no wider than the batch when its header is whole, and ends at a point of the index else", async () => {
  const path = segmentPaths[0] ?? "";
  const payload = origin.disk.snapshot();
  payload.flipBit(path, (20_000 + 40) * 8);
  const first = restored(payload);
  const range = await first.store.damagedRange({ topicId: 7, partition: 3, segmentOffset: 0 });
  const raw = await peer.rawRange(range?.fromOffset ?? 0, 1e9, 1);
  expect(range).toMatchObject({ length: raw?.bytes.length, endOffset: raw?.endOffset });
  const header = origin.disk.snapshot();
  header.flipBit(path, (range?.position ?? 0) * 8 + 2);
  const second = restored(header);
  const wider = await second.store.damagedRange({ topicId: 7, partition: 3, segmentOffset: 0 });
  expect(wider?.fromOffset).toBe(range?.fromOffset ?? -1);
  expect(wider?.length ?? 0).toBeGreaterThan(range?.length ?? 0);
  expect(wider?.length ?? 0).toBeLessThan(40_000);
});

test("what does not fit exactly is refused, and nothing is written", async () => {
  const path = segmentPaths[1] ?? "";
  const disk = origin.disk.snapshot();
  disk.flipBit(path, 50_000 * 8);
  const { store, log } = restored(disk);
  const damage = await readAll(log).catch((error: unknown) => error);
  if (!(damage instanceof PartitionDamaged)) throw new Error("no damage");
  const range = await store.damagedRange(damage);
  if (range === null) throw new Error("no range");
  const good = await fetchAll(range);
  const before = await peer.rawRange(range.fromOffset - 1, range.fromOffset, 1);
  const flipped = good.slice();
  flipped[60] = (flipped[60] ?? 0) ^ 1;
  const digest = disk.digest();
  const wrong: [DamagedRange, Uint8Array][] = [
    [range, flipped],
    [range, good.subarray(0, -1)],
    [range, new Uint8Array([...good, ...good])],
    [range, before?.bytes ?? good.subarray(1)],
    [{ ...range, endOffset: range.endOffset + 1 }, good],
    [{ ...range, position: 0 }, good],
    [{ ...range, position: 2 ** 31 }, good],
    [{ ...range, position: range.position + 16 }, good],
  ];
  for (const [where, bytes] of wrong) {
    await expect(store.repair(where, bytes)).rejects.toBeInstanceOf(RepairRefused);
  }
  expect(disk.digest()).toBe(digest);
  await store.repair(range, good);
  expect(await store.damagedRange(damage)).toBeNull();
});

/** Lengths of the batches in `bytes`. */
function lengthsOf(bytes: Uint8Array): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
    lengths.push(batchLength(bytes, at));
  }
  return lengths;
}

test("a peer that has diverged heals nothing", async () => {
  const path = segmentPaths[1] ?? "";
  const disk = origin.disk.snapshot();
  disk.flipBit(path, 50_000 * 8);
  const { store, log } = restored(disk);
  const where = { topicId: 7, partition: 3, segmentOffset: log.segments[1]?.baseOffset ?? -1 };
  const range = await store.damagedRange(where);
  if (range === null) throw new Error("no range");
  // The same sizes at other times: the header that can still be read says so.
  const twin = openStore(new SimDisk(), OPTIONS).create(7, 3);
  const random = new Random(5);
  for (let i = 0; i < 260; i++) appendSome(twin, new Model(), random, i + 1, 3000);
  const raw = await twin.rawRange(range.fromOffset, range.endOffset, 1e9);
  const other = raw?.bytes ?? new Uint8Array(0);
  expect(other.length).toBe(range.length);
  await expect(store.repair(range, other)).rejects.toThrow("another batch");
  // The same offsets in other sizes.
  const builder = new BatchBuilder(64);
  for (let i = range.fromOffset; i < range.endOffset; i++) builder.add(null, new Uint8Array(1));
  const { bytes } = builder.finish();
  stampBatch(bytes, 0, range.fromOffset, 1, partitionSeed(7, 3));
  await expect(store.repair(range, bytes)).rejects.toThrow("bytes for");
});

test("batches in another order are refused, also where no header can be read", async () => {
  const path = segmentPaths[1] ?? "";
  const disk = origin.disk.snapshot();
  const base = peer.segments[1]?.baseOffset ?? -1;
  const start = (await peer.rawRange(base, base + 200, 1e9))?.bytes ?? new Uint8Array(0);
  let at = 0;
  for (const length of lengthsOf(start)) {
    if (at < 30_000) disk.flipBit(path, at * 8);
    at += length;
  }
  const { store } = restored(disk);
  const range = await store.damagedRange({ topicId: 7, partition: 3, segmentOffset: base });
  if (range === null) throw new Error("no range");
  const good = await fetchAll(range);
  const [first = 0, second = 0] = lengthsOf(good);
  const swapped = good.slice();
  swapped.set(good.subarray(first, first + second), 0);
  swapped.set(good.subarray(0, first), second);
  await expect(store.repair(range, swapped)).rejects.toThrow("offsets do not fit");
  await store.repair(range, good);
});

test("a file that ends at a batch, and one to which more is to be written, are healed too", async () => {
  const path = segmentPaths[2] ?? "";
  const disk = origin.disk.snapshot();
  const base = peer.segments[2]?.baseOffset ?? -1;
  const raw = await peer.rawRange(base, 1e9, 1e9);
  const length = lengthsOf(raw?.bytes ?? new Uint8Array(0))
    .slice(0, 9)
    .reduce((a, b) => a + b);
  const file = await disk.open(path, "existing");
  await file.truncate(length);
  const { store, log } = restored(disk, 1e6);
  appendSome(log, origin.model.copy(), new Random(1), 300, 500);
  const range = await store.damagedRange({ topicId: 7, partition: 3, segmentOffset: base });
  if (range === null) throw new Error("no range");
  expect(range).toMatchObject({ position: length, endOffset: origin.model.records.length });
  await store.repair(range, await fetchAll(range));
  await store.flushAll();
  expect(await store.damagedRange(range)).toBeNull();
});

test("an active segment is healed while it grows", async () => {
  const path = segmentPaths[2] ?? "";
  for (const position of [100, lengthOf(path) - 300]) {
    const disk = origin.disk.snapshot();
    disk.flipBit(path, position * 8);
    const { store, log } = restored(disk);
    const model = origin.model.copy();
    const random = new Random(1);
    for (let i = 0; i < 20; i++) appendSome(log, model, random, 300 + i, 500);
    for (const flushed of [false, true]) {
      if (flushed) await store.flushAll();
      const range = await store.damagedRange({
        topicId: 7,
        partition: 3,
        segmentOffset: log.segments[2]?.baseOffset ?? -1,
      });
      if (range === null) {
        expect(flushed).toBe(true);
        continue;
      }
      await store.repair(range, await fetchAll(range));
      appendSome(log, model, random, 400, 500);
    }
    expect(pageOf(await log.read(0, 1e9, 1e12), model, ALL).length).toBe(model.records.length);
  }
});

test("damage in a segment that is sealed does not keep the rest from being written", async () => {
  const path = segmentPaths[2] ?? "";
  const disk = origin.disk.snapshot();
  disk.flipBit(path, 8);
  await disk.remove(path.replace(".seg", ".idx"));
  const asked: PartitionDamaged[] = [];
  const store = openStore(disk, {
    ...OPTIONS,
    repair: (damage) => Promise.resolve(asked.push(damage) < 0),
  });
  store.restore(origin.manifest);
  const log = store.get(7, 3);
  if (log === null) throw new Error("no partition");
  const model = origin.model.copy();
  const random = new Random(1);
  const other = restored(origin.disk.snapshot(), 1e6).log;
  const same = new Random(1);
  for (let i = 0; log.segments.length < 4; i++) {
    appendSome(log, model, random, 300 + i, 3000);
    appendSome(other, origin.model.copy(), same, 300 + i, 3000);
  }
  await store.flushAll();
  expect(asked[0]?.segmentOffset).toBe(log.segments[2]?.baseOffset ?? -1);
  const segmentOffset = log.segments[2]?.baseOffset ?? -1;
  const range = await store.damagedRange({ topicId: 7, partition: 3, segmentOffset });
  if (range === null) throw new Error("no range");
  await store.repair(range, await fetchAll(range, 1e9, other));
  expect(pageOf(await log.read(0, 1e9, 1e12), model, ALL).length).toBe(model.records.length);
});

test("a peer gives whole batches, verified, and nothing that it does not have", async () => {
  const end = peer.endOffset;
  expect(await peer.rawRange(end, end + 5, 1000)).toBeNull();
  const middle = await peer.rawRange(100, 150, 1e9);
  expect(middle?.baseOffset ?? 1e9).toBeLessThanOrEqual(100);
  expect(middle?.endOffset ?? 0).toBeGreaterThanOrEqual(150);
  const one = await peer.rawRange(100, 150, 1);
  expect(one?.baseOffset).toBe(middle?.baseOffset ?? -1);
  expect(one?.bytes).toEqual(middle?.bytes.subarray(0, one?.bytes.length) ?? new Uint8Array(0));
  const disk = origin.disk.snapshot();
  for (const path of segmentPaths) disk.flipBit(path, 60 * 8);
  const { log } = restored(disk);
  await expect(log.rawRange(0, 5, 1e9)).rejects.toBeInstanceOf(PartitionDamaged);
  log.trim(log.segments[1]?.baseOffset ?? 0);
  expect(await log.rawRange(0, 5, 1e9)).toBeNull();
  expect(DIRECTORY).toContain("partitions");
});
