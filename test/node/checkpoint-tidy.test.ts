import { expect, spyOn, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { PartitionStore } from "../../src/storage/partitions/store.ts";
import { stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";

test("a checkpoint is complete before pieces are moved, and the next one begins after it", async () => {
  const single = new SingleNode(new Random(1), new SimDisk());
  const node = await single.open();
  const put = (value: string) =>
    single.settled(
      stored(node, {
        ...{ namespace: "kv", key: "k", cas: null, ttlMs: null, timeoutMs: null },
        value: utf8(value),
      }),
    );
  const moving = Promise.withResolvers<void>();
  const tidy = spyOn(PartitionStore.prototype, "tidy").mockImplementation(() => moving.promise);
  try {
    await put("1");
    const first = await single.settled(node.compact());
    expect(tidy).toHaveBeenCalledTimes(1);
    await put("2");
    let isTaken = false;
    const second = node.compact().finally(() => {
      isTaken = true;
    });
    await put("3");
    expect(isTaken).toBe(false);
    moving.resolve();
    const { checkpointIndex } = await single.settled(second);
    expect(checkpointIndex).toBeGreaterThan(first.checkpointIndex);
    expect(tidy).toHaveBeenCalledTimes(2);
  } finally {
    tidy.mockRestore();
  }
  await single.settled(node.stop());
});
