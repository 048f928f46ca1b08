import { expect, test } from "bun:test";
import { peekDuplicate } from "../../src/broker/idempotency.ts";
import type { Offset } from "../../src/record/offset.ts";
import { Bench, identityOf, ms } from "../tools/machine/support.ts";
import { forEachSeed } from "../tools/random.ts";

const HOUR = 3_600_000;

function benchWith(partitions: number): Bench {
  const bench = new Bench();
  bench.createTopic("t", partitions);
  return bench;
}

test("offsets of a partition are dense, and its bytes add up", () => {
  const bench = benchWith(2);
  expect(bench.produce({ count: 3, logicalBytes: 30 })).toMatchObject({ firstOffset: 0, count: 3 });
  expect(bench.produce({ count: 2, logicalBytes: 5 })).toMatchObject({ firstOffset: 3, count: 2 });
  expect(bench.produce({ partition: 1 })).toMatchObject({ firstOffset: 0 });
  expect(bench.partition("t")).toMatchObject({ endOffset: 5, bytesEnd: 35 });
  expect(bench.lines.slice(1)).toEqual([
    "append 1/0 0+3 at 1000, 30 bytes: payload",
    "append 1/0 3+2 at 1000, 5 bytes: payload",
    "append 1/1 0+1 at 1000, 10 bytes: payload",
  ]);
});

test("a produce to a topic or partition that is not there stores nothing", () => {
  const bench = benchWith(1);
  expect(bench.produce({ partition: 1 })).toMatchObject({ code: "partition_not_found" });
  expect(bench.produce({ topicId: 9 })).toMatchObject({ code: "topic_not_found" });
  expect(bench.lines).toEqual(["create 1 t 1"]);
});

test("a duplicate stores nothing and gets the answer of the first write", () => {
  const bench = benchWith(1);
  bench.produce();
  const first = { ok: true, type: "produce", firstOffset: 1, count: 4, payloadMatches: true };
  const again = { key: "k", count: 4 };
  expect(bench.produce(again)).toEqual({ ...first, duplicate: false } as never);
  bench.produce();
  expect(bench.produce(again)).toEqual({ ...first, duplicate: true } as never);
  expect(bench.partition("t").endOffset).toBe(6 as never);
  expect(bench.lines).toHaveLength(4);
});

test("a duplicate with another payload is told so", () => {
  const bench = benchWith(1);
  bench.produce({ key: "k", payload: "one" });
  expect(bench.produce({ key: "k", payload: "two" })).toMatchObject({
    firstOffset: 0,
    duplicate: true,
    payloadMatches: false,
  });
  expect(bench.produce({ key: "k", payload: "one" })).toMatchObject({ payloadMatches: true });
});

test("a key counts for its partition only", () => {
  const bench = benchWith(2);
  bench.produce({ key: "k" });
  expect(bench.produce({ key: "k", partition: 1 })).toMatchObject({ duplicate: false });
  bench.createTopic("u", 1);
  expect(bench.produce({ key: "k", topicId: 2 })).toMatchObject({ duplicate: false });
});

test("a key is forgotten when the window of machine time has passed, not before", () => {
  const bench = benchWith(1);
  bench.produce({ key: "k" });
  bench.at += 24 * HOUR - 1;
  expect(bench.produce({ key: "k" })).toMatchObject({ duplicate: true, firstOffset: 0 });
  bench.at += 1;
  expect(bench.produce({ key: "k" })).toMatchObject({ duplicate: false, firstOffset: 1 });
  expect(bench.produce({ key: "k" })).toMatchObject({ duplicate: true, firstOffset: 1 });
});

test("the window is one of machine time: an entry that is stamped earlier does not shorten it", () => {
  const bench = benchWith(1);
  bench.at = 50 * HOUR;
  bench.produce();
  bench.at = 20 * HOUR;
  bench.produce({ key: "k" });
  bench.at = 50 * HOUR;
  expect(bench.produce({ key: "k" })).toMatchObject({ duplicate: true });
  expect(bench.partition("t").dedupe?.oldestAt).toBe(50 * HOUR);
});

