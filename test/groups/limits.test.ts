import { expect, test } from "bun:test";
import { GROUP_PARTITIONS_MAX, MEMBERS_MAX } from "../../src/groups/state.ts";
import { Bench } from "../tools/machine/support.ts";

const PER_GROUP = 100;
const join = (bench: Bench, i: number, topics: readonly string[] = ["t"]) =>
  bench.do({
    type: "join_group",
    group: `g${Math.floor(i / PER_GROUP)}`,
    member: `m${i}`,
    leaseMs: 1_000,
    topics: [...topics],
  });

test("a node has a bounded number of members, and one that leaves makes room", () => {
  const bench = new Bench();
  bench.createTopic("t", 1);
  for (let i = 0; i < MEMBERS_MAX; i++) expect(join(bench, i).ok).toBe(true);
  const before = bench.machine.digest();
  const details = { membersMax: MEMBERS_MAX };
  expect(join(bench, MEMBERS_MAX)).toEqual({ ok: false, code: "too_many_members", details });
  expect(bench.machine.digest()).toBe(before);
  // A member that is there already joins again.
  expect(join(bench, 7).ok).toBe(true);
  bench.do({ type: "leave_group", group: "g0", member: "m3" });
  expect(join(bench, MEMBERS_MAX).ok).toBe(true);
  bench.at += 1_000;
  for (let i = 0; i < 10; i++) bench.do({ type: "tick" });
  expect(bench.machine.parts.groups.memberCount).toBe(0);
});

test("the partitions of all joined topics are bounded, and a group that has a topic goes on", () => {
  const bench = new Bench();
  const topics = Array.from({ length: 10 }, (_, i) => `t${i}`);
  for (const topic of topics) bench.createTopic(topic, 1_000);
  const groups = GROUP_PARTITIONS_MAX / 10_000;
  for (let i = 0; i < groups; i++) expect(join(bench, i * PER_GROUP, topics).ok).toBe(true);
  const rejected = { ok: false, code: "too_many_group_partitions" };
  expect(join(bench, groups * PER_GROUP, ["t0"])).toMatchObject(rejected);
  expect(bench.machine.parts.groups.byName.has(`g${groups}`)).toBe(false);
  expect(join(bench, 1, ["t0"]).ok).toBe(true);
});
