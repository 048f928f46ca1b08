import { expect, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import type { MemberRecord } from "../../src/machine/members.ts";
import { MemberBook } from "../../src/node/peers/members.ts";
import { EMPTY_CONFIGURATION } from "../../src/raft/membership.ts";

const at = (name: string, host: string, priority = 0) => ({
  id: name as NodeId,
  host,
  raftPort: 7000,
  httpPort: 8000,
  priority,
});
const voters = (...names: readonly string[]) => ({
  ...EMPTY_CONFIGURATION,
  voters: names as readonly NodeId[],
});

test("settings that say another thing than the log are named, and the log wins", () => {
  const records = new Map<string, MemberRecord>();
  const hints = [at("n1", "a"), at("n2", "b"), at("n3", "c")];
  const book = new MemberBook("n1" as NodeId, hints, () => records);
  const configuration = voters("n1", "n2", "n3");
  expect(book.contradictions(EMPTY_CONFIGURATION)).toEqual([]);
  expect(book.contradictions(configuration)).toEqual([]);
  records.set("n1", { ...at("n1", "a"), storageId: "d" });
  records.set("n2", { ...at("n2", "elsewhere"), storageId: null });
  records.set("n3", { ...at("n3", "c", 7), storageId: "e" });
  expect(book.contradictions(configuration)).toEqual(["n2", "n3"]);
  expect(book.contradictions(voters("n1", "n2", "n4"))).toEqual(["n2", "n3"]);
  expect(book.find("n2" as NodeId)?.host).toBe("elsewhere");
  expect(book.priorities(configuration)).toEqual(
    new Map([
      ["n1", 0],
      ["n2", 0],
      ["n3", 7],
    ] as [NodeId, number][]),
  );
});

test("no two voters stand for election at once when the way to the leader breaks", () => {
  const all = ["n1", "n2", "n3", "n4", "n5"] as NodeId[];
  const priorities = [0, 0, 5, 0, 5];
  const hints = all.map((id, i) => at(id, "a", priorities[i]));
  for (const leader of [...all, null]) {
    const ranks = all
      .filter((id) => id !== leader)
      .map((id) => new MemberBook(id, hints, () => new Map()).rankAmong(all, leader));
    expect(ranks.toSorted((a, b) => a - b)).toEqual(ranks.map((_, i) => i));
  }
  const rankOf = (id: string) =>
    new MemberBook(id as NodeId, hints, () => new Map()).rankAmong(all, "n3" as NodeId);
  expect(["n5", "n1", "n2", "n4"].map(rankOf)).toEqual([0, 1, 2, 3]);
});

test("a node alone that moves to another port is where its settings say, without a warning", () => {
  const moved = { ...at("n1", "a"), raftPort: 0, httpPort: 8001 };
  const records = new Map([["n1", { ...moved, httpPort: 8000, storageId: "d" }]]);
  const book = new MemberBook("n1" as NodeId, [moved], () => records);
  expect(book.find("n1" as NodeId)?.httpPort).toBe(8001);
  expect(book.contradictions(voters("n1"))).toEqual([]);
  records.set("n1", { ...moved, storageId: "d" });
  expect(book.lacksAddress("n1" as NodeId)).toBe(false);
});
