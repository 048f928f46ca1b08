import { expect, spyOn, test } from "bun:test";
import { DiskFailure, DiskFull } from "../../src/env/disk.ts";
import { ByteReader } from "../../src/lib/bytes.ts";
import { CheckpointDamaged } from "../../src/storage/checkpoints/damaged.ts";
import { readManifest } from "../../src/storage/partitions/manifest.ts";
import { forEachSeedAsync, Random } from "../tools/random.ts";
import { CHECKPOINTS, CheckpointNode } from "../tools/storage/checkpoint-support.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";

const pathOf = (index: number) => `${CHECKPOINTS}/${String(index).padStart(20, "0")}.ckpt`;
const segmentsOf = (disk: PartitionDisk) => disk.files().filter((path) => path.endsWith(".seg"));

/** Two checkpoints and some records after them. */
async function twoCheckpoints(): Promise<{ node: CheckpointNode; older: number; newer: number }> {
  const node = new CheckpointNode(new PartitionDisk());
  const random = new Random(9);
  node.create("1-0");
  node.append("1-0", 10, random);
  const older = node.take();
  await older.done;
  node.append("1-0", 10, random);
  const newer = node.take();
  await newer.done;
  node.append("1-0", 3, random);
  return { node, older: older.index, newer: newer.index };
}

test("without a checkpoint recovery starts from nothing", async () => {
  const node = new CheckpointNode(new PartitionDisk());
  expect(await node.recover()).toBe(0);
  expect(node.checkpoints.journalNeededFrom).toBe(1);
});

test("the machine's chunks and raft's data come back as they were given", async () => {
  const disk = new PartitionDisk();
  const node = new CheckpointNode(disk);
  const chunks = [new Uint8Array(0), new Uint8Array(3_000_000).fill(7), Uint8Array.of(1)];
  const left = [...chunks];
  const meta = {
    index: 2 ** 40 + 5,
    term: 2 ** 33,
    clusterId: "prod-ü",
    configuration: new Uint8Array(500).fill(9),
  };
  await node.checkpoints.take(meta, { next: () => left.shift() ?? null });
  const loaded = await new CheckpointNode(disk.copy()).checkpoints.recover({ first: 1, last: 1 });
  expect(loaded?.meta).toEqual(meta);
  for (const chunk of chunks) expect(await loaded?.next()).toEqual(chunk);
  expect(await loaded?.next()).toBeNull();
  expect(await loaded?.next()).toBeNull();
});

test("a start decodes the manifest twice: once to verify it, and once to restore the partitions", async () => {
  const node = new CheckpointNode(new PartitionDisk());
  for (let topic = 1; topic <= 200; topic++) node.create(`${topic}-0`);
  node.index = 1;
  await node.take().done;
  const again = new CheckpointNode(node.disk.copy());
  const decoded = spyOn(ByteReader.prototype, "varint");
  try {
    const loaded = await again.checkpoints.recover({ first: 1, last: 1 });
    const atStart = decoded.mock.calls.length;
    decoded.mockClear();
    readManifest(loaded?.manifest ?? new Uint8Array(0), () => undefined);
    const once = decoded.mock.calls.length;
    // A few numbers are read besides, but not one for each partition.
    expect(once).toBeGreaterThan(1000);
    expect(Math.round(atStart / (once / 10))).toBe(20);
  } finally {
    decoded.mockRestore();
  }
});

test("the predecessor is kept, and so is the journal from there on", async () => {
  const { node, older, newer } = await twoCheckpoints();
  expect(node.checkpoints.indexes).toEqual([older, newer]);
  expect(node.checkpoints.journalNeededFrom).toBe(older + 1);
  await node.checkpoints.dropPredecessor();
  expect(node.checkpoints.indexes).toEqual([newer]);
  expect(node.checkpoints.journalNeededFrom).toBe(newer + 1);
  expect(node.disk.whole(pathOf(older))).toBeNull();
});

test("any flipped bit of the newest checkpoint leads to the older one, if the journal reaches from it", async () => {
  const { node, older, newer } = await twoCheckpoints();
  const length = node.disk.whole(pathOf(newer))?.length ?? 0;
  expect(length).toBeGreaterThan(500);
  for (let position = 0; position < length; position++) {
    const disk = node.disk.copy();
    disk.flip(pathOf(newer), position, position % 8);
    expect(await new CheckpointNode(disk).recover({ first: older + 1, last: newer })).toBe(older);
  }
});

