/** The rules of storage ids, case by case. */
import { expect, test } from "bun:test";
import {
  countsVote,
  isGrantedVote,
  judgeStorage,
  type StorageJudgement,
} from "../../src/raft/storage-trust.ts";
import type { LogIndex, Message, NodeId, Term } from "../../src/raft/types.ts";

type Case = readonly [
  recorded: string | null,
  isAhead: boolean,
  proven: boolean,
  judgement: StorageJudgement,
];
const JUDGED: readonly Case[] = [
  ["shown", false, false, "accepted"],
  ["shown", false, true, "accepted"],
  ["shown", true, false, "accepted"],
  ["shown", true, true, "accepted"],
  [null, false, false, "accepted"],
  [null, false, true, "accepted"],
  [null, true, false, "accepted"],
  [null, true, true, "accepted"],
  ["other", false, false, "replaced"],
  ["other", false, true, "replaced"],
  ["other", true, false, "unproven"],
  ["other", true, true, "accepted"],
];
for (const [recorded, isAhead, proven, judgement] of JUDGED) {
  const words = [isAhead ? "ahead" : "not ahead", proven ? "proven" : "not proven"].join(", ");
  test(`the log records ${recorded}, the peer is ${words}: ${judgement}`, () => {
    expect(judgeStorage({ recorded, shown: "shown", isAhead, proven })).toBe(judgement);
  });
}

const VOTES: readonly (readonly [string | null, string | null, boolean])[] = [
  ["a", "a", true],
  ["a", "b", false],
  ["a", null, false],
  [null, "a", false],
  [null, null, false],
  ["a", "", false],
  ["", "", true],
];
for (const [recorded, shown, counts] of VOTES) {
  test(`recorded ${recorded}, shown ${shown}: the vote ${counts ? "counts" : "does not count"}`, () => {
    expect(countsVote(recorded, shown)).toBe(counts);
  });
}

test("only granted votes and granted pre-votes are subject to the rule", () => {
  const common = {
    from: "b" as NodeId,
    to: "a" as NodeId,
    term: 2 as Term,
    commit: 0 as LogIndex,
    commitTerm: 0 as Term,
  };
  const heartbeat = { ...common, type: "heartbeat", round: 0 } as const;
  const request = {
    ...common,
    type: "vote_request",
    lastIndex: 1 as LogIndex,
    lastTerm: 1 as Term,
    transfer: false,
  } as const;
  const cases: readonly (readonly [Message, boolean])[] = [
    [{ ...common, type: "vote_response", granted: true }, true],
    [{ ...common, type: "pre_vote_response", granted: true }, true],
    [{ ...common, type: "vote_response", granted: false }, false],
    [{ ...common, type: "pre_vote_response", granted: false }, false],
    [heartbeat, false],
    [request, false],
  ];
  expect(cases.map(([message]) => isGrantedVote(message))).toEqual(cases.map(([, is]) => is));
});
