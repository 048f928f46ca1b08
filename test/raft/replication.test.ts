/** Log replication and commitment: paper section 5.3, 5.4.2. */
import { describe, expect, test } from "bun:test";
import {
  appendOf,
  bytes,
  Cluster,
  entriesOf,
  from,
  id,
  index,
  type MessageOf,
  Solo,
  term,
  text,
} from "../tools/raft/harness.ts";

const withLog = (terms: number[], at: number, commit = 0) => ({
  hardState: { term: term(at), vote: null, commit: index(commit) },
  entries: entriesOf(1, ...terms),
});

const follower = (terms: number[], at: number, commit = 0) =>
  Solo.of("n1 n2 n3", { initial: withLog(terms, at, commit) });

/** The terms of a core's log, by an election it cannot win: a probe of each index. */
function logOf(solo: Solo): number[] {
  const { core } = solo;
  return Array.from({ length: core.lastIndex }, (_, i) => core.termAt(index(i + 1)) ?? -1);
}

test("a leader appends a proposal and sends it to all at once (5.3)", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  expect(solo.core.propose(bytes("x"))).toEqual({ ok: true, index: index(2), term: term(1) });
  const sent = solo.settle().take("append_request");
  expect(sent.map(({ to, prevIndex, prevTerm }) => [to, prevIndex, prevTerm])).toEqual([
    [id("n2"), index(1), term(1)],
    [id("n3"), index(1), term(1)],
  ]);
  expect(sent[0]?.entries.map((entry) => text(entry.data))).toEqual(["x"]);
});

test("others refuse proposals and hand nothing on", () => {
  const solo = Solo.of("n1 n2 n3").step(from("n2", 1, appendOf(0, 0, [])));
  solo.takeAll();
  expect(solo.core.propose(bytes("x"))).toEqual({ ok: false, code: "not_leader" });
  expect(solo.settle().takeAll()).toEqual([]);
});

describe("a majority commits (5.3)", () => {
  const cases: [voters: string, holders: string[], committed: boolean][] = [
    ["n1", [], true],
    ["n1 n2 n3", [], false],
    ["n1 n2 n3", ["n2"], true],
    ["n1 n2 n3 n4 n5", ["n2"], false],
    ["n1 n2 n3 n4 n5", ["n2", "n5"], true],
  ];
  for (const [voters, holders, committed] of cases) {
    test(`[${voters}] held by the leader and [${holders}]: ${committed}`, () => {
      const solo = Solo.of(voters).lead();
      solo.core.propose(bytes("x"));
      solo.settle();
      for (const holder of holders) solo.accept(holder, 2);
      expect(solo.core.commitIndex).toBe(index(committed ? 2 : 1));
    });
  }
});

test("followers learn of a commit at the next drain, merged with new entries", () => {
  const solo = Solo.of("n1 n2 n3").lead();
  solo.core.propose(bytes("x"));
  solo.settle().takeAll();
  solo.core.step(from("n2", 1, { type: "append_response", accepted: true, match: index(2) }));
  solo.core.propose(bytes("y"));
  const sent = solo.settle().take("append_request");
  expect(sent.map(({ to, commit, entries }) => [to, commit, entries.length])).toEqual([
    [id("n2"), index(2), 1],
    [id("n3"), index(2), 1],
  ]);
});

test("entries of earlier terms never commit by counting, but along with one of this term (5.4.2)", () => {
  const solo = Solo.of("n1 n2 n3", { initial: withLog([1, 2], 2) }).elect();
  expect(solo.core.term).toBe(term(3));
  solo.accept("n2", 2);
  expect(solo.core.commitIndex).toBe(index(0));
  solo.accept("n2", 3);
  expect(solo.core.commitIndex).toBe(index(3));
});

