/** Goal: a member that lost the end of its log harms nobody, and is made whole (DESIGN.md, "Lost ends"). */
import { describe, expect, test } from "bun:test";
import {
  appendOf,
  ballot,
  Cluster,
  entriesOf,
  from,
  id,
  index,
  type Options,
  Solo,
  term,
} from "../tools/raft/harness.ts";

/** Held 1@1 … 4@2 in term 3, commit index 3; of that 1@1 and 2@1 are left. */
const LOST: Options = {
  preVote: false,
  checkQuorum: false,
  initial: {
    hardState: { term: term(3), vote: null, commit: index(3) },
    entries: entriesOf(1, 1, 1),
    marker: { index: index(4), term: term(2) },
  },
};
const lost = (): Solo => Solo.of("n1 n2 n3", LOST);
const heartbeat = (commit: number) =>
  ({ type: "heartbeat", commit: index(commit), round: 0 }) as const;
describe("it votes only for a log that ends at or after the marker", () => {
  const cases: [last: number, lastTerm: number, granted: boolean][] = [
    [2, 1, false],
    [9, 1, false],
    [3, 2, false],
    [4, 2, true],
    [2, 3, true],
  ];
  for (const type of ["vote_request", "pre_vote_request"] as const) {
    for (const [last, lastTerm, granted] of cases) {
      test(`${type} of a log that ends in ${last}@${lastTerm}: ${granted}`, () => {
        const log = { lastIndex: index(last), lastTerm: term(lastTerm), transfer: false };
        const hint = { commit: index(0), commitTerm: term(0) };
        const solo = lost().step(from("n2", 4, { type, ...log, ...hint }));
        const answer = type === "vote_request" ? "vote_response" : "pre_vote_response";
        expect(solo.take(answer)).toMatchObject([{ granted }]);
      });
    }
  }
});

test("it does not campaign, whatever the time or the leader says", () => {
  const solo = lost();
  solo.core.campaign();
  solo.tick(100).step(from("n2", 3, heartbeat(0)), from("n2", 3, { type: "timeout_now" }));
  expect([solo.core.role, solo.core.term]).toEqual(["follower", term(3)]);
  expect(Solo.of("n1", LOST).tick(100).core.role).toBe("follower");
});

test("neither its former commit index nor what a heartbeat says of it is believed", () => {
  const solo = lost();
  expect(solo.core.commitIndex).toBe(index(0));
  solo.step(from("n2", 3, heartbeat(2)), from("n2", 3, heartbeat(4)));
  expect(solo.core.commitIndex).toBe(index(0));
  solo.step(from("n2", 3, appendOf(1, 1, [2], 2)));
  expect(solo.committed).toEqual(entriesOf(1, 1, 2));
});

test("its commit index on disk does not go back", () => {
  const solo = lost().step(from("n2", 5, appendOf(1, 1, [], 1)));
  const saved = solo.outputs.flatMap(({ persist }) => persist?.hardState ?? []);
  expect(saved.at(-1)).toEqual({ term: term(5), vote: null, commit: index(3) });
});

test("what it appends is acknowledged", () => {
  const solo = lost().step(from("n2", 3, appendOf(2, 1, [2])));
  expect(solo.take("append_response")).toMatchObject([{ accepted: true, match: 3 }]);
});

describe("the marker ends", () => {
  const appended = (at: number, ...rest: Parameters<typeof appendOf>): Solo =>
    lost().step(from("n2", at, appendOf(...rest)));

  test("with a leader's log up to it, on disk", () => {
    const solo = lost();
    solo.core.step(from("n2", 3, appendOf(2, 1, [2, 2], 4)));
    const { persist } = solo.core.drain();
    expect(solo.core.marker).toMatchObject({ index: 4, term: 2 });
    solo.core.persisted(persist?.token ?? 0);
    expect(solo.core.marker).toBeNull();
    solo.step(from("n2", 3, heartbeat(4))).core.campaign();
    expect(solo.core.role).toBe("candidate");
  });

  test("with a later term, too", () => {
    expect(appended(4, 2, 1, [4], 3).core.marker).toBeNull();
  });

  test("not with a longer log of an older term", () => {
    expect(appended(3, 2, 1, [1, 1, 1, 1], 6).core.marker).not.toBeNull();
  });

  test("not before all is known to be committed that was", () => {
    const solo = appended(3, 2, 1, [2, 2], 2);
    expect(solo.core.marker).not.toBeNull();
    expect(solo.step(from("n2", 3, appendOf(4, 2, [], 3))).core.marker).toBeNull();
  });

  test("not by what was left of the log itself: that may have been replaced", () => {
    const hardState = { term: term(3), vote: null, commit: index(1) };
    const initial = { ...LOST.initial, hardState, entries: entriesOf(1, 1, 1, 2, 2) };
    const solo = Solo.of("n1 n2 n3", { ...LOST, initial });
    expect(solo.step(from("n2", 5, appendOf(1, 1, [], 1))).core.marker).not.toBeNull();
    expect(solo.step(from("n2", 5, appendOf(4, 2, [], 1))).core.marker).toBeNull();
  });
});

