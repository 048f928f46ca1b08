/** Histories of keys that no correct server has. */
import { HistoryBuilder } from "./builder.ts";
import type { Exhibit } from "./illegal-log.ts";
import type { Rule } from "./violation.ts";

const h = () => new HistoryBuilder();
const exhibit = (rule: Rule, name: string, history: HistoryBuilder): Exhibit => ({
  name,
  rule,
  history,
});

const chain = () => h().put([0, 1], "a", 1, { cas: 0 }).put([2, 3], "b", 2, { cas: 1 });
const ttlMs = 5000;

export const ILLEGAL_KV: readonly Exhibit[] = [
  exhibit("kv-chain", "two writes replace one revision", chain().put([4, 5], "c", 3, { cas: 1 })),
  exhibit("kv-chain", "a write replaces what never was", chain().put([4, 5], "c", 4, { cas: 3 })),
  exhibit("kv-chain", "a read of the past", chain().get([4, 5], "a", 1)),
  exhibit("kv-chain", "a read of nothing after a write", chain().get([4, 5], null, 0)),
  exhibit("kv-chain", "refused although it fits", chain().mismatch([4, 5], "c", 2, 2)),
  exhibit("kv-chain", "a refusal tells the past", chain().mismatch([4, 5], "c", 7, 1)),
  exhibit(
    "kv-chain",
    "a write that was seen is lost at the end",
    chain().kvDump("n1", [["k", "a", 1]]),
  ),
  exhibit("kv-chain", "created twice", chain().put([4, 5], "c", 3, { cas: 0 })),
  exhibit("kv-revision", "one revision twice", chain().put([4, 5], "x", 2, { key: "other" })),
  exhibit(
    "kv-revision",
    "revisions go back",
    h().put([0, 1], "a", 2).put([2, 3], "b", 1, { key: "other" }),
  ),
  exhibit("kv-revision", "a value with another revision", chain().get([4, 5], "b", 3)),
  exhibit("kv-invention", "a value of nobody", chain().get([4, 5], "ghost", 3)),
  exhibit("kv-invention", "a refused value", chain().put([4, 5], "c", null).get([6, 7], "c", 3)),
  exhibit(
    "kv-search",
    "a read of the past",
    h().put([0, 1], "a", 1).put([2, 3], "b", 2).get([4, 5], "a", 1),
  ),
  exhibit(
    "kv-search",
    "a deleted key is there",
    h().put([0, 1], "a", 1).remove([2, 3], true).get([4, 5], "a", 1),
  ),
  exhibit(
    "kv-search",
    "nothing was deleted although it was there",
    h().put([0, 1], "a", 1).remove([2, 3], false),
  ),
  exhibit(
    "kv-search",
    "a lost deletion happens twice",
    h()
      .put([0, 1], "a", 1)
      .remove([2, 9])
      .get([3, 4], null, 0)
      .put([5, 6], "b", 2)
      .get([7, 8], null, 0)
      .get([9, 10], null, 0)
      .get([11, 12], "b", 2),
  ),
  exhibit(
    "kv-search",
    "a compare-and-set succeeds after a deletion",
    h().put([0, 1], "a", 1).remove([2, 3], true).put([4, 5], "b", 2, { cas: 1 }),
  ),
  exhibit(
    "session",
    "a follower goes back",
    chain()
      .get([4, 5], "b", 2, { linearizable: false, session: "s" })
      .get([6, 7], "a", 1, { linearizable: false, session: "s" }),
  ),
  exhibit(
    "kv-ttl",
    "gone before its time",
    h().put([0, 1], "a", 1, { ttlMs }).get([10, 11], null, 0),
  ),
  exhibit(
    "kv-ttl",
    "there after its time",
    h().put([0, 1], "a", 1, { ttlMs }).get([9000, 9001], "a", 1),
  ),
  exhibit(
    "not-equal",
    "two nodes differ",
    h()
      .put([0, 1], "a", 1)
      .put([0, 9], "b", 2)
      .remove([10, 11])
      .kvDump("n1", [["k", "b", 2]])
      .kvDump("n2", []),
  ),
];