describe("a follower takes only what fits its log (5.3)", () => {
  const cases: [
    name: string,
    log: number[],
    request: [prev: number, prevTerm: number, terms: number[]],
    result: number[],
  ][] = [
    ["appends", [1, 1], [2, 1, [2]], [1, 1, 2]],
    ["replaces a conflict and what follows", [1, 1, 1], [1, 1, [2]], [1, 2]],
    ["ignores what it has", [1, 1, 1], [0, 0, [1, 1]], [1, 1, 1]],
    ["keeps its tail on a shorter, older append", [1, 1, 2, 2], [1, 1, [1]], [1, 1, 2, 2]],
    ["keeps its tail on an empty append", [1, 1, 2], [1, 1, []], [1, 1, 2]],
    ["refuses a gap", [1, 1], [3, 1, [1]], [1, 1]],
    ["refuses another term before", [1, 1], [2, 2, [2]], [1, 1]],
  ];
  for (const [name, log, [prev, prevTerm, terms], result] of cases) {
    test(name, () => {
      const solo = follower(log, 2).step(from("n2", 2, appendOf(prev, prevTerm, terms)));
      expect(logOf(solo)).toEqual(result);
    });
  }
});

test("a follower commits no further than this message vouches for (5.3)", () => {
  // Its tail (3, 4) is of another leader; the append confirms only 1 and 2.
  const solo = follower([1, 1, 1, 1], 2).step(from("n2", 2, appendOf(1, 1, [1], 4)));
  expect(solo.core.commitIndex).toBe(index(2));
  solo.step(from("n2", 2, appendOf(2, 1, [], 4)));
  expect(solo.core.commitIndex).toBe(index(2));
});

describe("an append that contradicts what is committed ends the process", () => {
  const cases: readonly [what: string, message: ReturnType<typeof appendOf>, reason: string][] = [
    [
      "an entry below the commit index",
      appendOf(0, 0, [2]),
      "committed entry 1 has term 1 here and 2",
    ],
    [
      "an entry at the commit index",
      appendOf(1, 1, [2]),
      "committed entry 2 has term 1 here and 2",
    ],
    [
      "a later entry of an append that fits",
      appendOf(0, 0, [1, 2]),
      "committed entry 2 has term 1",
    ],
    ["the entry before, at the commit index", appendOf(2, 2, [2]), "committed entry 2 has term 1"],
    ["the entry before, below it", appendOf(1, 2, [2]), "committed entry 1 has term 1 here and 2"],
  ];
  for (const [what, message, reason] of cases) {
    test(what, () => {
      const solo = follower([1, 1, 1], 2, 2);
      expect(() => solo.core.step(from("n2", 2, message))).toThrow(reason);
      expect(logOf(solo)).toEqual([1, 1, 1]);
    });
  }

  test("a snapshot of the same index and another term", () => {
    const solo = follower([1, 1, 1], 2, 2);
    const { configuration } = solo.core;
    const snapshot = { index: index(2), term: term(2), configuration };
    const offer = from("n2", 2, { type: "snapshot_offer", snapshot });
    expect(() => solo.core.step(offer)).toThrow(
      "committed entry 2 has term 1 here and 2 at leader n2",
    );
  });

  test("not one that agrees, and not one that differs above", () => {
    const solo = follower([1, 1, 1], 2, 2);
    solo.step(from("n2", 2, appendOf(0, 0, [1])));
    expect(solo.take("append_response")).toMatchObject([{ accepted: true, match: 2 }]);
    solo.step(from("n2", 2, appendOf(2, 1, [2])));
    expect(logOf(solo)).toEqual([1, 1, 2]);
  });
});

test("a commit index beyond the log means that a disk forgot, and ends the process", () => {
  const other = follower([1, 1, 1], 2, 2);
  other.core.step(from("n2", 2, { type: "heartbeat", commit: index(3), round: 0 }));
  expect(() =>
    other.core.step(from("n2", 2, { type: "heartbeat", commit: index(9), round: 0 })),
  ).toThrow("commit beyond the log");
});

test("a heartbeat names no commit beyond what the peer is known to hold (5.3)", () => {
  const solo = Solo.of("n1 n2 n3");
  solo.elect();
  for (let i = 0; i < 3; i++) solo.core.propose(bytes("x"));
  solo.settle().accept("n2", 4).accept("n3", 2).takeAll();
  const told = solo.tick().take("heartbeat");
  expect(solo.core.commitIndex).toBe(index(4));
  expect(told).toMatchObject([
    { to: "n2", commit: 4 },
    { to: "n3", commit: 2 },
  ]);
});

test("a late heartbeat does not take a commit back", () => {
  const solo = follower([1, 1, 1], 2, 3);
  solo.step(from("n2", 2, { type: "heartbeat", commit: index(1), round: 0 }));
  expect(solo.core.commitIndex).toBe(index(3));
});

