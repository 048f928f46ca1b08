/** Histories that look wrong and are not. */
import { HistoryBuilder } from "./builder.ts";

const h = () => new HistoryBuilder();

const three = () =>
  h().produce([0, 1], ["a"], 0).produce([2, 3], ["b"], 1).produce([4, 5], ["c"], 2);

const follower = { linearizable: false };

export const LEGAL: Readonly<Record<string, HistoryBuilder>> = {
  "a plain life": three()
    .consume([6, 7], 0, ["a", "b", "c"])
    .commit([8, 9], 3, 3)
    .deleteBefore([10, 11], 2, 2)
    .consume([12, 13], 3, [], { offset: null, committed: 3, low: 2, end: 3 })
    .dump("n1", ["c"], { low: 2, committed: { g: 3 } })
    .dump("n2", ["c"], { low: 2, committed: { g: 3 } }),
  "concurrent writes lie in either order": h()
    .produce([0, 5], ["a"], 1)
    .produce([1, 4], ["b"], 0)
    .dump("n1", ["b", "a"]),
  "a write without an answer appears much later": h()
    .produce([0, 1], ["a"])
    .produce([10, 11], ["b"], 0)
    .dump("n1", ["b", "a"]),
  "a write without an answer never appears": h()
    .produce([0, 1], ["a"])
    .produce([10, 11], ["b"], 0)
    .dump("n1", ["b"]),
  "a read sees a write before its answer": h()
    .produce([0, 9], ["a"], 0)
    .consume([1, 2], 0, ["a"])
    .dump("n1", ["a"]),
  "a read that overlaps a write does not see it": h()
    .produce([0, 9], ["a"], 0)
    .consume([1, 10], 0, []),
  "a follower lags": three()
    .consume([6, 7], 0, ["a"], follower)
    .consume([8, 9], 0, [], follower)
    .consume([10, 11], 0, ["a", "b", "c"]),
  "a follower knows an older floor and commit": three()
    .commit([6, 7], 2, 2)
    .deleteBefore([8, 9], 1, 1)
    .consume([10, 11], 0, ["a", "b"], follower),
  "reads of one session overlap and end in the other order": three()
    .consume([6, 12], 0, ["a"], { ...follower, session: "s" })
    .consume([7, 8], 0, ["a", "b"], { ...follower, session: "s" }),
  "a page that its limit ends": three().consume([6, 7], 0, ["a", "b"], { limit: 2, end: 3 }),
  "a page that its size ends": three().consume([6, 7], 0, ["a"], { end: 3, truncated: true }),
  "a read beyond the end": three().consume([6, 7], 9, [], { end: 3, next: 9 }),
  "a read from below the floor": three()
    .deleteBefore([6, 7], 2, 2)
    .consume([8, 9], 2, ["c"], { offset: 0, low: 2 }),
  "the floor rises while a page is read": three()
    .deleteBefore([6, 7], 1, 1)
    .consume([6, 8], 1, ["b"], { offset: 0, limit: 2, low: 1, end: 3 }),
  "a read from the committed offset below the floor": three()
    .commit([6, 7], 1, 1)
    .deleteBefore([8, 9], 2, 2)
    .consume([10, 11], 2, ["c"], { offset: null, committed: 1, low: 2 }),
  "numbers of a producer, with an attempt that is lost": h()
    .numbered([0, 1], "0/0", "a", 0)
    .numbered([2, 3], "0/1", "b")
    .numbered([4, 5], "0/2", "c", "sequence_gap")
    .numbered([6, 7], "1/0", "d", 1)
    .numbered([8, 9], "0/1", "b", "stale_epoch")
    .dump("n1", ["a", "d"]),
  "numbers of a producer, with an attempt that comes late": h()
    .numbered([0, 1], "0/0", "a", 0)
    .numbered([2, 3], "0/1", "b")
    .numbered([4, 9], "0/2", "c", 2)
    .dump("n1", ["a", "b", "c"]),
  "a gap while the number before it is on its way": h()
    .numbered([0, 9], "0/0", "a", 0)
    .numbered([1, 2], "0/1", "b", "sequence_gap"),
  "a retry by key is a duplicate": h()
    .withKey([0, 1], "k", ["a"], undefined)
    .withKey([2, 3], "k", ["a"], { duplicate: true })
    .dump("n1", ["a"]),
  "a retry by key is the first write": h()
    .withKey([0, 1], "k", ["a"], undefined)
    .withKey([2, 3], "k", ["a"], {})
    .dump("n1", ["a"]),
  "a retry by key ends before the first attempt": h()
    .withKey([0, 9], "k", ["a"], {})
    .withKey([1, 2], "k", ["a"], { duplicate: true })
    .produce([3, 4], ["b"], 1)
    .dump("n1", ["a", "b"]),
  "a key with two payloads: the lost one was first": h()
    .withKey([0, 1], "k", ["a"], undefined)
    .withKey([2, 3], "k", ["b"], { duplicate: true, payloadMatches: false, count: 1 })
    .dump("n1", ["a"]),
  "a key with two payloads: the lost one never came": h()
    .withKey([0, 1], "k", ["a"], undefined)
    .withKey([2, 3], "k", ["b"], {})
    .dump("n1", ["b"]),
  "a duplicate of a deleted record": h()
    .withKey([0, 1], "k", ["a"], {})
    .deleteBefore([2, 3], 1, 1)
    .withKey([4, 5], "k", ["a"], { duplicate: true })
    .dump("n1", [], { low: 1 }),
  "a lower commit is answered with the one in force": three()
    .commit([6, 7], 3, 3)
    .commit([8, 9], 1, 3),
  "a commit without an answer counts later": three()
    .commit([6, 7], 2)
    .consume([8, 9], 0, ["a", "b", "c"])
    .consume([10, 11], 0, ["a", "b", "c"], { committed: 2 }),
  "a group that has committed nothing is shown at the floor": three()
    .deleteBefore([6, 7], 2, 2)
    .consume([8, 9], 2, ["c"], { offset: null, committed: 2, low: 2 })
    .commit([10, 11], 1, 1)
    .consume([12, 13], 2, ["c"], { offset: null, committed: 1, low: 2 }),
  "a deletion without an answer": three()
    .deleteBefore([6, 7], 2)
    .consume([8, 9], 0, ["a", "b", "c"])
    .dump("n1", ["c"], { low: 2 }),
  "a batch cut by a deletion": h()
    .produce([0, 1], ["a", "b", "c"], 0)
    .deleteBefore([2, 3], 1, 1)
    .dump("n1", ["b", "c"], { low: 1 }),
  "leaders follow each other": three().leader(1, "n1", 3).leader(2, "n2", 4).leader(3, "n1", 5),
  "a chain with a link that only a read betrays": h()
    .put([0, 1], "a", 1, { cas: 0 })
    .put([2, 3], "b", undefined, { cas: 1 })
    .get([8, 9], "b", 2)
    .put([10, 11], "c", 3, { cas: 2 }),
  "a chain with a link that nobody saw": h()
    .put([0, 1], "a", 1, { cas: 0 })
    .put([2, 3], "b", undefined, { cas: 1 })
    .mismatch([4, 5], "x", 1, 2)
    .put([10, 11], "c", 3, { cas: 2 }),
  "a chain in which a follower lags": h()
    .put([0, 1], "a", 1, { cas: 0 })
    .put([2, 3], "b", 2, { cas: 1 })
    .get([4, 5], "a", 1, follower)
    .get([6, 7], null, 0, follower),
  "a lost write and a lost deletion, in the order that fits": h()
    .put([0, 1], "a", 1)
    .put([2, 3], "b", undefined)
    .remove([4, 5])
    .get([6, 7], "a", 1)
    .get([8, 9], null, 0)
    .get([10, 11], "b", 2)
    .kvDump("n1", [["k", "b", 2]]),
  "a key that may or may not have expired": h()
    .put([0, 1], "a", 1, { ttlMs: 5000 })
    .get([2, 3], "a", 1)
    .get([4900, 4901], null, 0)
    .get([5100, 5101], "a", 1, { session: "other" })
    .get([9000, 9001], null, 0),
  "a key with a time to live that was never written": h()
    .put([0, 1], "a", undefined, { ttlMs: 5000 })
    .get([2, 3], null, 0),
};