describe("a leader", () => {
  const refusal = (last: number, lastTerm: number) =>
    ({
      type: "append_response",
      accepted: false,
      rejected: index(0),
      hintIndex: index(last),
      hintTerm: term(lastTerm),
      lost: true,
    }) as const;

  test("sends again what a peer says it has lost, though it was acknowledged", () => {
    const solo = Solo.of("n1 n2 n3").lead();
    for (let i = 0; i < 3; i++) solo.core.propose(new Uint8Array(1));
    solo.settle().accept("n2", 4).takeAll();
    solo.step(from("n2", 1, refusal(2, 1)));
    expect(solo.core.matchIndex(id("n2"))).toBe(index(0));
    expect(solo.take("append_request")).toMatchObject([{ to: "n2", prevIndex: 2 }]);
    expect(solo.core.commitIndex).toBe(index(4));
  });

  test("answers a loss report with an append, though it has nothing new to send", () => {
    const solo = Solo.of("n1 n2 n3").lead();
    // The read round's heartbeat has told n2 of the commit index, which n2 does not believe.
    solo.core.readIndex("r");
    solo.settle().takeAll();
    solo.step(from("n2", 1, refusal(1, 1)));
    expect(solo.take("append_request")).toMatchObject([
      { to: "n2", prevIndex: 1, entries: [], commit: 1 },
    ]);
  });

  test("sends no append to a peer that is being sent a snapshot", () => {
    const solo = Solo.of("n1 n2 n3").lead();
    for (let i = 0; i < 5; i++) solo.core.propose(new Uint8Array(1));
    solo.settle().accept("n3", 6);
    solo.core.compact(index(6));
    solo.step(from("n2", 1, refusal(0, 0))).takeAll();
    expect(solo.core.status().progress?.get(id("n2"))?.state).toBe("snapshot");
    solo.step(from("n2", 1, refusal(1, 1)));
    expect(solo.takeAll()).toEqual([]);
  });

  test("finds out that what is left at the end of such a log is another entry", () => {
    const initial = {
      hardState: { term: term(3), vote: null, commit: index(0) },
      entries: entriesOf(1, 1, 3),
    };
    const solo = Solo.of("n1 n2 n3", { initial }).lead();
    expect(solo.core.matchIndex(id("n2"))).toBe(index(3));
    // As long as the leader counts on, but its end is of term 2.
    solo.step(from("n2", 4, { ...refusal(3, 2), rejected: index(3) }));
    expect(solo.core.matchIndex(id("n2"))).toBe(index(0));
    expect(solo.take("append_request")).toMatchObject([{ to: "n2", prevIndex: 1 }]);
  });

  test("is not disturbed by one that tells it nothing new", () => {
    const solo = Solo.of("n1 n2 n3").lead();
    const before = solo.core.status().progress?.get(id("n2"));
    solo.step(from("n2", 1, refusal(1, 1)));
    expect(solo.core.status().progress?.get(id("n2"))).toEqual(before as never);
  });
});

test("a follower that lost its end is filled again by the same leader, without a proposal", () => {
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  for (let i = 0; i < 5; i++) cluster.core("n1").propose(new Uint8Array(1));
  cluster.settle().tick(2);
  const damaged = cluster.get("n2");
  damaged.loseEnd(2);
  damaged.restart();
  damaged.applied = [];
  cluster.tick(3);
  expect(damaged.core.marker).toBeNull();
  expect(damaged.store.entries).toEqual(cluster.get("n1").store.entries);
  expect(damaged.applied).toEqual(cluster.get("n1").applied);
  expect([cluster.core("n1").role, cluster.core("n1").term]).toEqual(["leader", term(1)]);
});

test("a log that was filled again loses its mark in an idle group, and its member can be elected", () => {
  // Goal: two of three members cut their logs and are filled by a new leader, and then only they are
  // left. Method: a read is asked before that leader has committed anything, so that its round tells
  // of the commit index by heartbeats, which such members do not believe.
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  for (let i = 0; i < 5; i++) cluster.core("n1").propose(new Uint8Array(1));
  cluster.settle().tick(2);
  for (const name of ["n2", "n3"]) cluster.get(name).loseEnd(2);
  // The commit index is not synced for its own sake, so the disk of the next leader is behind.
  const { store } = cluster.get("n1");
  store.hardState = { term: term(1), vote: id("n1"), commit: index(1) };
  for (const member of cluster.members.values()) member.restart();
  let asked = false;
  cluster.onSend = ({ type }) => {
    if (type === "append_request" && !asked) asked = cluster.core("n1").readIndex("r").ok;
  };
  cluster.elect("n1").tick(3);
  expect(cluster.get("n1").reads).toMatchObject([{ context: "r" }]);
  expect(cluster.core("n1").lastIndex).toBe(index(7));
  expect([cluster.core("n2").marker, cluster.core("n3").marker]).toEqual([null, null]);
  cluster.passes = ({ to, from: sender }) => to !== "n1" && sender !== "n1";
  cluster.tick(60);
  expect([cluster.core("n2").role, cluster.core("n3").role]).toContain("leader");
});

/** The leader-completeness argument of DESIGN.md, played through. */
test("an entry that only a dead leader and the damaged node had is not lost", () => {
  const cluster = new Cluster("n1 n2 n3").elect("n1");
  cluster.passes = ({ to, from: sender }) => to !== "n3" && sender !== "n3";
  cluster.core("n1").propose(new Uint8Array(7));
  cluster.settle();
  const damaged = cluster.get("n2");
  expect(cluster.core("n1").commitIndex).toBe(index(2));
  damaged.loseEnd(1);
  damaged.restart();
  cluster.passes = ({ to, from: sender }) => to !== "n1" && sender !== "n1";
  cluster.tick(60);
  expect([cluster.core("n2").role, cluster.core("n3").role]).not.toContain("leader");
  cluster.heal();
  cluster.tick(60);
  expect(cluster.get("n3").store.entries[1]?.data).toEqual(new Uint8Array(7));
});

test("ballots of the voter itself do not stand in for what it lost", () => {
  const solo = lost().tick(50);
  solo.step(
    from("n2", 4, ballot("vote_response", true)),
    from("n3", 4, ballot("vote_response", true)),
  );
  expect(solo.core.role).toBe("follower");
});