test("a damaged checkpoint is set aside, so that it is not met again", async () => {
  const { node, older, newer } = await twoCheckpoints();
  const disk = node.disk.copy();
  disk.flip(pathOf(newer), 100, 3);
  expect(await new CheckpointNode(disk).recover()).toBe(older);
  const aside = disk.files().find((path) => path.startsWith(pathOf(newer))) ?? "";
  disk.flip(aside, 100, 3);
  const again = new CheckpointNode(disk.crash(disk.changes.length, "lost"));
  expect(await again.recover()).toBe(older);
});

test("a damaged newest checkpoint stops recovery if the journal cannot take its place", async () => {
  const { node, older, newer } = await twoCheckpoints();
  const disk = node.disk.copy();
  disk.flip(pathOf(newer), 100, 3);
  for (const journal of [
    { first: older + 2, last: newer },
    { first: older + 1, last: newer - 1 },
  ]) {
    const failure = await new CheckpointNode(disk.copy()).recover(journal).catch((error) => error);
    expect(failure).toBeInstanceOf(CheckpointDamaged);
    expect(failure.file).toBe(pathOf(newer));
    expect(failure.position).toBeLessThanOrEqual(100);
  }
});

test("with both damaged, a journal from the very first entry rebuilds everything", async () => {
  const { node, older, newer } = await twoCheckpoints();
  const disk = node.disk.copy();
  disk.flip(pathOf(newer), 50, 3);
  disk.flip(pathOf(older), 50, 3);
  expect(await new CheckpointNode(disk.copy()).recover({ first: 1, last: newer })).toBe(0);
  const failure = await new CheckpointNode(disk)
    .recover({ first: 2, last: newer })
    .catch((error) => error);
  expect(failure).toBeInstanceOf(CheckpointDamaged);
});

test("a truncated or lengthened checkpoint is damaged", async () => {
  const { node, older, newer } = await twoCheckpoints();
  for (const change of [-1, -500, 1]) {
    const disk = node.disk.copy();
    const file = await disk.open(pathOf(newer), "existing");
    const length = await file.size();
    if (change < 0) await file.truncate(length + change);
    else await file.write(length, Uint8Array.of(0));
    expect(await new CheckpointNode(disk).recover()).toBe(older);
  }
});

test("trimmed segments stay until no kept checkpoint names them", async () => {
  const { node } = await twoCheckpoints();
  const random = new Random(2);
  const before = segmentsOf(node.disk);
  expect(before.length).toBeGreaterThan(3);
  node.trim("1-0", node.log("1-0").endOffset);
  await node.store.flushAll();
  expect(segmentsOf(node.disk)).toEqual(expect.arrayContaining(before));
  expect(node.store.describe().pendingRemovalBytes).toBeGreaterThan(0);
  node.append("1-0", 1, random);
  await node.take().done;
  expect(segmentsOf(node.disk)).toEqual(expect.arrayContaining(before));
  node.append("1-0", 1, random);
  await node.take().done;
  await node.checkpoints.dropPredecessor();
  await node.store.close();
  expect(segmentsOf(node.disk).filter((path) => before.includes(path)).length).toBeLessThan(2);
  expect(node.store.describe().pendingRemovalBytes).toBe(0);
});

test("what was made and trimmed between two checkpoints goes at once", async () => {
  const { node } = await twoCheckpoints();
  const before = segmentsOf(node.disk);
  node.append("1-0", 40, new Random(3));
  await node.store.flushAll();
  const full = segmentsOf(node.disk);
  expect(full.length).toBeGreaterThan(before.length + 5);
  node.trim("1-0", node.log("1-0").endOffset);
  await node.store.close();
  expect(segmentsOf(node.disk).length).toBeLessThan(before.length + 3);
  expect(segmentsOf(node.disk)).toEqual(expect.arrayContaining(before));
});

test("the files of a held checkpoint stay unchanged until it is released", async () => {
  const { node, newer } = await twoCheckpoints();
  const held = node.checkpoints.hold();
  expect(held?.index).toBe(newer);
  const bytesOf = () =>
    held?.files.map(({ path, length }) => node.disk.whole(path)?.slice(0, length));
  const before = bytesOf();
  expect(before?.length).toBeGreaterThan(3);
  for (let i = 0; i < 4; i++) {
    node.trim("1-0", node.log("1-0").endOffset - 2);
    node.append("1-0", 5, new Random(i));
    await node.take().done;
  }
  expect(bytesOf()).toEqual(before);
  await held?.release();
  await held?.release();
  await node.store.close();
  expect(bytesOf()?.[0]).toBeUndefined();
  expect(bytesOf()?.[1]).toBeUndefined();
  expect(node.disk.files().filter((path) => path.endsWith(".ckpt")).length).toBe(2);
});