test("a partition remembers the newest keys up to the limit", () => {
  const bench = benchWith(1);
  bench.do({ type: "configure", dedupeWindowMs: HOUR, dedupeKeysMax: 3, partitionsMax: 9 });
  for (const key of ["a", "b", "c", "d"]) bench.produce({ key });
  expect(bench.partition("t").dedupe?.size).toBe(3);
  expect(bench.produce({ key: "b" })).toMatchObject({ duplicate: true, firstOffset: 1 });
  expect(bench.produce({ key: "a" })).toMatchObject({ duplicate: false, firstOffset: 4 });
});

test("a lower limit holds at once, though memory is freed bit by bit", () => {
  const bench = benchWith(1);
  for (let i = 0; i < 500; i++) bench.produce({ key: `k${i}` });
  bench.do({ type: "configure", dedupeWindowMs: HOUR, dedupeKeysMax: 10, partitionsMax: 9 });
  expect(bench.produce({ key: "k480" })).toMatchObject({ duplicate: false });
  expect(bench.produce({ key: "k495" })).toMatchObject({ duplicate: true });
  expect(bench.partition("t").dedupe?.size).toBe(501 - 64);
  bench.do({ type: "tick" });
  expect(bench.partition("t").dedupe?.size).toBe(10);
});

test("a limit of zero keys remembers nothing", () => {
  const bench = benchWith(1);
  bench.do({ type: "configure", dedupeWindowMs: HOUR, dedupeKeysMax: 0, partitionsMax: 9 });
  bench.produce({ key: "a" });
  expect(bench.produce({ key: "a" })).toMatchObject({ duplicate: false });
});

test("a key outlives the record that it was written with", () => {
  const bench = benchWith(1);
  bench.produce({ key: "k", count: 2 });
  const cut = { topicId: 1, partition: 0, beforeOffset: 2 as never, bytesBefore: 10 };
  bench.do({ type: "delete_before", ...cut });
  expect(bench.produce({ key: "k" })).toMatchObject({ duplicate: true, firstOffset: 0, count: 2 });
});

test("the leader can look ahead at what a key would get", () => {
  const bench = benchWith(1);
  const { broker } = bench.machine;
  const peek = (payload: string, now: number) =>
    peekDuplicate(broker, bench.partition("t"), identityOf("k", payload), ms(now));
  expect(peek("", 1_000)).toBeNull();
  bench.produce({ count: 7 });
  bench.produce({ key: "k", count: 2, payload: "one" });
  const first = { firstOffset: 7 as Offset, count: 2 };
  expect(peek("one", 1_000)).toEqual({ ...first, payloadMatches: true });
  expect(peek("two", 1_000)).toEqual({ ...first, payloadMatches: false });
  expect(peek("one", 1_000 + 24 * HOUR)).toBeNull();
});

test("duplicates are found as in a plain map that is searched from its end", () => {
  // Goal: the window by time and by count is exact. Method: random keys, times and limits against
  // a list of all first writes.
  forEachSeed(40, (random) => {
    const bench = benchWith(1);
    const windowMs = 1 + random.below(3_000);
    const keysMax = 1 + random.below(40);
    const limits = { dedupeWindowMs: windowMs, dedupeKeysMax: keysMax, partitionsMax: 9 };
    bench.do({ type: "configure", ...limits });
    const written: { key: string; at: number; firstOffset: number }[] = [];
    for (let i = 0; i < 400; i++) {
      bench.at += random.below(random.pick([2, 100]));
      if (random.below(20) === 0) bench.do({ type: "tick" });
      const key = `k${random.below(60)}`;
      const first = written
        .slice(-keysMax)
        .findLast((write) => write.key === key && bench.at - write.at < windowMs);
      const { endOffset } = bench.partition("t");
      const firstOffset = first?.firstOffset ?? endOffset;
      const duplicate = first !== undefined;
      expect(bench.produce({ key })).toMatchObject({ firstOffset, duplicate });
      if (!duplicate) written.push({ key, at: bench.at, firstOffset });
    }
  });
});
