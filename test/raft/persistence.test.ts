/** Outputs that wait for the disk, and late reports of the disk (paper 5.1; thesis 10.2.1). */
import { describe, expect, test } from "bun:test";
import { encodeConfChange } from "../../src/raft/config-codec.ts";
import type { Core } from "../../src/raft/core.ts";
import type { Entry, Output } from "../../src/raft/types.ts";
import {
  appendOf,
  ballot,
  bytes,
  from,
  id,
  index,
  newCore,
  Solo,
  term,
} from "../tools/raft/harness.ts";

const ask = {
  type: "vote_request",
  lastIndex: index(0),
  lastTerm: term(0),
  transfer: false,
  commit: index(0),
  commitTerm: term(0),
} as const;

const types = (messages: Output["messages"]) => messages.map(({ type }) => type);
const tokenOf = (output: Output): number => output.persist?.token ?? -1;

/** A leader of three, in term 1, with nothing under way. */
const leader = (): Core => Solo.of("n1 n2 n3").lead().core;

test("a vote leaves only after the disk has it", () => {
  const core = newCore("n1", "n1 n2 n3");
  core.step(from("n2", 1, ask));
  const output = core.drain();
  expect(output.messages).toEqual([]);
  expect(output.persist).toMatchObject({ hardState: { term: 1, vote: "n2" }, mustSync: true });
  expect(types(output.messagesAfterPersist)).toEqual(["vote_response"]);
});

test("a vote that is durable already is repeated without a write", () => {
  const solo = Solo.of("n1 n2 n3").step(from("n2", 1, ask));
  solo.core.step(from("n2", 1, ask));
  const output = solo.core.drain();
  expect([output.persist, types(output.messages)]).toEqual([null, ["vote_response"]]);
});

test("a candidate asks for votes, and counts its own, only when its disk has that vote", () => {
  const core = newCore("n1", "n1 n2 n3", { preVote: false });
  core.campaign();
  const output = core.drain();
  expect([output.messages.length, types(output.messagesAfterPersist)]).toEqual([
    0,
    ["vote_request", "vote_request"],
  ]);
  core.step(from("n2", 1, ballot("vote_response", true)));
  expect(core.role).toBe("candidate");
  core.persisted(tokenOf(output));
  expect(core.role).toBe("leader");
});

test("the disk's word on an older candidacy does not count for this one", () => {
  const core = newCore("n1", "n1", { preVote: false });
  core.campaign();
  const first = core.drain();
  core.campaign();
  core.persisted(tokenOf(first));
  expect([core.role, core.term]).toEqual(["candidate", term(2)]);
  core.persisted(tokenOf(core.drain()));
  expect(core.role).toBe("leader");
});

test("no message speaks for a term that is not durable", () => {
  const core = newCore("n1", "n1 n2 n3");
  core.step(from("n2", 4, { type: "heartbeat", commit: index(0), round: 3 }));
  const output = core.drain();
  expect([output.messages.length, types(output.messagesAfterPersist)]).toEqual([
    0,
    ["heartbeat_response"],
  ]);
});

test("an append is acknowledged only after the disk has it", () => {
  const core = newCore("n1", "n1 n2 n3");
  core.step(from("n2", 1, appendOf(0, 0, [1, 1])));
  const output = core.drain();
  expect(output.messages).toEqual([]);
  expect(output.persist?.entries).toHaveLength(2);
  expect(output.messagesAfterPersist).toMatchObject([{ type: "append_response", match: 2 }]);
});

test("a repeated append while the first is being written waits for that write", () => {
  const core = newCore("n1", "n1 n2 n3");
  core.step(from("n2", 1, appendOf(0, 0, [1])));
  const first = core.drain();
  core.step(from("n2", 1, appendOf(0, 0, [1])));
  const second = core.drain();
  expect(second.messages).toEqual([]);
  expect(second.persist).toMatchObject({ entries: [], hardState: null, mustSync: false });
  expect(tokenOf(second)).toBe(tokenOf(first) + 1);
  expect(types(second.messagesAfterPersist)).toEqual(["append_response"]);
});

test("a leader sends its entries while it writes them", () => {
  const core = leader();
  core.propose(bytes("x"));
  const output = core.drain();
  expect(types(output.messages)).toEqual(["append_request", "append_request"]);
  expect(output.persist?.entries).toHaveLength(1);
  expect(output.messagesAfterPersist).toEqual([]);
});

describe("the leader's own disk counts like anyone's", () => {
  test("a group of one commits nothing before its disk has it (etcd issue 14370)", () => {
    const core = Solo.of("n1").tick().core;
    core.propose(bytes("x"));
    const output = core.drain();
    expect([output.committed.length, core.commitIndex]).toEqual([0, index(1)]);
    core.persisted(tokenOf(output));
    expect(core.commitIndex).toBe(index(2));
    expect(core.drain().committed).toHaveLength(1);
  });

  test("one follower of three is not enough while the leader still writes", () => {
    const core = leader();
    core.propose(bytes("x"));
    const output = core.drain();
    const accepted = { type: "append_response", accepted: true, match: index(2) } as const;
    core.step(from("n2", 1, accepted));
    expect(core.commitIndex).toBe(index(1));
    core.persisted(tokenOf(output));
    expect(core.commitIndex).toBe(index(2));
  });

  test("two followers of three are, but the leader applies only what its own disk has", () => {
    const core = leader();
    core.propose(bytes("x"));
    const output = core.drain();
    const accepted = { type: "append_response", accepted: true, match: index(2) } as const;
    core.step(from("n2", 1, accepted));
    core.step(from("n3", 1, accepted));
    expect(core.commitIndex).toBe(index(2));
    expect(core.drain().committed).toEqual([]);
    core.persisted(tokenOf(output));
    expect(core.drain().committed).toMatchObject([{ index: 2 }]);
  });
});

