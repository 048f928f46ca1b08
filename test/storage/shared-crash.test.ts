import { expect, test } from "bun:test";
import { Random } from "../tools/random.ts";
import { CHECKPOINTS, CheckpointNode } from "../tools/storage/checkpoint-support.ts";
import { type CrashRule, PartitionDisk } from "../tools/storage/partition-disk.ts";

const OPTIONS = { segmentBytes: 12_000, mayShare: () => true, warmMax: 1 };
const GROWING = "9-0";
const SMALL = ["1-0", "2-0", "2-1", "3-0", "4-0", "5-0"];

type Durable = {
  readonly index: number;
  readonly state: CheckpointNode["state"];
  /** Number of disk changes when the checkpoint was reported durable. */
  changes: number;
};

type Run = { readonly durable: Durable[]; readonly merges: number; readonly files: number };

/**
 * Many checkpoints with a few records each: pieces are merged, files become garbage and are emptied, a
 * partition grows out of them, others are trimmed and deleted while a checkpoint is written.
 */
async function workload(node: CheckpointNode, random: Random): Promise<Run> {
  const durable: Durable[] = [];
  let merges = 0;
  let files = 0;
  const checkpoint = async (meanwhile: () => void) => {
    const { index, state, done } = node.take();
    const entry = { index, state, changes: Number.POSITIVE_INFINITY };
    durable.push(entry);
    meanwhile();
    await done;
    entry.changes = node.disk.changes.length;
    const before = [...node.store.logs()].reduce((sum, log) => sum + log.segments.length, 0);
    await node.store.tidy();
    const after = [...node.store.logs()].reduce((sum, log) => sum + log.segments.length, 0);
    if (after < before) merges++;
    files = Math.max(files, node.store.sharedSizes.files);
  };
  for (const name of SMALL) node.create(name);
  node.create(GROWING);
  for (let round = 0; round < 12; round++) {
    for (const name of node.state.keys()) node.append(name, 1, random);
    await checkpoint(() => {
      node.append("1-0", 1, random);
      if (round === 3) node.trim("2-0", node.log("2-0").endOffset);
      if (round === 5) node.delete("3-0");
      if (round === 7) node.trim("4-0", node.log("4-0").endOffset - 1);
    });
    if (round === 4) node.append(GROWING, 60, random);
    if (round === 6) await node.store.flushAll();
    if (round === 8) node.delete("5-0");
  }
  node.delete("2-1");
  for (let round = 0; round < 2; round++) {
    node.append("1-0", 1, random);
    await checkpoint(() => undefined);
  }
  await node.store.close();
  return { durable, merges, files };
}

/** Starts from the image, compares, goes on, and survives a second crash. */
async function recoverAndGoOn(image: PartitionDisk, durable: readonly Durable[], count: number) {
  const node = new CheckpointNode(image, OPTIONS);
  const index = await node.recover();
  const newest = durable.filter(({ changes }) => changes <= count).at(-1)?.index ?? 0;
  if (index < newest) throw new Error(`checkpoint ${index} although ${newest} was durable`);
  const state = durable.find((one) => one.index === index)?.state ?? new Map();
  await node.verify(state);
  if (!node.state.has("1-0")) node.create("1-0");
  const random = new Random(count);
  for (const name of node.state.keys()) node.append(name, 2, random);
  const { state: second, done } = node.take();
  await done;
  await node.store.tidy();
  await node.verify();
  const again = new CheckpointNode(image.crash(image.changes.length, "lost"), OPTIONS);
  await again.recover();
  await again.verify(second);
}

/** The newest checkpoint is damaged besides: the one before, if still there, must be as whole. */
async function recoverFromOlder(image: PartitionDisk, durable: readonly Durable[]): Promise<void> {
  const names = (await image.list(CHECKPOINTS)).filter((name) => name.endsWith(".ckpt"));
  if (names.length < 2) return;
  image.flip(`${CHECKPOINTS}/${names.at(-1)}`, 20, 1);
  const node = new CheckpointNode(image, OPTIONS);
  const index = await node.recover();
  expect(index).toBe(Number.parseInt(names.at(-2) ?? "", 10));
  await node.verify(durable.find((one) => one.index === index)?.state);
}

test("after a crash at any disk change small partitions that share files are those of the newest durable checkpoint", async () => {
  // Goal: no order of lost, kept and torn unsynced changes harms a checkpoint that names shared files,
  // and moving pieces never takes bytes from a checkpoint. Method: one workload, a crash after each of
  // its disk changes, under two of three rules for what was not synced.
  const disk = new PartitionDisk();
  const { durable, merges, files } = await workload(
    new CheckpointNode(disk, OPTIONS),
    new Random(5),
  );
  expect(durable.length).toBe(14);
  expect(merges).toBeGreaterThan(0);
  expect(files).toBeGreaterThan(1);
  expect(disk.files().some((path) => path.includes("/9-0/"))).toBe(true);
  for (let count = 0; count <= disk.changes.length; count++) {
    const rules: CrashRule[] = ["lost", count % 2 === 0 ? "kept" : new Random(count)];
    for (const [i, rule] of rules.entries()) {
      try {
        await recoverAndGoOn(disk.crash(count, rule), durable, count);
        await recoverFromOlder(disk.crash(count, rule), durable);
      } catch (cause) {
        throw new Error(`crash after change ${count}, rule ${i}`, { cause });
      }
    }
  }
}, 300_000);
