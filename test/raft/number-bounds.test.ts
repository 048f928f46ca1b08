/** Goal: no term and no index that two numbers share ever gets into the core. */
import { describe, expect, test } from "bun:test";
import { configurationOf } from "../../src/raft/membership.ts";
import type { Message } from "../../src/raft/types.ts";
import { ballot, entriesOf, from, ids, index, newCore, Solo, term } from "../tools/raft/harness.ts";

const MAX = Number.MAX_SAFE_INTEGER;
const WRONG = [MAX + 1, 2 ** 60, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY];
const LAST_TERM = { hardState: { term: term(MAX - 1), vote: null, commit: index(0) } };
const atLast = (preVote = false): Solo => Solo.of("n1 n2 n3", { preVote, initial: LAST_TERM });

const request = (lastIndex = 0, lastTerm = 0, commit = 0, commitTerm = 0) =>
  ({
    type: "vote_request",
    lastIndex: index(lastIndex),
    lastTerm: term(lastTerm),
    commit: index(commit),
    commitTerm: term(commitTerm),
    transfer: false,
  }) as const;

test("the last term has one vote, and the term after it none", () => {
  const solo = atLast();
  const ask = (peer: string, at: number) =>
    solo.step(from(peer, at, request())).take("vote_response");
  expect(ask("n2", MAX)).toMatchObject([{ granted: true, term: MAX }]);
  expect(ask("n3", MAX)).toMatchObject([{ granted: false, term: MAX }]);
  // 2^53 and 2^53 + 1 are one number: two candidates of different terms would each get a vote.
  expect(ask("n3", MAX + 1)).toEqual([]);
  expect(ask("n2", MAX + 2)).toEqual([]);
  expect(solo.core.status()).toMatchObject({ term: MAX, vote: "n2" });
});

describe("nobody campaigns beyond the last term", () => {
  for (const preVote of [false, true]) {
    test(preVote ? "with pre-vote" : "without pre-vote", () => {
      const initial = { hardState: { term: term(MAX), vote: null, commit: index(0) } };
      const solo = Solo.of("n1 n2 n3", { preVote, initial }).tick(100);
      solo.core.campaign();
      solo.step(from("n2", MAX, { type: "timeout_now" }));
      expect([solo.core.role, solo.core.term]).toEqual(["follower", term(MAX)]);
      expect(solo.takeAll()).toEqual([]);
    });
  }

  test("the last term itself can be won", () => {
    expect(atLast(true).elect().core.role).toBe("leader");
    expect(atLast(true).elect().core.term).toBe(term(MAX));
  });
});

