import { expect, test } from "bun:test";
import { Machine } from "../../src/machine/machine.ts";
import { Bench, offset } from "../tools/machine/support.ts";

function benchWith(...topics: string[]): Bench {
  const bench = new Bench();
  for (const topic of topics) bench.createTopic(topic, 2);
  return bench;
}
const commit = (bench: Bench, topicId: number, partition: number, group: string) =>
  bench.do({ type: "commit_offset", topicId, partition, group, offset: offset(0) });
const groupsOf = ({ broker }: Machine) => Object.fromEntries(broker.groups);

function restored({ machine }: Bench): Machine {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(1e6); chunk !== null; chunk = snapshot.next(1e6)) {
    chunks.push(chunk);
  }
  return Machine.restore(chunks);
}

test("groups are counted by their offsets, also after a snapshot, and go with their topics", () => {
  const bench = benchWith("a", "b");
  commit(bench, 1, 0, "g");
  commit(bench, 1, 0, "g");
  commit(bench, 1, 1, "g");
  commit(bench, 2, 0, "g");
  commit(bench, 2, 0, "h");
  expect(groupsOf(bench.machine)).toEqual({ g: 3, h: 1 });
  expect(bench.machine.broker.committedOffsets).toBe(4);
  expect(groupsOf(restored(bench))).toEqual({ g: 3, h: 1 });
  expect(restored(bench).broker.committedOffsets).toBe(4);
  bench.do({ type: "delete_topic", name: "b" });
  expect(groupsOf(bench.machine)).toEqual({ g: 2 });
  expect(bench.machine.broker.committedOffsets).toBe(2);
  bench.do({ type: "delete_topic", name: "a" });
  expect(groupsOf(bench.machine)).toEqual({});
});

test("a group with one offset left is still counted and can be deleted", () => {
  const bench = benchWith("a", "b");
  commit(bench, 1, 0, "g");
  commit(bench, 2, 0, "g");
  bench.do({ type: "delete_topic", name: "b" });
  expect(groupsOf(bench.machine)).toEqual({ g: 1 });
  expect(bench.do({ type: "delete_group", group: "g" })).toMatchObject({ ok: true, offsets: 1 });
  expect(groupsOf(bench.machine)).toEqual({});
});

test("a group that is deleted has committed nothing, in no topic; a snapshot begun before has it", () => {
  const bench = benchWith("a", "b");
  commit(bench, 1, 0, "g");
  commit(bench, 2, 1, "g");
  commit(bench, 2, 1, "h");
  const before = bench.machine.beginSnapshot();
  const gone = { ok: true, type: "delete_group", offsets: 2 };
  expect(bench.do({ type: "delete_group", group: "g" })).toMatchObject(gone);
  expect(bench.machine.broker.committedOffsets).toBe(1);
  expect(bench.partition("a").committed.size).toBe(0);
  expect([...bench.partition("b", 1).committed.keys()]).toEqual(["h"]);
  expect(groupsOf(restored(bench))).toEqual({ h: 1 });
  const chunk = before.next(1e6);
  expect(groupsOf(Machine.restore(chunk === null ? [] : [chunk]))).toEqual({ g: 2, h: 1 });
  expect(bench.do({ type: "delete_group", group: "g" })).toMatchObject({ code: "group_not_found" });
  commit(bench, 1, 0, "g");
  expect(groupsOf(bench.machine)).toEqual({ h: 1, g: 1 });
});