test("a second leader of one term is a bug or a lie, and ends the process", () => {
  const { configuration } = Solo.of("n1 n2 n3").core;
  const snapshot = { index: index(9), term: term(1), configuration };
  const words = [
    appendOf(1, 1, [1]),
    { type: "heartbeat", commit: index(1), round: 0 },
    { type: "snapshot_offer", snapshot },
  ] as const;
  for (const word of words) {
    const solo = Solo.of("n1 n2 n3").lead();
    expect(() => solo.core.step(from("n2", 1, word))).toThrow("two leaders in one term");
    expect(() => solo.core.step(from("n2", 0, word))).not.toThrow();
  }
});

test("malformed entries are dropped whole", () => {
  const solo = follower([1], 2);
  const gap = { ...appendOf(1, 1, [2]), entries: entriesOf(3, 2) };
  const descending = appendOf(1, 1, [2, 1]);
  solo.step(from("n2", 2, gap), from("n2", 2, descending));
  expect([solo.core.lastIndex, solo.takeAll().length]).toEqual([index(1), 0]);
});

describe("the hint of a refusal skips whole terms, on either side", () => {
  const cases: [follower: number[], prev: number, prevTerm: number, hint: [number, number]][] = [
    [[1, 1], 5, 3, [2, 1]],
    [[1, 2, 2, 2], 4, 1, [1, 1]],
    [[1, 3, 3, 3], 4, 2, [1, 1]],
    [[1, 1, 1, 2], 4, 4, [4, 2]],
    [[5, 5], 2, 3, [0, 0]],
  ];
  for (const [log, prev, prevTerm, [hintIndex, hintTerm]] of cases) {
    test(`log [${log}] refuses (${prev}, ${prevTerm}) with (${hintIndex}, ${hintTerm})`, () => {
      const solo = follower(log, 6).step(from("n2", 6, appendOf(prev, prevTerm, [])));
      expect(solo.take("append_response")).toMatchObject([
        { accepted: false, rejected: prev, hintIndex, hintTerm },
      ]);
    });
  }

  const logs: [name: string, leader: number[], follower: number[], roundsMax: number][] = [
    [
      "figure 7 (a): missing the end",
      [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
      [1, 1, 1, 4, 4, 5, 5, 6, 6],
      2,
    ],
    ["figure 7 (b): far behind", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4], 2],
    ["figure 7 (e)", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 4, 4], 2],
    ["figure 7 (f)", [1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], 2],
    ["alternate terms", [1, 3, 3, 5, 5, 7], [1, 2, 2, 4, 4, 6, 6], 4],
  ];
  for (const [name, leaderLog, followerLog, roundsMax] of logs) {
    test(`${name}: in step after at most ${roundsMax} refusals`, () => {
      const cluster = new Cluster("n1 n2 n3");
      for (const [member, log] of [
        ["n1", leaderLog],
        ["n2", followerLog],
        ["n3", []],
      ] as const) {
        const { store } = cluster.get(member);
        store.entries = entriesOf(1, ...log);
        store.hardState = { term: term(8), vote: null, commit: index(0) };
        cluster.get(member).restart();
      }
      let refusals = 0;
      cluster.onSend = (message) => {
        if (message.type === "append_response" && message.from === "n2" && !message.accepted) {
          refusals++;
        }
      };
      cluster.elect("n1").tick(2);
      expect(cluster.core("n1").role).toBe("leader");
      const terms = cluster.get("n1").store.entries.map((entry) => entry.term);
      for (const other of ["n2", "n3"]) {
        expect(cluster.get(other).store.entries.map((entry) => entry.term)).toEqual(terms);
      }
      expect(refusals).toBeLessThanOrEqual(roundsMax);
    });
  }
});