test("what a crash left beyond the checkpoint's length is cut off before the file grows again", async () => {
  const { node } = await twoCheckpoints();
  node.append("1-0", 30, new Random(4));
  await node.store.flushAll();
  const next = new CheckpointNode(node.disk.copy());
  await next.recover();
  const active = next.log("1-0").segments.at(-1);
  next.append("1-0", 1, new Random(5));
  const path = active?.path ?? "";
  expect(next.disk.whole(path)?.length).toBeGreaterThan(active?.length ?? 0);
  await next.store.flushAll();
  expect(next.disk.whole(path)?.length).toBe(active?.length);
});

test("what a crash left behind is swept with the first checkpoint of the next life", async () => {
  const { node, newer } = await twoCheckpoints();
  const disk = node.disk;
  await disk.makeDirectory("shards/0/partitions/0-5");
  await disk.open("shards/0/partitions/0-5/00000000000000000000.seg", "create");
  await disk.open("shards/0/partitions/1-0/00000000000000000001.seg", "create");
  await disk.open("shards/0/partitions/1-0/00000000000000000001.idx", "create");
  await disk.open(`${pathOf(3)}.tmp`, "create");
  await disk.open(`${pathOf(3)}.damaged`, "create");
  const next = new CheckpointNode(disk.copy());
  expect(await next.recover()).toBe(newer);
  next.append("1-0", 3, new Random(1));
  await next.take().done;
  const files = next.disk.files();
  expect(files.filter((path) => /0-5|001\.(seg|idx)|tmp|damaged/.test(path))).toEqual([]);
  await next.verify();
});

test("a full disk fails the checkpoint, loses nothing, and it succeeds when there is room", async () => {
  await forEachSeedAsync(20, async (random) => {
    const disk = new PartitionDisk();
    const node = new CheckpointNode(disk);
    node.create("1-0");
    node.create("2-0");
    node.append("1-0", 10, random);
    await node.take().done;
    node.append("1-0", 10, random);
    node.append("2-0", 10, random);
    disk.room = random.below(4000);
    const { done } = node.take();
    node.append("2-0", 3, random);
    expect(await done.catch((error) => error)).toBeInstanceOf(DiskFull);
    await node.verify();
    const fallen = new CheckpointNode(disk.crash(disk.changes.length, random));
    expect(await fallen.recover()).toBe(10);
    await fallen.verify();
    disk.room = Number.POSITIVE_INFINITY;
    node.store.retryAfterDiskFull();
    const { state, done: second } = node.take();
    await second;
    await node.verify();
    const after = new CheckpointNode(disk.crash(disk.changes.length, "lost"));
    await after.recover();
    await after.verify(state);
  });
});

test("a failed sync is a failure for good, also if space was what it lacked", async () => {
  for (const error of [new DiskFailure("EIO"), new DiskFull("no space")]) {
    const disk = new PartitionDisk();
    const node = new CheckpointNode(disk);
    node.create("1-0");
    node.append("1-0", 10, new Random(1));
    disk.before = (operation) => {
      if (operation === "sync") throw error;
    };
    const failure = await node.take().done.catch((caught) => caught);
    expect(failure).toBeInstanceOf(DiskFailure);
    expect(failure).not.toBeInstanceOf(DiskFull);
  }
});

test("a failure of any disk operation fails the checkpoint, and the one before still loads", async () => {
  // Goal: no operation is taken for granted. Method: fail the nth, for every n until none is left.
  for (let n = 0; ; n++) {
    const disk = new PartitionDisk();
    const node = new CheckpointNode(disk);
    node.create("1-0");
    node.append("1-0", 10, new Random(1));
    const first = node.take();
    await first.done;
    node.append("1-0", 10, new Random(2));
    let left = n;
    disk.before = () => {
      if (left-- === 0) throw new DiskFailure("EIO");
    };
    const outcome = await node.take().done.then(
      () => "done",
      (error) => error,
    );
    disk.before = null;
    if (left >= 0) {
      expect(outcome).toBe("done");
      expect(n).toBeGreaterThan(10);
      return;
    }
    expect(outcome).toBeInstanceOf(DiskFailure);
    const after = new CheckpointNode(disk.crash(disk.changes.length, "lost"));
    expect(await after.recover()).toBeGreaterThanOrEqual(first.index);
    await after.verify();
  }
});
