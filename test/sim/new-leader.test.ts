/**
 * A node does not deny what it has not applied yet: it asks, or leaves the answer to the leader.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { ProduceOutcome, ProduceRequest } from "../../src/node/api.ts";
import type { Node } from "../../src/node/node.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

const PLACE = { topic: "t", partition: 0 };
const GROUP = { ...PLACE, group: "g" };
const VIEW = JSON.stringify({
  source: PLACE,
  aggregate: { group_by: [], measures: [{ op: "count" }] },
});

const produce = (node: Node, more: Partial<ProduceRequest>): Promise<ProduceOutcome> => {
  const records = encodeRecord(null, new Uint8Array([7]));
  const request = { ...PLACE, key: null, idempotencyKey: null, records, timeoutMs: null };
  return new Promise((resolve) => node.produce({ ...request, rocket: false, ...more }, resolve));
};

/** Three nodes, and the one that leads is gone before the others know what it has committed. */
async function bereft(partitions: number, records: number): Promise<Script> {
  const script = new Script();
  script.start("n1", "n2", "n3");
  await script.create("warm");
  await script.ask((node) => node.createTopic("t", partitions));
  for (let i = 0; i < records; i++) await script.ask((node) => produce(node, {}));
  script.leader?.kill();
  return script;
}

const WRITES: readonly [string, number, (node: Node) => Promise<object>, object][] = [
  ["a commit", 0, (node) => node.commitOffset({ ...GROUP, offset: 0 }), { committedOffset: 0 }],
  ["a deletion", 3, (node) => node.deleteBefore({ ...PLACE, beforeOffset: 3 }), { ok: true }],
  ["a view", 0, (node) => node.streams.putView("v", VIEW), { created: true }],
  ["a produce", 0, (node) => produce(node, { partition: 12 }), { firstOffset: 0, partition: 12 }],
  ["a rocket", 3, (node) => produce(node, { rocket: true }), { firstOffset: 3 }],
];

for (const [what, records, write, expected] of WRITES) {
  test(`${what} is not denied by a leader that has not applied all of its log`, async () => {
    const script = await bereft(16, records);
    expect(await script.ask(write)).toMatchObject({ ok: true, ...expected });
  });

  test(`${what} of what it does not know is for the leader, says a follower`, async () => {
    const script = new Script();
    script.start("n1", "n2", "n3");
    await script.create("warm");
    const follower = script.cluster.nodes.find(({ node }) => node?.health().role === "follower");
    expect(await script.ask(write, follower?.id)).toMatchObject({ ok: false, code: "not_leader" });
  });
}
