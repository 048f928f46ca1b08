import { expect, test } from "bun:test";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

test("a commit that makes a group too many is refused, until one is deleted", async () => {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  await single.settled(node.createTopic("t", 2));
  const commit = (group: string, partition = 0) =>
    single.settled(node.commitOffset({ topic: "t", partition, group, offset: 0 }));
  for (const group of ["a", "b", "c"]) expect(await commit(group)).toMatchObject({ ok: true });
  const refused = { ok: false, code: "too_many_groups", details: { groupsMax: 3 } } as const;
  expect(await commit("d")).toEqual(refused);
  expect(await commit("a", 1)).toMatchObject({ ok: true });
  expect(await single.settled(node.deleteGroup("a"))).toEqual({ ok: true, offsets: 2, members: 0 });
  expect(await single.settled(node.deleteGroup("a"))).toMatchObject({ code: "group_not_found" });
  expect(await commit("d")).toMatchObject({ ok: true });
  expect(await commit("e")).toEqual(refused);
  expect((await node.groups.list()).map(({ group }) => group)).toEqual(["b", "c", "d"]);
  await single.settled(node.stop());
});

test("offsets are bounded in all: a group commits on where it has, and nowhere new", async () => {
  const single = new SingleNode(new Random(1));
  const node = await single.open();
  await single.settled(node.createTopic("t", 4));
  const commit = (group: string, partition: number) =>
    single.settled(node.commitOffset({ topic: "t", partition, group, offset: 0 }));
  for (const [group, partition] of [
    ["a", 0],
    ["a", 1],
    ["a", 2],
    ["b", 0],
    ["b", 1],
  ] as const) {
    expect(await commit(group, partition)).toMatchObject({ ok: true });
  }
  const refused = { ok: false, code: "too_many_offsets", details: { offsetsMax: 5 } } as const;
  expect(await commit("b", 2)).toEqual(refused);
  expect(await commit("c", 0)).toEqual(refused);
  expect(await commit("a", 2)).toMatchObject({ ok: true });
  expect(await single.settled(node.deleteGroup("a"))).toEqual({ ok: true, offsets: 3, members: 0 });
  expect(await commit("c", 0)).toMatchObject({ ok: true });
  await single.settled(node.stop());
});
