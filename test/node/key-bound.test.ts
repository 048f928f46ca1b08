/** The bound on idempotency keys, decided by a whole node as leader. */
import { expect, test } from "bun:test";
import type { Node } from "../../src/node/node.ts";
import { NO_KV_LIMITS } from "../../src/node/writes/kv-access.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { produced } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";

const TOTAL = 1_000;

const produce = (node: Node, partition: number, key: string) =>
  produced(node, {
    topic: "t",
    partition,
    key: null,
    idempotencyKey: Buffer.from(key),
    records: encodeRecord(null, new Uint8Array([1])),
    timeoutMs: null,
    rocket: false,
  });

async function write(single: SingleNode, node: Node, partition: number, count: number) {
  const keys = Array.from({ length: count }, (_, i) => `${partition}-${i}`);
  for (let at = 0; at < count; at += 100) {
    const part = keys.slice(at, at + 100).map((key) => produce(node, partition, key));
    await single.settled(Promise.all(part));
  }
}

async function pass(single: SingleNode, ms: number): Promise<void> {
  for (let i = 0; i < ms; i++) await single.clock.advance(1);
}

async function isDuplicate(single: SingleNode, node: Node, partition: number, key: string) {
  const outcome = await single.settled(produce(node, partition, key));
  return outcome.ok && outcome.duplicate;
}

test("above the bound the largest partition forgets its oldest keys; a restart does not bring them back", async () => {
  const disk = new SimDisk();
  const open = async () => {
    const single = new SingleNode(new Random(1), disk, NO_KV_LIMITS, TOTAL);
    return { single, node: await single.open() };
  };
  const { single, node } = await open();
  await single.settled(node.createTopic("t", 2));
  await write(single, node, 0, 100);
  await write(single, node, 1, 950);
  await pass(single, 4_000);
  const { dedupeKeys, dedupeKeysMax, dedupeKeysTotal, keysForgottenEarly } = single.instruments;
  expect(dedupeKeysTotal.value).toBe(TOTAL);
  expect(dedupeKeysMax.value).toBe(800);
  expect(dedupeKeys.value).toBe(900);
  expect(keysForgottenEarly.value).toBe(150);
  expect(await isDuplicate(single, node, 0, "0-0")).toBe(true);
  expect(await isDuplicate(single, node, 1, "1-150")).toBe(true);
  expect(await isDuplicate(single, node, 1, "1-949")).toBe(true);
  await single.settled(node.stop());

  const again = await open();
  await pass(again.single, 2_000);
  expect(again.single.instruments.dedupeKeysMax.value).toBe(800);
  expect(again.single.instruments.dedupeKeys.value).toBe(900);
  expect(await isDuplicate(again.single, again.node, 1, "1-150")).toBe(true);
  expect(await isDuplicate(again.single, again.node, 1, "1-149")).toBe(false);
  await again.single.settled(again.node.stop());
});

test("the sizes of the state are measured, each with its bound", async () => {
  const limits = { bytesMax: 600, namespacesMax: 7 };
  const single = new SingleNode(new Random(1), new SimDisk(), limits, TOTAL);
  const node = await single.open();
  await single.settled(node.createTopic("t", 5));
  await single.settled(node.commitOffset({ topic: "t", partition: 0, group: "g", offset: 0 }));
  for (const namespace of ["a", "b"]) {
    const put = { namespace, key: "k", value: new Uint8Array(9), cas: null, ttlMs: null };
    await single.settled(
      new Promise<void>((done) => node.kvPut({ ...put, timeoutMs: null }, () => done())),
    );
  }
  await pass(single, 1_500);
  const { instruments } = single;
  const values = Object.fromEntries(
    (
      [
        ["partitions", "partitionsMax"],
        ["groups", "groupsMax"],
        ["namespaces", "namespacesMax"],
        ["kvBytes", "kvBytesMax"],
      ] as const
    ).map(([size, bound]) => [size, [instruments[size].value, instruments[bound].value]]),
  );
  expect(values).toEqual({
    partitions: [5, 100],
    groups: [1, 3],
    namespaces: [2, 7],
    kvBytes: [2 * (10 + 256), 600],
  });
  await single.settled(node.stop());
});
