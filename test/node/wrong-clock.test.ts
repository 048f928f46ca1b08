/** A node alone that starts with a clock that is a year ahead keeps what has a time to live. */
import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import type { Node } from "../../src/node/node.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { produced, read, stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const [SECOND_MS, MINUTE_MS, DAY_MS] = [1_000, 60_000, 86_400_000] as const;

async function write(single: SingleNode, node: Node): Promise<void> {
  await single.settled(node.createTopic("t", 1));
  const retention = { topic: "t", partition: null, ttlMs: DAY_MS, maxBytes: 0 };
  expect(await single.settled(node.setRetention(retention))).toMatchObject({ ok: true });
  const record = {
    topic: "t",
    partition: 0,
    key: null,
    idempotencyKey: null,
    records: encodeRecord(null, utf8("kept")),
    timeoutMs: null,
    rocket: false,
  };
  expect(await single.settled(produced(node, record))).toMatchObject({ ok: true });
  const key = { namespace: "n", key: "k", value: utf8("kept"), cas: null, timeoutMs: null };
  expect(await single.settled(stored(node, { ...key, ttlMs: DAY_MS }))).toMatchObject({ ok: true });
}

/** Tells how many records are left, and whether the key is. */
async function left(single: SingleNode, node: Node): Promise<{ records: number; key: boolean }> {
  const [partition] = (await single.settled(Promise.resolve(node.listTopics()))) ?? [];
  const value = await single.settled(read(node, { namespace: "n", key: "k", linearizable: false }));
  return { records: partition?.messages ?? 0, key: value.ok };
}

test("expiry is held back until the clock is set right, or is believed", async () => {
  for (const isWrong of [true, false]) {
    const single = new SingleNode(new Random(1));
    let node = await single.open();
    await write(single, node);
    await single.settled(node.stop());
    single.clock.skewMs = 365 * DAY_MS;
    node = await single.open();
    for (let i = 0; i < 60; i++) await single.clock.advance(SECOND_MS);
    expect(await left(single, node)).toEqual({ records: 1, key: true });
    if (isWrong) single.clock.skewMs = 0;
    for (let i = 0; i < 10; i++) await single.clock.advance(MINUTE_MS);
    // Believed after ten minutes: then it was right, and a year has passed.
    expect(await left(single, node)).toEqual({ records: isWrong ? 1 : 0, key: isWrong });
    await single.settled(node.stop());
  }
});
