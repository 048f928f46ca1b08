/**
 * Goal: a dead letter is the record with headers of its own and nothing less, many large ones are put
 * aside with little memory, and the number of dead letters is that of those which are there. Method: one
 * simulated node.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { decodeHeaders, encodeHeaders, type Header } from "../../src/record/headers.ts";
import type { Offset } from "../../src/record/offset.ts";
import { produced } from "../tools/node/as-promises.ts";
import { Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A queue over one partition whose records are leased. */
async function leased(count: number, value: Uint8Array, headers: readonly Header[] = []) {
  const script = new Script({ nodes: 1, spares: 0, queueRequestsMax: 1_000 });
  script.start();
  await script.create("t");
  const definition = {
    ...({ topic: "t", visibilityMs: 60_000, maxDeliveries: 5, backoffMs: [0] } as const),
    ...({ order: "none", deadLetter: "d", maxInFlight: 1_000, from: "earliest" } as const),
  };
  await script.insist(
    (node) => node.queues.define("q", definition),
    ({ ok }) => ok,
  );
  const place = { topic: "t", partition: 0, key: null, idempotencyKey: null };
  for (let i = 0; i < count; i++) {
    const records = encodeRecord(utf8("k"), value, encodeHeaders(headers));
    const write = { ...place, records, timeoutMs: null, rocket: false };
    await script.insist(
      (node) => produced(node, write),
      ({ ok }) => ok,
    );
  }
  const receipts: string[] = [];
  while (receipts.length < count) {
    const request = { queue: "q", max: 100, waitMs: 0, visibilityMs: null, signal: null };
    const received = await script.ask((node) => node.queues.receive(request));
    if (!received.ok) throw new Error(received.code);
    receipts.push(...received.messages.map(({ receipt }) => receipt));
  }
  const reject = () =>
    script.ask((node) => node.queues.reject({ queue: "q", receipts, reason: "no" }));
  const redrive = (max: number | null = null) =>
    script.ask((node) => node.queues.redrive({ queue: "q", max, perSecond: null }));
  const dead = async () => {
    const described = await script.ask((node) => node.queues.describeQueue("q"));
    return described.ok ? described.dead : null;
  };
  return { script, reject, redrive, dead };
}

async function lastHeaders(script: Script, topic: string): Promise<Header[]> {
  const at = { topic, partition: 0, group: "g", offset: 0, linearizable: false };
  const page = await script.ask((node) => node.consume({ ...at, limit: 99, maxBytes: 1 << 24 }));
  if (!page.ok) throw new Error(page.code);
  let headers: Header[] = [];
  for (const slice of page.slices) {
    const cursor = new RecordCursor(slice);
    while (cursor.next()) {
      headers = decodeHeaders(cursor.bytes, cursor.headersStart, cursor.headersEnd);
    }
  }
  return headers;
}

test("headers of a record stay, whatever they begin with, and those of a dead letter go with it", async () => {
  const own = { name: "dead-line", value: "noon" };
  const others = [own, { name: "dead-reason", value: "of an earlier queue" }];
  const { script, reject, redrive } = await leased(1, utf8("v"), others);
  expect(await reject()).toMatchObject({ ok: true, results: [null] });
  const headers = await lastHeaders(script, "d");
  expect(headers.map(({ name }) => name)).toEqual([
    ...["dead-at-ms", "dead-attempts", "dead-line", "dead-offset", "dead-partition"],
    ...["dead-queue", "dead-reason", "dead-topic"],
  ]);
  expect(headers).toContainEqual(own);
  expect(headers).toContainEqual({ name: "dead-reason", value: "no" });
  expect(await redrive()).toEqual({ ok: true, moved: 1, remaining: 0 });
  expect(await lastHeaders(script, "t")).toEqual([own]);
});

test("large records are put aside a few at a time, also where all of them are more than the log takes", async () => {
  const { reject, dead } = await leased(40, new Uint8Array(1_000_000));
  const rejected = await reject();
  expect(rejected).toEqual({ ok: true, results: Array.from({ length: 40 }, () => null) });
  expect(await dead()).toBe(40);
});

test("dead letters that retention has deleted, or whose topic was deleted, do not count", async () => {
  const { script, reject, redrive, dead } = await leased(5, utf8("v"));
  await reject();
  expect(await dead()).toBe(5);
  expect(await redrive(1)).toEqual({ ok: true, moved: 1, remaining: 4 });
  const request = { topic: "d", partition: 0, beforeOffset: 3 as Offset };
  await script.ask((node) => node.deleteBefore(request));
  expect(await dead()).toBe(2);
  expect(await redrive(1)).toEqual({ ok: true, moved: 1, remaining: 1 });
  await script.ask((node) => node.deleteTopic("d"));
  expect(await dead()).toBe(0);
  expect(await redrive()).toEqual({ ok: true, moved: 0, remaining: 0 });
});
