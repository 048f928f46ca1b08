import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

test("a checkpoint that found no room is taken as soon as there is some", async () => {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  const request = { namespace: "kv", key: "k", value: utf8("v"), cas: null, ttlMs: null };
  await single.settled(stored(node, { ...request, timeoutMs: null }));
  const checkpoints = async () =>
    (await single.disk.list("shards/0/checkpoints")).filter((name) => name.endsWith(".ckpt"));
  const before = await checkpoints();
  single.disk.faults.full = true;
  await single.settled(node.compact());
  expect(await checkpoints()).toEqual(before);
  single.disk.faults.full = false;
  for (let i = 0; i < 5_000; i++) await single.clock.advance(10);
  const after = await checkpoints();
  expect(after.length).toBeGreaterThan(0);
  expect(after.at(-1)).not.toBe(before.at(-1));
  await single.settled(node.stop());
});
