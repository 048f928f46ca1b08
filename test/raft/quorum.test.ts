import { describe, expect, test } from "bun:test";
import {
  INDEX_MAX,
  jointIndex,
  jointVote,
  majorityIndex,
  majorityVote,
} from "../../src/raft/quorum.ts";
import type { NodeId } from "../../src/raft/types.ts";
import { ids } from "../tools/raft/harness.ts";
import { forEachSeed } from "../tools/random.ts";

const lookUp = (values: Record<string, number>) => (name: NodeId) => values[name] ?? 0;
const ballots = (values: Record<string, boolean>) => (name: NodeId) => values[name];

describe("majority index", () => {
  const cases: [voters: string, matches: Record<string, number>, expected: number][] = [
    ["", {}, INDEX_MAX],
    ["a", { a: 12 }, 12],
    ["a", {}, 0],
    ["a b", { a: 12 }, 0],
    ["a b", { a: 12, b: 5 }, 5],
    ["a b c", { a: 12 }, 0],
    ["a b c", { a: 12, b: 5 }, 5],
    ["a b c", { a: 12, b: 5, c: 6 }, 6],
    ["a b c", { a: 5, b: 5, c: 6 }, 5],
    ["a b c", { a: 6, b: 6, c: 5 }, 6],
    ["a b c d", { a: 101, b: 104, c: 103, d: 103 }, 103],
    ["a b c d e", { a: 101, b: 104, c: 103, d: 103 }, 103],
    ["a b c d e", { a: 101, b: 102, c: 103 }, 101],
  ];
  for (const [voters, matches, expected] of cases) {
    test(`of [${voters}] at ${JSON.stringify(matches)} is ${expected}`, () => {
      expect<number>(majorityIndex(ids(voters), lookUp(matches))).toBe(expected);
    });
  }
});

describe("joint index", () => {
  const cases: [string, string, Record<string, number>, number][] = [
    ["a b c", "", { a: 2, b: 3, c: 4 }, 3],
    ["a b c", "a b c", { a: 2, b: 3, c: 4 }, 3],
    ["a", "b", { a: 100 }, 0],
    ["a", "b", { a: 100, b: 7 }, 7],
    ["a b c", "c d e", { a: 10, b: 10, c: 1, d: 5, e: 4 }, 4],
    ["a b c", "d e", { a: 10, b: 10, d: 9 }, 0],
  ];
  for (const [incoming, outgoing, matches, expected] of cases) {
    test(`of [${incoming}] and [${outgoing}] at ${JSON.stringify(matches)} is ${expected}`, () => {
      const sets = { voters: ids(incoming), votersOutgoing: ids(outgoing) };
      expect<number>(jointIndex(sets, lookUp(matches))).toBe(expected);
    });
  }
});

describe("vote result", () => {
  const cases: [string, string, Record<string, boolean>, string][] = [
    ["", "", {}, "won"],
    ["a", "", {}, "pending"],
    ["a", "", { a: false }, "lost"],
    ["a", "", { a: true }, "won"],
    ["a b", "", { a: true }, "pending"],
    ["a b", "", { a: false }, "lost"],
    ["a b c", "", { a: true, b: true }, "won"],
    ["a b c", "", { a: false, b: true }, "pending"],
    ["a b c", "", { a: false, b: false }, "lost"],
    ["a b c d", "", { a: true, b: true, c: false }, "pending"],
    ["a b c d", "", { a: true, b: true, c: false, d: false }, "lost"],
    ["a b c", "", { x: true, y: true, a: true }, "pending"],
    ["a b c", "d e f", { a: true, b: true }, "pending"],
    ["a b c", "d e f", { a: true, b: true, d: false, e: false }, "lost"],
    ["a b c", "d e f", { d: false, e: false }, "lost"],
    ["a b c", "a b d", { a: true, b: true }, "won"],
  ];
  for (const [incoming, outgoing, votes, expected] of cases) {
    test(`of [${incoming}] and [${outgoing}] with ${JSON.stringify(votes)} is ${expected}`, () => {
      const sets = { voters: ids(incoming), votersOutgoing: ids(outgoing) };
      expect(jointVote(sets, ballots(votes))).toBe(expected as "won");
    });
  }
});

// Goal: the fast arithmetic equals the definition. Method: count holders for each candidate index.
test("the majority index is the highest that more than half of the voters hold", () => {
  forEachSeed(300, (random) => {
    const voters = Array.from({ length: 1 + random.below(7) }, (_, i) => `v${i}` as NodeId);
    const matches = Object.fromEntries(voters.map((voter) => [voter, random.below(6)]));
    const held = (at: number) => voters.filter((voter) => (matches[voter] ?? 0) >= at).length;
    let expected = 0;
    for (let at = 1; at <= 6; at++) if (held(at) * 2 > voters.length) expected = at;
    expect<number>(majorityIndex(voters, lookUp(matches))).toBe(expected);
    // Voting for an index by those who hold it is the same question.
    const holds = (voter: NodeId) => (matches[voter] ?? 0) >= 3;
    expect(majorityVote(voters, holds) === "won").toBe(expected >= 3);
  });
});
