/** Goal: in a joint configuration nothing is decided by one half alone: votes, quorums, reads. */
import { describe, expect, test } from "bun:test";
import type { Configuration } from "../../src/raft/types.ts";
import { ballot, from, id, ids, index, Solo, term } from "../tools/raft/harness.ts";

/** From n1 n4 n5 to n1 n2 n3. */
const JOINT: Configuration = {
  voters: ids("n1 n2 n3"),
  votersOutgoing: ids("n1 n4 n5"),
  learners: [],
  learnersNext: [],
  autoLeave: false,
};
const joint = (preVote = false): Solo =>
  Solo.of("n1", { preVote, initial: { configuration: JOINT } });
const votes = (solo: Solo, granted: boolean, ...peers: string[]): Solo => {
  for (const peer of peers) {
    solo.step(from(peer, solo.core.term, ballot("vote_response", granted)));
  }
  return solo;
};
const stand = (): Solo => {
  const solo = joint();
  solo.core.campaign();
  return solo.settle();
};
/** Leader of both halves with an entry of its term committed, and nothing said yet. */
const lead = (): Solo => {
  const solo = votes(stand(), true, "n2", "n4").accept("n2", 1).accept("n4", 1);
  expect([solo.core.role, solo.core.commitIndex]).toEqual(["leader", index(1)]);
  solo.takeAll();
  return solo;
};

describe("an election", () => {
  test("asks the voters of both halves", () => {
    expect(
      stand()
        .take("vote_request")
        .map(({ to }) => to),
    ).toEqual(ids("n2 n3 n4 n5"));
  });

  const cases: readonly [yes: string, no: string, role: string][] = [
    ["n2 n3", "", "candidate"],
    ["n4 n5", "", "candidate"],
    ["n2 n3", "n4", "candidate"],
    ["n2 n4", "", "leader"],
    ["n3 n5", "n2 n4", "leader"],
    ["n2 n3", "n4 n5", "follower"],
    ["n4 n5", "n2 n3", "follower"],
    ["", "n2 n3", "follower"],
    ["", "n4 n5", "follower"],
  ];
  for (const [yes, no, role] of cases) {
    test(`with yes of [${yes}] and no of [${no}]: ${role}`, () => {
      const solo = votes(votes(stand(), true, ...ids(yes)), false, ...ids(no));
      expect(solo.core.role).toBe(role as never);
    });
  }

  for (const [yes, role] of [
    ["n2 n3", "pre_candidate"],
    ["n4 n5", "pre_candidate"],
    ["n2 n4", "candidate"],
  ] as const) {
    test(`of pre-votes by [${yes}]: ${role}`, () => {
      const solo = joint(true);
      solo.core.campaign();
      solo.settle();
      for (const peer of ids(yes)) solo.step(from(peer, 1, ballot("pre_vote_response", true)));
      expect(solo.core.role).toBe(role);
    });
  }

  test("may be called by a voter of the outgoing half alone", () => {
    const configuration = { ...JOINT, voters: ids("n2 n3 n4"), votersOutgoing: ids("n1 n4 n5") };
    const solo = Solo.of("n1", { preVote: false, initial: { configuration } });
    solo.core.campaign();
    expect(solo.settle().core.role).toBe("candidate");
    expect(votes(solo, true, "n2", "n3", "n5").core.role).toBe("leader");
  });
});

describe("a commit takes both halves", () => {
  for (const [peers, committed] of [
    ["n2 n3", false],
    ["n4 n5", false],
    ["n3 n5", true],
  ] as const) {
    test(`[${peers}]: ${committed}`, () => {
      const solo = lead();
      solo.core.propose(new Uint8Array(1));
      solo.settle();
      for (const peer of ids(peers)) solo.accept(peer, 2);
      expect(solo.core.commitIndex === index(2)).toBe(committed);
    });
  }
});

describe("a read takes both halves", () => {
  for (const [peers, confirmed] of [
    ["n2 n3", false],
    ["n4 n5", false],
    ["n2 n5", true],
    ["n2 n3 n4", true],
  ] as const) {
    test(`[${peers}]: ${confirmed}`, () => {
      const solo = lead();
      solo.core.readIndex("r");
      const [beat] = solo.settle().take("heartbeat");
      const round = beat?.round ?? 0;
      for (const peer of ids(peers)) {
        solo.step(from(peer, 1, { type: "heartbeat_response", round }));
      }
      const reads = solo.outputs.flatMap(({ readStates }) => readStates);
      expect(reads).toEqual(confirmed ? [{ context: "r", index: index(1) }] : []);
    });
  }
});

describe("check-quorum takes both halves", () => {
  for (const [peers, leads] of [
    ["n2 n3", false],
    ["n4 n5", false],
    ["n3 n4", true],
  ] as const) {
    test(`[${peers}] heard of: ${leads}`, () => {
      const solo = lead().tick(10);
      for (let i = 0; i < 20; i++) {
        for (const peer of ids(peers)) {
          solo.step(from(peer, 1, { type: "heartbeat_response", round: 0 }));
        }
        solo.tick();
      }
      expect(solo.core.role === "leader").toBe(leads);
    });
  }
});

test("a member of one half gives its vote as any other", () => {
  const solo = joint();
  const log = { lastIndex: index(0), lastTerm: term(0), transfer: false };
  const request = { type: "vote_request", ...log, commit: index(0), commitTerm: term(0) } as const;
  solo.step(from("n4", 1, request), from("n2", 1, request));
  expect(solo.take("vote_response")).toMatchObject([
    { to: "n4", granted: true },
    { to: "n2", granted: false },
  ]);
  expect(solo.core.status().vote).toBe(id("n4"));
});