describe("a message with a number that is not exact changes nothing", () => {
  const configuration = configurationOf(ids("n1 n2 n3"));
  const append = (prev: number, prevTerm: number, commit: number) =>
    ({
      type: "append_request",
      prevIndex: index(prev),
      prevTerm: term(prevTerm),
      entries: [],
      commit: index(commit),
    }) as const;
  const refusal = (rejected: number, hint: number, hintTerm: number) =>
    ({
      type: "append_response",
      accepted: false,
      rejected: index(rejected),
      hintIndex: index(hint),
      hintTerm: term(hintTerm),
      lost: false,
    }) as const;
  const places: Readonly<Record<string, (value: number) => Message>> = {
    "the term of a vote": (value) => from("n2", value, request()),
    "the term of an append": (value) => from("n2", value, append(0, 0, 0)),
    "the last index of a vote": (value) => from("n2", 9, request(value)),
    "the last term of a vote": (value) => from("n2", 9, request(0, value)),
    "the commit of a vote": (value) => from("n2", 9, request(0, 0, value)),
    "the term of the commit of a vote": (value) => from("n2", 9, request(0, 0, 0, value)),
    "the commit of a ballot": (value) =>
      from("n2", 9, { ...ballot("vote_response", false), commit: index(value) } as never),
    "the place of an append": (value) => from("n2", 9, append(value, 0, 0)),
    "the term before an append": (value) => from("n2", 9, append(0, value, 0)),
    "the commit of an append": (value) => from("n2", 9, append(0, 0, value)),
    "the commit of a heartbeat": (value) =>
      from("n2", 9, { type: "heartbeat", commit: index(value), round: 0 }),
    "the round of a heartbeat": (value) =>
      from("n2", 9, { type: "heartbeat", commit: index(0), round: value }),
    "the round of an answer": (value) =>
      from("n2", 9, { type: "heartbeat_response", round: value }),
    "the match of an answer": (value) =>
      from("n2", 9, { type: "append_response", accepted: true, match: index(value) }),
    "what a refusal refuses": (value) => from("n2", 9, refusal(value, 0, 0)),
    "the hint of a refusal": (value) => from("n2", 9, refusal(0, value, 0)),
    "the term of a hint": (value) => from("n2", 9, refusal(0, 0, value)),
    "the index of a snapshot": (value) =>
      from("n2", 9, {
        type: "snapshot_offer",
        snapshot: { index: index(value), term: term(1), configuration },
      }),
    "the term of a snapshot": (value) =>
      from("n2", 9, {
        type: "snapshot_offer",
        snapshot: { index: index(5), term: term(value), configuration },
      }),
    "the id of a read": (value) => from("n2", 9, { type: "read_index_request", requestId: value }),
    "the index of a read": (value) =>
      from("n2", 9, { type: "read_index_response", requestId: 1, index: index(value) }),
  };
  for (const [what, message] of Object.entries(places)) {
    test(what, () => {
      for (const value of WRONG) {
        const solo = Solo.of("n1 n2 n3");
        const before = solo.core.status();
        solo.step(message(value));
        expect(solo.core.status()).toEqual(before);
        expect(solo.takeAll()).toEqual([]);
      }
    });
  }

  test("an append whose entries end beyond the last index, or pass the term of its leader", () => {
    const end = { type: "append_request", prevIndex: index(MAX), prevTerm: term(1) } as const;
    const beyond = { ...end, entries: entriesOf(MAX, 1), commit: index(0) };
    const later = { ...append(0, 0, 0), entries: entriesOf(1, 3) };
    const solo = Solo.of("n1 n2 n3");
    solo.step(from("n2", 2, beyond), from("n2", 2, later));
    expect(solo.core.lastIndex).toBe(index(0));
    expect(solo.take("append_response")).toEqual([]);
  });
});

test("nothing is proposed beyond the last index", () => {
  const at = (last: number): Solo =>
    Solo.of("n1", {
      initial: { snapshot: { index: index(last), term: term(1) } },
    }).tick();
  const solo = at(MAX - 2);
  expect(solo.core.role).toBe("leader");
  expect(solo.core.lastIndex).toBe(index(MAX - 1));
  expect(solo.core.propose(new Uint8Array(1))).toMatchObject({ ok: true, index: MAX });
  solo.settle();
  expect(solo.core.propose(new Uint8Array(1))).toEqual({ ok: false, code: "overloaded" });
  const change = solo.core.proposeConfChange([{ type: "add_learner", id: ids("n2")[0] as never }]);
  expect(change).toEqual({ ok: false, code: "not_ready" });
  expect(solo.core.lastIndex).toBe(index(MAX));
  expect(at(MAX).core.role).toBe("follower");
});

describe("a start with a number that is not exact is refused", () => {
  const states: Readonly<Record<string, (value: number) => object>> = {
    "the term of the hard state": (value) => ({
      hardState: { term: term(value), vote: null, commit: index(0) },
    }),
    "the commit index of the hard state": (value) => ({
      hardState: { term: term(1), vote: null, commit: index(value) },
    }),
    "the checkpoint": (value) => ({ snapshot: { index: index(value), term: term(1) } }),
    "the term of the checkpoint": (value) => ({ snapshot: { index: index(1), term: term(value) } }),
    "the term of an entry": (value) => ({ entries: entriesOf(1, value) }),
    "the truncated-log marker": (value) => ({ marker: { index: index(value), term: term(1) } }),
    "what is applied": (value) => ({ applied: index(value) }),
    "terms of evicted entries": (value) => ({
      evicted: { through: index(1), runs: [{ first: index(1), term: term(value) }] },
      applied: index(1),
    }),
  };
  for (const [what, initial] of Object.entries(states)) {
    test(what, () => {
      for (const value of WRONG) {
        expect(() => newCore("n1", "n1 n2 n3", { initial: initial(value) })).toThrow(
          "is a whole number of 0 to 2^53 - 1",
        );
      }
    });
  }

  test("and so is a group that is to begin there", () => {
    const configuration = configurationOf(ids("n1"));
    for (const value of WRONG) {
      const { core } = Solo.of("");
      expect(() => core.bootstrap({ index: index(1), term: term(value), configuration })).toThrow(
        "is a whole number of 0 to 2^53 - 1",
      );
    }
  });
});
