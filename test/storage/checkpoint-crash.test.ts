import { expect, test } from "bun:test";
import { Random } from "../tools/random.ts";
import { CHECKPOINTS, CheckpointNode } from "../tools/storage/checkpoint-support.ts";
import { type CrashRule, PartitionDisk } from "../tools/storage/partition-disk.ts";

type Durable = {
  readonly index: number;
  readonly state: CheckpointNode["state"];
  /** Number of disk changes when the checkpoint was reported durable. */
  changes: number;
};

/** Work with several checkpoints; appends, trims and deletions go on while they are written. */
async function workload(node: CheckpointNode, random: Random): Promise<Durable[]> {
  const durable: Durable[] = [];
  const checkpoint = async (meanwhile: () => void) => {
    const { index, state, done } = node.take();
    const entry = { index, state, changes: Number.POSITIVE_INFINITY };
    durable.push(entry);
    meanwhile();
    await done;
    entry.changes = node.disk.changes.length;
  };
  node.create("1-0");
  node.create("2-0");
  node.append("1-0", 12, random);
  await checkpoint(() => node.append("2-0", 5, random));
  node.create("3-1");
  node.append("3-1", 10, random);
  node.append("1-0", 6, random);
  await node.store.flushAll();
  await checkpoint(() => {
    node.trim("1-0", 30);
    node.append("1-0", 6, random);
    node.delete("2-0");
  });
  node.trim("3-1", 12);
  node.append("1-0", 9, random);
  await checkpoint(() => {
    node.trim("1-0", node.log("1-0").endOffset - 3);
    node.append("3-1", 5, random);
  });
  await checkpoint(() => node.delete("3-1"));
  node.append("1-0", 5, random);
  await checkpoint(() => node.append("1-0", 5, random));
  await node.checkpoints.dropPredecessor();
  await node.store.close();
  return durable;
}

/** Starts from the image, compares, goes on, and survives a second crash. */
async function recoverAndGoOn(image: PartitionDisk, durable: readonly Durable[], count: number) {
  const node = new CheckpointNode(image);
  const index = await node.recover();
  const newest = durable.filter(({ changes }) => changes <= count).at(-1)?.index ?? 0;
  if (index < newest) throw new Error(`checkpoint ${index} although ${newest} was durable`);
  const state = durable.find((one) => one.index === index)?.state ?? new Map();
  await node.verify(state);
  if (state.has("1-0")) {
    node.append("1-0", 8, new Random(count));
    node.trim("1-0", node.log("1-0").lowWatermark + 5);
  } else {
    node.create("1-0");
    node.append("1-0", 8, new Random(count));
  }
  const { state: second, done } = node.take();
  await done;
  await node.verify();
  const again = new CheckpointNode(image.crash(image.changes.length, "lost"));
  await again.recover();
  await again.verify(second);
}

/** The newest checkpoint is damaged besides: the one before, if still there, must be as whole. */
async function recoverFromOlder(image: PartitionDisk, durable: readonly Durable[]): Promise<void> {
  const names = (await image.list(CHECKPOINTS)).filter((name) => name.endsWith(".ckpt"));
  if (names.length < 2) return;
  image.flip(`${CHECKPOINTS}/${names.at(-1)}`, 20, 1);
  const node = new CheckpointNode(image);
  const index = await node.recover();
  expect(index).toBe(Number.parseInt(names.at(-2) ?? "", 10));
  await node.verify(durable.find((one) => one.index === index)?.state);
}

test("after a crash at any disk change the partitions are exactly those of the newest durable checkpoint", async () => {
  // Goal: no order of lost, kept and torn unsynced changes harms a checkpoint. Method: one workload,
  // a crash after each of its disk changes, under four rules for what was not synced.
  const disk = new PartitionDisk();
  const node = new CheckpointNode(disk);
  const durable = await workload(node, new Random(5));
  expect(durable.length).toBeGreaterThan(4);
  for (let count = 0; count <= disk.changes.length; count++) {
    const rules: CrashRule[] = ["lost", "kept", new Random(count), new Random(count + 1e6)];
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
