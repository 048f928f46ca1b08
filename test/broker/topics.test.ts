import { expect, test } from "bun:test";
import { findPartition, findTopic } from "../../src/broker/state.ts";
import { Bench, offset } from "../tools/machine/support.ts";

test("a topic is created once: the same shape again gets the same answer", () => {
  const bench = new Bench();
  const created = { ok: true, type: "create_topic", topicId: 1, partitions: 3, created: true };
  expect(bench.createTopic("t", 3)).toEqual(created as never);
  expect(bench.createTopic("t", 3)).toEqual({ ...created, created: false } as never);
  expect(bench.lines).toEqual(["create 1 t 3"]);
});

test("a topic of another number of partitions is refused with the number that it has", () => {
  const bench = new Bench();
  bench.createTopic("t", 3);
  const answer = { ok: false, code: "topic_exists", details: { partitions: 3 } } as const;
  expect(bench.createTopic("t", 4)).toEqual(answer);
  expect(bench.partition("t", 2).partition).toBe(2);
});

test("all topics together have at most the configured number of partitions", () => {
  const bench = new Bench();
  bench.do({ type: "configure", dedupeWindowMs: 1, dedupeKeysMax: 1, partitionsMax: 10 });
  expect(bench.createTopic("a", 6)).toMatchObject({ ok: true });
  const answer = {
    ok: false,
    code: "too_many_partitions",
    details: { partitions_max: 10 },
  } as const;
  expect(bench.createTopic("b", 5)).toEqual(answer);
  expect(bench.createTopic("b", 4)).toMatchObject({ ok: true });
  expect(bench.createTopic("a", 6)).toMatchObject({ ok: true, created: false });
  bench.do({ type: "delete_topic", name: "a" });
  expect(bench.createTopic("c", 6)).toMatchObject({ ok: true });
});

test("a topic is deleted with all that belongs to it, and a new one of its name begins anew", () => {
  const bench = new Bench();
  bench.createTopic("t", 1);
  bench.produce({ key: "k", count: 3 });
  bench.do({ type: "commit_offset", topicId: 1, partition: 0, group: "g", offset: offset(2) });
  bench.do({ type: "set_retention", topic: "t", partition: null, ttlMs: 5, maxBytes: 5 });

  expect(bench.do({ type: "delete_topic", name: "t" })).toMatchObject({ ok: true, topicId: 1 });
  expect(bench.do({ type: "delete_topic", name: "t" })).toMatchObject({ code: "topic_not_found" });
  expect(bench.produce()).toMatchObject({ code: "topic_not_found" });
  expect(findTopic(bench.machine.broker, "t")).toBeUndefined();

  expect(bench.createTopic("t", 1)).toMatchObject({ topicId: 2, created: true });
  expect(bench.produce()).toMatchObject({ code: "topic_not_found" });
  expect(bench.produce({ topicId: 2, key: "k" })).toMatchObject({
    firstOffset: 0,
    duplicate: false,
  });
  expect(bench.partition("t").committed.size).toBe(0);
  expect(bench.partition("t").policy.ttlMs).toBeNull();
  expect(bench.lines).toContain("delete 1 t");
});

test("names that mean something in JavaScript are plain names", () => {
  const bench = new Bench();
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    expect(findTopic(bench.machine.broker, name)).toBeUndefined();
    expect(bench.createTopic(name, 1)).toMatchObject({ ok: true, created: true });
    const commit = { type: "commit_offset", partition: 0, group: name, offset: offset(0) } as const;
    const { topicId } = bench.partition(name);
    expect(bench.do({ ...commit, topicId })).toMatchObject({ committedOffset: 0 });
  }
});

test("a partition is found by the topic's id and its number", () => {
  const bench = new Bench();
  bench.createTopic("a", 1);
  bench.createTopic("b", 2);
  const { broker } = bench.machine;
  expect(findPartition(broker, 2, 1)).toBe(bench.partition("b", 1));
  expect(findPartition(broker, 2, 2)).toBeUndefined();
  expect(findPartition(broker, 3, 0)).toBeUndefined();
});
