/**
 * Goal: records that retention has deleted hold nothing of a queue: no key, no place among those that
 * are given out again, no span. Method: one simulated node, and records that are deleted while
 * they are leased, wait, or are passed over.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import type { Offset } from "../../src/record/offset.ts";
import { produced } from "../tools/node/as-promises.ts";
import { Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A queue over one partition with a record for each letter, which is its key. */
async function queued(order: "key" | "none", keys: string, copies = 1) {
  const script = new Script({ nodes: 1, spares: 0, queueRequestsMax: 1_000 });
  script.start();
  await script.create("t");
  const definition = {
    ...{ topic: "t", visibilityMs: 60_000, maxDeliveries: 5, backoffMs: [0], order },
    ...{ deadLetter: null, maxInFlight: 100_000, from: "earliest" as const },
  };
  await script.insist(
    (node) => node.queues.define("q", definition),
    ({ ok }) => ok,
  );
  const place = { topic: "t", partition: 0, key: null, idempotencyKey: null };
  for (let i = 0; i < copies; i++) {
    const builder = new BatchBuilder();
    for (const key of keys) builder.add(utf8(key), utf8("job"));
    const records = builder.finish();
    const write = { ...place, records, timeoutMs: null, rocket: false };
    await script.insist(
      (node) => produced(node, write),
      ({ ok }) => ok,
    );
  }
  const receive = async (max: number, visibilityMs: number | null = null) => {
    const request = { queue: "q", max, waitMs: 0, visibilityMs, signal: null };
    const received = await script.ask((node) => node.queues.receive(request));
    if (!received.ok) throw new Error(received.code);
    return received;
  };
  const offsets = async (max: number, visibilityMs: number | null = null) =>
    (await receive(max, visibilityMs)).messages.map(({ offset }) => offset);
  const nack = async (messages: readonly { receipt: string }[], delayMs = 0) => {
    const receipts = messages.map(({ receipt }) => receipt);
    const how = { kind: "nack", delayMs } as const;
    await script.ask((node) => node.queues.settle({ queue: "q", receipts, how }));
  };
  const deleteBefore = async (beforeOffset: number) => {
    const request = { topic: "t", partition: 0, beforeOffset: beforeOffset as Offset };
    await script.insist(
      (node) => node.deleteBefore(request),
      ({ ok }) => ok,
    );
  };
  return { script, receive, offsets, nack, deleteBefore };
}

test("a leased record that is deleted releases its key", async () => {
  const { offsets, deleteBefore } = await queued("key", "aab");
  expect(await offsets(1)).toEqual([0]);
  expect(await offsets(9)).toEqual([2]);
  await deleteBefore(1);
  expect(await offsets(9)).toEqual([1]);
});

test("a record that waits for its retry and is deleted releases its key", async () => {
  const { receive, offsets, nack, deleteBefore } = await queued("key", "aa");
  await nack((await receive(1)).messages);
  await deleteBefore(1);
  expect(await offsets(9)).toEqual([1]);
});

test("a record whose lease is over and that is deleted releases its key", async () => {
  const { script, offsets, deleteBefore } = await queued("key", "aa");
  expect(await offsets(1, 1_000)).toEqual([0]);
  await script.pass(2_000);
  await deleteBefore(1);
  expect(await offsets(9)).toEqual([1]);
});

test("records of a key that were passed over and are deleted are passed over in one request", async () => {
  const { offsets, deleteBefore } = await queued("key", "aaaaa");
  expect(await offsets(9)).toEqual([0]);
  await deleteBefore(4);
  expect(await offsets(9)).toEqual([4]);
});

test("deleted records take no place among those that are given out again", async () => {
  const { script, receive, nack, deleteBefore } = await queued("none", "a".repeat(1_000), 20);
  for (let i = 0; i < 200; i++) await nack((await receive(100)).messages, 10_000);
  await script.pass(11_000);
  const last = await receive(100);
  expect(last.messages.map(({ attempt }) => attempt)).not.toContain(1);
  await nack(last.messages);
  await deleteBefore(19_999);
  const { messages } = await receive(1);
  expect(messages.map(({ offset }) => offset)).toEqual([19_999]);
});

test("more deleted records than a queue keeps track of do not block it", async () => {
  const { receive, offsets, deleteBefore } = await queued("none", "a".repeat(1_001), 101);
  expect(await offsets(1)).toEqual([0]);
  await deleteBefore(101_000);
  const { messages, blocked } = await receive(1);
  expect([messages[0]?.offset, blocked]).toEqual([101_000, null]);
});