describe("flow control", () => {
  test("while probing one append is out at a time; an answer starts the stream", () => {
    const solo = Solo.of("n1 n2", { maxAppendBytes: 1 }).elect();
    for (const word of ["a", "b", "c"]) solo.core.propose(bytes(word));
    expect(solo.settle().take("append_request")).toHaveLength(1);
    expect(solo.accept("n2", 1).take("append_request")).toHaveLength(3);
  });

  test("messages in flight are limited by count, and an answer frees exactly what it covers", () => {
    const solo = Solo.of("n1 n2", { maxInflightMessages: 3 }).lead();
    const sent = () =>
      solo
        .settle()
        .take("append_request")
        .filter((m) => m.entries.length > 0);
    for (let i = 0; i < 10; i++) solo.core.propose(bytes("x"));
    expect(sent()).toHaveLength(3);
    solo.accept("n2", 3);
    expect(solo.core.status().progress?.get(id("n2"))).toMatchObject({ inflightMessages: 2 });
    solo.accept("n2", 11);
    expect(solo.core.status().progress?.get(id("n2"))).toMatchObject({ inflightMessages: 0 });
    solo.takeAll();
    for (let i = 0; i < 10; i++) solo.core.propose(bytes("x"));
    expect(sent()).toHaveLength(3);
  });

  test("messages in flight are limited by bytes too, but one always fits", () => {
    const solo = Solo.of("n1 n2", { maxInflightBytes: 10 }).lead();
    for (let i = 0; i < 4; i++) solo.core.propose(new Uint8Array(6));
    expect(solo.settle().take("append_request")).toHaveLength(2);
    expect(solo.accept("n2", 3).take("append_request").length).toBeGreaterThan(0);
  });

  test("if all in flight was lost, the answer to a heartbeat gets the peer going again", () => {
    const cluster = new Cluster("n1 n2", { maxInflightMessages: 2 }).elect("n1").settle();
    cluster.passes = ({ type }) => type !== "append_request";
    for (let i = 0; i < 5; i++) cluster.core("n1").propose(bytes("x"));
    cluster.settle();
    cluster.heal();
    cluster.tick(3);
    expect(cluster.core("n1").commitIndex).toBe(index(6));
    expect(cluster.core("n2").lastIndex).toBe(index(6));
  });

  test("an unreachable peer is probed", () => {
    const solo = Solo.of("n1 n2").lead();
    solo.core.propose(bytes("x"));
    solo.settle();
    solo.core.reportUnreachable(id("n2"));
    expect(solo.core.status().progress?.get(id("n2"))).toMatchObject({ state: "probe", next: 2 });
  });

  test("a stale refusal changes nothing", () => {
    const solo = Solo.of("n1 n2").lead();
    const before = solo.core.status().progress?.get(id("n2"));
    const refusal = { type: "append_response", accepted: false } as const;
    const hint = { rejected: index(1), hintIndex: index(0), hintTerm: term(0) };
    solo.step(from("n2", 1, { ...refusal, ...hint } as never));
    expect(solo.core.status().progress?.get(id("n2"))).toEqual(before as never);
  });

  test("an answer beyond the leader's own log is not counted", () => {
    const solo = Solo.of("n1 n2 n3").lead().accept("n2", 99).accept("n3", 99);
    expect(solo.core.commitIndex).toBe(index(1));
  });

  test("proposals beyond the limit of uncommitted bytes are refused, and let in again later", () => {
    const solo = Solo.of("n1 n2", { maxUncommittedBytes: 10 }).lead();
    expect(solo.core.propose(new Uint8Array(99)).ok).toBe(true);
    expect(solo.core.propose(bytes("x"))).toEqual({ ok: false, code: "overloaded" });
    expect(solo.core.propose(new Uint8Array(0)).ok).toBe(true);
    solo.settle().accept("n2", solo.core.lastIndex);
    expect(solo.core.propose(bytes("x")).ok).toBe(true);
  });
});

test("appends are cut by bytes and streamed one after the other", () => {
  const solo = Solo.of("n1 n2", { maxAppendBytes: 40 }).elect();
  for (let i = 0; i < 5; i++) solo.core.propose(new Uint8Array(10));
  solo.settle().takeAll();
  const sent: MessageOf<"append_request">[] = solo.accept("n2", 1).take("append_request");
  expect(sent.map((message) => message.entries.length)).toEqual([2, 2, 1]);
  expect(sent.map((message) => message.prevIndex as number)).toEqual([1, 3, 5]);
});

test("what is committed is handed out once, in order, within the byte limit", () => {
  const solo = Solo.of("n1", { maxCommittedBytes: 40 }).tick();
  for (let i = 0; i < 20; i++) solo.core.propose(new Uint8Array(10));
  solo.settle();
  expect(solo.committed.map((entry) => entry.index as number)).toEqual(
    Array.from({ length: 21 }, (_, i) => i + 1),
  );
  const most = Math.max(...solo.outputs.map((output) => output.committed.length));
  expect(most).toBe(2);
});
