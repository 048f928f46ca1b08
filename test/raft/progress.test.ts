import { describe, expect, test } from "bun:test";
import { Inflights, Progress } from "../../src/raft/progress.ts";
import { index } from "../tools/raft/harness.ts";
import { forEachSeed } from "../tools/random.ts";

const progress = (match: number, next: number): Progress =>
  new Progress(index(match), index(next), new Inflights(3));
const replicating = (match: number): Progress => {
  const made = progress(match, match + 1);
  made.becomeReplicate();
  return made;
};
const shape = ({ state, match, next, paused }: Progress) =>
  [state, match, next, paused] as unknown[];

describe("becoming", () => {
  test("probe goes back to what is known to match", () => {
    const peer = replicating(4);
    peer.sentEntries(3, 10);
    peer.becomeProbe();
    expect(shape(peer)).toEqual(["probe", 4, 5, false]);
    expect(peer.inflights.count).toBe(0);
  });

  test("probe after a snapshot that arrived goes on after it", () => {
    const peer = progress(1, 2);
    peer.becomeSnapshot(index(10));
    expect([peer.isPaused, peer.next]).toEqual([true, index(11)]);
    peer.becomeProbe();
    expect(shape(peer)).toEqual(["probe", 1, 11, false]);
  });

  test("probe after a snapshot that failed does not", () => {
    const peer = progress(1, 2);
    peer.becomeSnapshot(index(10));
    peer.pendingSnapshot = index(0);
    peer.becomeProbe();
    expect(peer.next).toBe(index(2));
  });

  test("replicate streams from the first that is missing", () => {
    const peer = progress(1, 9);
    peer.becomeReplicate();
    expect(shape(peer)).toEqual(["replicate", 1, 2, false]);
  });
});

describe("an answer that moves match", () => {
  const cases: [match: number, next: number, answer: number, expected: unknown[]][] = [
    [3, 5, 2, [false, 3, 5]],
    [3, 5, 3, [false, 3, 5]],
    [3, 5, 4, [true, 4, 5]],
    [3, 5, 5, [true, 5, 6]],
  ];
  for (const [match, next, answer, expected] of cases) {
    test(`${answer} at (${match}, ${next}): ${expected}`, () => {
      const peer = progress(match, next);
      const news = peer.maybeUpdate(index(answer));
      expect([news, peer.match, peer.next] as unknown[]).toEqual(expected);
    });
  }
});

describe("a refusal", () => {
  const cases: [
    state: "probe" | "replicate",
    match: number,
    next: number,
    rejected: number,
    hint: number,
    genuine: boolean,
    after: number,
  ][] = [
    ["replicate", 5, 10, 5, 5, false, 10],
    ["replicate", 5, 10, 4, 4, false, 10],
    ["replicate", 5, 10, 9, 9, true, 6],
    ["probe", 0, 0 + 10, 8, 8, false, 10],
    ["probe", 0, 11, 10, 20, true, 10],
    ["probe", 0, 11, 10, 2, true, 3],
    ["probe", 0, 2, 1, 0, true, 1],
    ["probe", 4, 11, 10, 1, true, 5],
  ];
  for (const [state, match, next, rejected, hint, genuine, after] of cases) {
    test(`of ${rejected} with hint ${hint} in ${state} (${match}, ${next}): next ${after}`, () => {
      const peer = progress(match, next);
      peer.state = state;
      peer.paused = state === "probe";
      expect(peer.maybeDecrease(index(rejected), index(hint))).toBe(genuine);
      expect<number>(peer.next).toBe(after);
      if (genuine) expect(peer.paused).toBe(false);
    });
  }
});

test("a probe is paused by entries; a stream by a full window", () => {
  const probe = progress(0, 1);
  probe.sentEntries(0, 0);
  expect(probe.isPaused).toBe(false);
  probe.sentEntries(1, 1);
  expect(probe.isPaused).toBe(true);
  const stream = replicating(0);
  for (const paused of [false, false, true]) {
    stream.sentEntries(1, 1);
    expect(stream.isPaused).toBe(paused);
  }
  expect(() => stream.sentEntries(1, 1)).toThrow("full");
});

test("a commit index is worth sending only if it lets the peer commit more of what it was sent", () => {
  const peer = replicating(5);
  peer.sentCommit = index(3);
  expect([peer.canBumpCommit(index(3)), peer.canBumpCommit(index(4))]).toEqual([false, true]);
  peer.sentCommit = index(5);
  expect(peer.canBumpCommit(index(9))).toBe(false);
});

describe("the window", () => {
  test("is full by count, or by bytes with the last one over", () => {
    const window = new Inflights(3, 10);
    window.add(index(1), 4);
    window.add(index(2), 5);
    expect(window.full).toBe(false);
    window.add(index(3), 9);
    expect([window.full, window.count, window.bytes]).toEqual([true, 3, 18]);
    window.freeUpTo(index(1));
    expect(window.full).toBe(true);
    window.freeUpTo(index(2));
    expect([window.full, window.count, window.bytes]).toEqual([false, 1, 9]);
  });

  // Goal: nothing leaks, whatever the order. Method: a plain array does the same.
  test("equals a list of messages", () => {
    forEachSeed(100, (random) => {
      const size = 1 + random.below(20);
      const window = new Inflights(size);
      let model: { index: number; bytes: number }[] = [];
      let last = 0;
      for (let i = 0; i < 200; i++) {
        if (random.below(3) > 0 && !window.full) {
          last += 1 + random.below(3);
          window.add(index(last), last % 7);
          model.push({ index: last, bytes: last % 7 });
        } else {
          const to = Math.max(0, last - random.below(10));
          window.freeUpTo(index(to));
          model = model.filter((message) => message.index > to);
        }
        expect(window.count).toBe(model.length);
        expect(window.bytes).toBe(model.reduce((sum, message) => sum + message.bytes, 0));
        expect(window.full).toBe(model.length === size);
      }
    });
  });
});
