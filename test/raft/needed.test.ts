/** The part of a leader's log that its peers still need. */
import { expect, test } from "bun:test";
import { bytes, entriesOf, from, id, index, newCore, Solo, term } from "../tools/raft/harness.ts";

const needed = ({ core }: Solo) => Object.fromEntries(core.neededFrom()) as Record<string, number>;

/** It leads with `count` entries, its own included, that both peers have. */
function leading(count: number): Solo {
  const solo = Solo.of("n1 n2 n3").lead();
  for (let i = 1; i < count; i++) solo.core.propose(bytes("x"));
  solo.settle().accept("n2", count).accept("n3", count);
  return solo;
}

/** As `leading`, and then n3 is silent while so many more are written. */
function behind(count: number, more: number): Solo {
  const solo = leading(count);
  for (let i = 0; i < more; i++) solo.core.propose(bytes("y"));
  return solo.settle().accept("n2", count + more);
}

/** n3 says that its log is empty. */
const empty = (solo: Solo): Solo => {
  solo.core.reportUnreachable(id("n3"));
  solo.step(from("n3", solo.core.term, { type: "heartbeat_response", round: 0 }));
  const refusal = { hintIndex: index(0), hintTerm: term(0), lost: false };
  const rejected = index((solo.core.status().progress?.get(id("n3"))?.next ?? 0) - 1);
  return solo.step(
    from("n3", solo.core.term, { type: "append_response", accepted: false, rejected, ...refusal }),
  );
};

test("a peer needs what comes after that which its disk is known to hold", () => {
  const solo = behind(5, 4);
  expect(needed(solo)).toEqual({ n2: 10, n3: 6 });
  solo.core.reportUnreachable(id("n3"));
  expect(needed(solo)).toEqual({ n2: 10, n3: 6 });
});

test("only a leader knows", () => {
  const solo = leading(3);
  solo.core.stepDown();
  expect(needed(solo)).toEqual({});
});

test("who is too far behind needs nothing of the log, until a snapshot is on its way", () => {
  const solo = behind(5, 4);
  solo.core.compact(index(7));
  // Messages on their way to it may still arrive.
  expect(needed(solo)).toEqual({ n2: 10, n3: 10 });
  solo.core.reportUnreachable(id("n3"));
  expect(needed(solo)).toEqual({ n2: 10 });
  solo.step(from("n3", 1, { type: "heartbeat_response", round: 0 }));
  expect(solo.take("snapshot_offer").map(({ to }) => to)).toEqual([id("n3")]);
  expect(needed(solo)).toEqual({ n2: 10, n3: 8 });
  // Entries that the newest checkpoint covers leave the memory; the snapshot on its way is still
  // needed.
  solo.core.snapshotCreated(index(9));
  expect(needed(solo)).toEqual({ n2: 10, n3: 8 });
  solo.core.compact(index(9));
  expect(needed(solo)).toEqual({ n2: 10 });
});

test("between its delivery and its acknowledgement a snapshot is still needed", () => {
  const solo = behind(5, 4);
  solo.core.compact(index(7));
  solo.core.reportUnreachable(id("n3"));
  solo.step(from("n3", 1, { type: "heartbeat_response", round: 0 }));
  solo.core.reportSnapshot(id("n3"), true);
  expect(needed(solo)).toEqual({ n2: 10, n3: 8 });
  solo.accept("n3", 7);
  expect(needed(solo)).toEqual({ n2: 10, n3: 8 });
});

test("one that failed to be delivered is not: the next one is a newer one", () => {
  const solo = behind(5, 4);
  solo.core.compact(index(7));
  solo.core.reportUnreachable(id("n3"));
  solo.step(from("n3", 1, { type: "heartbeat_response", round: 0 }));
  solo.core.reportSnapshot(id("n3"), false);
  expect(needed(solo)).toEqual({ n2: 10 });
});

test("who was not heard of may need all that was there at the election", () => {
  const initial = {
    hardState: { term: term(3), vote: null, commit: index(4) },
    entries: entriesOf(1, 1, 1, 2, 3),
    applied: index(4),
  };
  const solo = Solo.of("n1 n2 n3", { initial });
  solo.core.compact(index(2));
  solo.elect().accept("n2", 5);
  for (let i = 0; i < 4; i++) solo.core.propose(bytes("x"));
  solo.settle().accept("n2", 9);
  expect(needed(solo)).toEqual({ n2: 10, n3: 3 });
  // That is gone: what came since is left, as long as nobody says that it lacks more.
  solo.core.compact(index(4));
  expect(needed(solo)).toEqual({ n2: 10, n3: 5 });
  solo.core.compact(index(6));
  expect(needed(solo)).toEqual({ n2: 10 });
  expect(needed(empty(solo))).toEqual({ n2: 10, n3: 7 });
});

test("a restart knows the log from before its checkpoint, if the journal has it", () => {
  const initial = {
    hardState: { term: term(3), vote: null, commit: index(6) },
    snapshot: { index: index(5), term: term(3) },
    evicted: {
      after: { index: index(2), term: term(1) },
      through: index(5),
      runs: [
        { first: index(3), term: term(1) },
        { first: index(4), term: term(3) },
      ],
    },
    entries: entriesOf(6, 3),
  };
  const core = newCore("n1", "n1 n2 n3", { initial });
  expect([1, 2, 3, 4, 5, 6].map((at) => Number(core.termAt(index(at))))).toEqual([
    0, 1, 1, 3, 3, 3,
  ]);
  expect([core.firstIndex, core.evictedIndex, core.appliedIndex]).toEqual([3, 5, 5].map(index));
  expect(core.snapshot.index).toBe(index(5));
  // And gives it to who lacks it, instead of the snapshot.
  const solo = new Solo(core);
  solo.elect().accept("n2", 7);
  solo.takeAll();
  const refusal = { rejected: index(6), hintIndex: index(3), hintTerm: term(1), lost: false };
  solo.step(from("n3", core.term, { type: "append_response", accepted: false, ...refusal }));
  expect(solo.take("append_request").map(({ to, prevIndex }) => [to, prevIndex])).toEqual([
    [id("n3"), index(3)],
  ]);
  expect(needed(solo)).toEqual({ n2: 8, n3: 3 });
});

test("a log that leaves a gap to its snapshot is refused", () => {
  const snapshot = { index: index(5), term: term(3) };
  const runs = [{ first: index(3), term: term(3) }];
  const after = { index: index(2), term: term(1) };
  const initial = { snapshot, evicted: { after, through: index(4), runs } };
  expect(() => newCore("n1", "n1 n2 n3", { initial })).toThrow("reaches to the snapshot");
});