test("several writes may be under way; a token covers all before it", () => {
  const core = Solo.of("n1").tick().core;
  const tokens = ["a", "b", "c"].map((word) => {
    core.propose(bytes(word));
    return tokenOf(core.drain());
  });
  core.persisted(tokens[1] ?? -1);
  expect(core.durableIndex).toBe(index(3));
  core.persisted(tokens[0] ?? -1);
  expect(core.durableIndex).toBe(index(3));
  core.persisted(tokens[2] ?? -1);
  expect(core.commitIndex).toBe(index(4));
});

test("a token that was never handed out is a bug", () => {
  expect(() => newCore("n1", "n1").persisted(1)).toThrow("tokens");
});

describe("a late write vouches for nothing that was overwritten meanwhile", () => {
  test("neither for another entry in its place", () => {
    const core = newCore("n1", "n1 n2 n3");
    core.step(from("n2", 1, appendOf(0, 0, [1, 1, 1])));
    const old = core.drain();
    core.step(from("n3", 2, appendOf(1, 1, [2, 2])));
    const fresh = core.drain();
    core.persisted(tokenOf(old));
    expect(core.durableIndex).toBe(index(1));
    core.persisted(tokenOf(fresh));
    expect(core.durableIndex).toBe(index(3));
  });

  // The ABA race: index 2 is of term 1, then 2, then of term 1 again, by a leader that had it.
  test("nor for the very same entry that came back", () => {
    const core = newCore("n1", "n1 n2 n3 n4 n5");
    core.step(from("n2", 1, appendOf(0, 0, [1, 1])));
    const first = core.drain();
    core.step(from("n3", 2, appendOf(1, 1, [2])));
    const second = core.drain();
    core.step(from("n4", 3, appendOf(1, 1, [1], 2)));
    const third = core.drain();
    core.persisted(tokenOf(first));
    // The disk is about to lose (2, 1) to the second write; to report it would be a lie.
    expect(core.durableIndex).toBe(index(1));
    expect(core.drain().committed).toMatchObject([{ index: 1 }]);
    core.persisted(tokenOf(second));
    expect(core.durableIndex).toBe(index(1));
    core.persisted(tokenOf(third));
    expect(core.durableIndex).toBe(index(2));
    expect(core.drain().committed).toMatchObject([{ index: 2, term: 1 }]);
  });
});

test("a commit index alone is written without haste", () => {
  const core = leader();
  core.propose(bytes("x"));
  core.persisted(tokenOf(core.drain()));
  core.step(from("n2", 1, { type: "append_response", accepted: true, match: index(2) }));
  const { persist, committed } = core.drain();
  expect(persist).toMatchObject({ entries: [], hardState: { commit: 2 }, mustSync: false });
  expect(committed).toHaveLength(1);
});

test("a membership change is applied only when a commit index that covers it is durable", () => {
  const core = Solo.of("n1").tick().core;
  core.propose(bytes("x"));
  expect(core.proposeConfChange([{ type: "add_voter", id: id("n2") }]).ok).toBe(true);
  core.persisted(tokenOf(core.drain()));
  const commit = core.drain();
  expect(commit.committed).toMatchObject([{ index: 2 }]);
  expect(commit.persist).toMatchObject({ hardState: { commit: 3 }, mustSync: true });
  core.applied(index(2));
  core.persisted(tokenOf(commit));
  expect(core.drain().committed).toMatchObject([{ index: 3, type: "conf_change" }]);
});

test("each membership change waits for its own commit index to be durable", () => {
  const change = (at: number, name: string): Entry => {
    const changes = [{ type: "add_learner", id: id(name) } as const];
    const data = encodeConfChange({ transition: "auto", changes });
    return { index: index(at), term: term(1), type: "conf_change", data };
  };
  const core = newCore("n1", "n1 n2 n3");
  const entries = [change(1, "n8"), change(2, "n9")];
  core.step(from("n2", 1, { ...appendOf(0, 0, [], 1), entries }));
  const first = core.drain();
  core.step(from("n2", 1, { type: "heartbeat", commit: index(2), round: 0 }));
  const second = core.drain();
  expect([first.persist?.mustSync, second.persist?.mustSync]).toEqual([true, true]);
  core.persisted(tokenOf(first));
  expect(core.drain().committed).toMatchObject([{ index: 1 }]);
  core.applied(index(1));
  expect(core.drain().committed).toEqual([]);
  core.persisted(tokenOf(second));
  expect(core.drain().committed).toMatchObject([{ index: 2 }]);
});

test("a vote in a term that is durable already waits too", () => {
  const solo = Solo.of("n1 n2 n3").step(from("n3", 1, ballot("vote_response", false)));
  expect(solo.core.status().hardState).toMatchObject({ term: 1, vote: null });
  solo.core.step(from("n2", 1, ask));
  const output = solo.core.drain();
  expect([types(output.messages), types(output.messagesAfterPersist)]).toEqual([
    [],
    ["vote_response"],
  ]);
});

// Goal: a candidate that forgot its term by a crash cannot win that term twice with other entries.
test("a node that crashed before its own vote was durable has asked nobody to vote", () => {
  const core = newCore("n1", "n1 n2 n3", { preVote: false });
  core.campaign();
  expect(core.drain().messages).toEqual([]);
});
