/** Waits for records on one whole node, while the topic is deleted and created again. */
import { expect, test } from "bun:test";
import type { Node } from "../../src/node/node.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { produced } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const PLACE = { topic: "t", partition: 0 };
const TURNS = 20;

async function opened() {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  await single.settled(node.createTopic("t", 1));
  return { single, node };
}

async function topicIdOf(single: SingleNode, node: Node): Promise<number> {
  const request = { ...PLACE, group: "g", offset: null, limit: 1, maxBytes: 1024 };
  const page = await single.settled(node.consume({ ...request, linearizable: false }));
  if (!page.ok) throw new Error(page.code);
  return page.topicId;
}

/** Whether the wait has ended after a few turns of the loop; its deadline is an hour away. */
async function endsAtOnce(node: Node, topicId: number, offset: number): Promise<boolean> {
  let ended = false;
  const stop = new AbortController();
  const waiting = node.waitForRecords({
    ...PLACE,
    topicId,
    offset,
    timeoutMs: 3_600_000,
    signal: stop.signal,
  });
  void waiting.then(() => {
    ended = true;
  });
  for (let turn = 0; turn < TURNS; turn++) await Promise.resolve();
  const result = ended;
  stop.abort();
  await waiting;
  return result;
}

test("a wait on a topic that was deleted and created again ends at once, whichever is longer", async () => {
  const { single, node } = await opened();
  const before = await topicIdOf(single, node);
  await single.settled(node.deleteTopic("t"));
  expect(await endsAtOnce(node, before, 0)).toBe(true);
  await single.settled(node.createTopic("t", 1));
  const after = await topicIdOf(single, node);
  expect(after).toBeGreaterThan(before);
  // The new one is empty, then as long as the position, then longer.
  for (let records = 0; records < 3; records++) {
    expect(await endsAtOnce(node, before, 1)).toBe(true);
    const request = { ...PLACE, key: null, idempotencyKey: null, timeoutMs: null, rocket: false };
    const records = encodeRecord(null, new Uint8Array([1]));
    await single.settled(produced(node, { ...request, records }));
  }
  expect(await endsAtOnce(node, after, 2)).toBe(true);
  expect(await endsAtOnce(node, after, 3)).toBe(false);
  await single.settled(node.stop());
});

test("a deletion ends the waits that are under way", async () => {
  const { single, node } = await opened();
  const topicId = await topicIdOf(single, node);
  const { signal } = new AbortController();
  const wait = { ...PLACE, topicId, offset: 0, timeoutMs: 3_600_000, signal };
  const waiting = node.waitForRecords(wait);
  await single.settled(node.deleteTopic("t"));
  await single.settled(waiting);
  await single.settled(node.stop());
});
