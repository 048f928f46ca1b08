import { expect, test } from "bun:test";
import { committedOffset } from "../../src/broker/groups.ts";
import { groupsIn, lagIn, standingsIn } from "../../src/groups/standings.ts";
import type { CommandResult } from "../../src/machine/commands.ts";
import { Bench, offset } from "../tools/machine/support.ts";

function benchWithTen(): Bench {
  const bench = new Bench();
  bench.createTopic("t", 2);
  bench.produce({ count: 10 });
  return bench;
}

const commit = (bench: Bench, to: number, group = "g", partition = 0): CommandResult =>
  bench.do({ type: "commit_offset", topicId: 1, partition, group, offset: offset(to) });

test("a committed offset only moves forward, and the answer tells the one in force", () => {
  const bench = benchWithTen();
  expect(commit(bench, 0)).toMatchObject({ ok: true, committedOffset: 0 });
  expect(commit(bench, 7)).toMatchObject({ committedOffset: 7 });
  expect(commit(bench, 3)).toMatchObject({ ok: true, committedOffset: 7 });
  expect(commit(bench, 10)).toMatchObject({ committedOffset: 10 });
  expect(committedOffset(bench.partition("t"), "g")).toBe(offset(10));
});

test("a commit beyond the end is refused with the end", () => {
  const bench = benchWithTen();
  commit(bench, 4);
  expect(commit(bench, 11)).toEqual({
    ok: false,
    code: "offset_out_of_range",
    details: { endOffset: 10 },
  });
  expect(committedOffset(bench.partition("t"), "g")).toBe(offset(4));
});

test("a commit for a topic or partition that is not there is refused", () => {
  const bench = benchWithTen();
  expect(commit(bench, 0, "g", 2)).toMatchObject({ code: "partition_not_found" });
  bench.do({ type: "delete_topic", name: "t" });
  expect(commit(bench, 0)).toMatchObject({ code: "topic_not_found" });
});

test("groups are independent, and one that has not committed has no offset", () => {
  const bench = benchWithTen();
  commit(bench, 4, "a");
  commit(bench, 0, "b", 1);
  expect(committedOffset(bench.partition("t"), "b")).toBeNull();
  expect(committedOffset(bench.partition("t", 1), "b")).toBe(offset(0));
});

test("the lag of a group counts records that are kept and not read", () => {
  const bench = benchWithTen();
  commit(bench, 0, "b", 1);
  commit(bench, 2, "b");
  commit(bench, 8, "a");
  const cut = { topicId: 1, partition: 0, beforeOffset: offset(5), bytesBefore: 5 };
  bench.do({ type: "delete_before", ...cut });
  const topic = bench.machine.broker.topicsByName.get("t");
  if (topic === undefined) throw new Error("the topic exists");
  const { groups } = bench.machine.parts;
  const progress = groupsIn(groups, topic).flatMap((group) =>
    [...standingsIn(groups, topic, group)].map(({ partition: state, committed }) => {
      return [group, state.partition, committed, lagIn(state, committed)];
    }),
  );
  expect(progress).toEqual([
    ["a", 0, offset(8), 2],
    ["a", 1, null, 0],
    ["b", 0, offset(2), 5],
    ["b", 1, offset(0), 0],
  ]);
});
