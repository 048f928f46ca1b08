import { expect, test } from "bun:test";
import type { Offset } from "../../src/record/offset.ts";
import { DEFAULT_JOIN_RULES, type JoinRules } from "../../src/stream/join-rules.ts";
import { produceOf, StreamBench, until } from "../tools/node-views/support.ts";

const BODY = JSON.stringify({ source: { topic: "t", partition: 0, limit: 10_000 } });
const never = () => new AbortController().signal;

function bench(records = 5): StreamBench {
  const made = new StreamBench();
  made.run({ type: "create_topic", name: "t", partitions: 1 });
  for (let i = 0; i < records; i++) {
    made.run(produceOf([{ i }]));
  }
  return made;
}
/** Reads of the partition wait until `open` is called. */
function gated(made: StreamBench): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  made.log().gate = promise;
  return () => {
    made.log().gate = null;
    resolve();
  };
}
const consumedOf = (answer: { ok: boolean; consumed?: number }): unknown => answer.consumed;

test("four run, sixteen wait, one more is refused; all that waited are served", async () => {
  const made = bench();
  const open = gated(made);
  const running = Array.from({ length: 20 }, () =>
    made.streams.query({ body: BODY, signal: never() }),
  );
  await until("four read", () => made.log().reads.length === 4);
  expect(await made.streams.query({ body: BODY, signal: never() })).toMatchObject({
    ok: false,
    code: "overloaded",
  });
  open();
  for (const answer of await Promise.all(running)) expect(consumedOf(answer)).toBe(5);
  expect(made.log().reads.length).toBe(20);
  // The slots are free again.
  expect(consumedOf(await made.streams.query({ body: BODY, signal: never() }))).toBe(5);
});

test("two aggregates over whole partitions run, others wait, and short queries pass them", async () => {
  const made = bench();
  const open = gated(made);
  const whole = JSON.stringify({ source: { topic: "t", partition: 0 }, aggregate: {} });
  const leaving = new AbortController();
  const scan = (signal = never()) => made.streams.query({ body: whole, signal });
  const running = [scan(), scan()];
  await until("two read", () => made.log().reads.length === 2);
  const gone = scan(leaving.signal);
  const waiting = Array.from({ length: 15 }, () => scan());
  expect(await scan()).toMatchObject({
    ok: false,
    code: "overloaded",
    message: "2 aggregates over whole partitions run and 16 wait, which is the limit",
  });
  const short = made.streams.query({ body: BODY, signal: never() });
  await until("the short one reads", () => made.log().reads.length === 3);
  leaving.abort();
  expect(await gone).toMatchObject({ ok: false, code: "shutting_down" });
  open();
  expect(consumedOf(await short)).toBe(5);
  for (const answer of await Promise.all([...running, ...waiting])) {
    expect(consumedOf(answer)).toBe(5);
  }
});

test("truncated means that the end as of the request was not reached", async () => {
  const made = bench();
  const ask = async (body: object) => {
    const answer = await made.streams.query({ body: JSON.stringify(body), signal: never() });
    return answer.ok ? [answer.truncated, answer.nextOffset] : answer;
  };
  const source = { topic: "t", partition: 0 };
  expect(await ask({ source: { ...source, limit: 5 }, aggregate: {} })).toEqual([false, 5]);
  expect(await ask({ source: { ...source, limit: 4 }, aggregate: {} })).toEqual([true, 4]);
  expect(await ask({ source, transform: { emit_rows: 4 } })).toEqual([true, 4]);
  expect(await ask({ source, transform: { emit_rows: 5 } })).toEqual([false, 5]);
  const open = gated(made);
  const whole = ask({ source, aggregate: {} });
  await until("it reads", () => made.log().reads.length > 4);
  made.run(produceOf([{ i: 5 }]));
  open();
  expect(await whole).toEqual([false, 5]);
});

test("who leaves the queue or the work makes room for others", async () => {
  const made = bench();
  const open = gated(made);
  const leaving = new AbortController();
  const gone = Array.from({ length: 20 }, () =>
    made.streams.query({ body: BODY, signal: leaving.signal }),
  );
  await until("four read", () => made.log().reads.length === 4);
  leaving.abort();
  const next = made.streams.query({ body: BODY, signal: never() });
  open();
  expect(consumedOf(await next)).toBe(5);
  for (const answer of await Promise.all(gone)) expect(answer.ok).toBe(false);
  expect(made.log().reads.length).toBe(5);
});

test("a query that is cancelled does not go on reading", async () => {
  const made = bench(3_000);
  const open = gated(made);
  const leaving = new AbortController();
  const answer = made.streams.query({ body: BODY, signal: leaving.signal });
  await until("the first page", () => made.log().reads.length === 1);
  leaving.abort();
  open();
  expect(await answer).toMatchObject({ ok: false, code: "shutting_down" });
  expect(made.log().reads.length).toBeLessThan(3);
});

test("it reads what was there when it began, also over trimming and deletion", async () => {
  const made = bench();
  let open = gated(made);
  const trimmed = made.streams.query({ body: BODY, signal: never() });
  await until("it reads", () => made.log().reads.length === 1);
  made.run(produceOf([{ i: 5 }]));
  made.run({
    type: "delete_before",
    topicId: 1,
    partition: 0,
    beforeOffset: 3 as Offset,
    bytesBefore: 0,
  });
  open();
  const answer = await trimmed;
  expect(consumedOf(answer)).toBe(2);
  expect(answer).toMatchObject({ nextOffset: 5 });

  open = gated(made);
  const deleted = made.streams.query({ body: BODY, signal: never() });
  await until("it reads again", () => made.log().reads.length === 2);
  made.run({ type: "delete_topic", name: "t" });
  made.log().batches.length = 0;
  open();
  expect(await deleted).toMatchObject({ ok: false, code: "topic_not_found" });
});

test("the caller chooses the rules of a join", async () => {
  const made = bench();
  const body = JSON.stringify({
    left: { topic: "t", partition: 0 },
    right: { topic: "t", partition: 0 },
    on: { left_key: "i", right_key: "text" },
    dedupe_once: true,
  });
  made.run(produceOf([{ text: "1" }, { text: "4" }]));
  const join = async (rules: JoinRules) => {
    const answer = await made.streams.join({ body, signal: never(), rules });
    const rows: { left: object }[] = JSON.parse(answer.ok ? answer.rows : "[]");
    return rows.map(({ left }) => left);
  };
  expect(await join(DEFAULT_JOIN_RULES)).toEqual([]);
  expect(await join({ keysAs: "text", oncePairs: "any" })).toEqual([{ i: 1 }, { i: 4 }]);
  expect(await join({ keysAs: "text", oncePairs: "in_order" })).toEqual([{ i: 1 }, { i: 4 }]);
});
