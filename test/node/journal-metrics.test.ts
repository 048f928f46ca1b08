import { expect, test } from "bun:test";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { produced } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const PRODUCES = 10;

test("a produce alone is one sync of the journal with one record, however often the shard turns", async () => {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  await single.settled(node.createTopic("t", 1));
  const { fsyncSeconds, batchRecords } = single.instruments;
  const before = {
    syncs: fsyncSeconds.count,
    batches: batchRecords.count,
    records: batchRecords.sum,
  };
  for (let i = 0; i < PRODUCES; i++) {
    const records = encodeRecord(null, new Uint8Array(10));
    const to = { topic: "t", partition: 0, key: null, idempotencyKey: null };
    await single.settled(produced(node, { ...to, records, timeoutMs: null, rocket: false }));
  }
  await single.settled(node.stop());
  expect(fsyncSeconds.count - before.syncs).toBe(PRODUCES);
  expect(batchRecords.count - before.batches).toBe(PRODUCES);
  expect(batchRecords.sum - before.records).toBe(PRODUCES);
});
