/** Histories of a partition that no correct server has, one rule each. */
import { HistoryBuilder } from "./builder.ts";
import type { Rule } from "./violation.ts";

export type Exhibit = {
  readonly name: string;
  readonly rule: Rule;
  readonly history: HistoryBuilder;
};

const h = () => new HistoryBuilder();
const exhibit = (rule: Rule, name: string, history: HistoryBuilder): Exhibit => ({
  name,
  rule,
  history,
});

/** Three records at 0, 1, 2, one after the other. */
const three = () =>
  h().produce([0, 1], ["a"], 0).produce([2, 3], ["b"], 1).produce([4, 5], ["c"], 2);

const byKey = { duplicate: true };

export const ILLEGAL_LOG: readonly Exhibit[] = [
  exhibit("divergence", "two answers for one offset", three().produce([6, 7], ["d"], 2)),
  exhibit(
    "divergence",
    "two nodes differ",
    three().dump("n1", ["a", "b", "c"]).dump("n2", ["a", "x", "c"]),
  ),
  exhibit(
    "divergence",
    "a follower has what was overwritten later",
    h()
      .produce([0, 1], ["a"], 0)
      .produce([2, 9], ["lost"])
      .consume([3, 4], 0, ["a", "lost"], { linearizable: false })
      .produce([5, 6], ["b"], 1),
  ),
  exhibit("duplicate", "one record twice", three().dump("n1", ["a", "b", "c", "b"])),
  exhibit(
    "idempotency",
    "one key, two offsets",
    h()
      .withKey([0, 1], "k", ["a"], { offset: 0 })
      .withKey([2, 3], "k", ["a"], { offset: 1, ...byKey }),
  ),
  exhibit(
    "idempotency",
    "one key, two first writes",
    h().withKey([0, 1], "k", ["a"], { offset: 0 }).withKey([2, 3], "k", ["a"], { offset: 0 }),
  ),
  exhibit(
    "idempotency",
    "a duplicate without a first write",
    h().withKey([0, 1], "k", ["a"], { offset: 0, ...byKey }),
  ),
  exhibit(
    "idempotency",
    "one key stores two payloads",
    h()
      .withKey([0, 1], "k", ["a"], { offset: 0 })
      .withKey([2, 3], "k", ["b"], undefined)
      .dump("n1", ["a", "b"]),
  ),
  exhibit(
    "idempotency",
    "the payload that was said not to match is stored",
    h()
      .withKey([0, 1], "k", ["a"], undefined)
      .withKey([2, 3], "k", ["b"], { ...byKey, payloadMatches: false })
      .dump("n1", ["b"]),
  ),
  exhibit(
    "producer",
    "a later number lies before an earlier one",
    h().numbered([0, 9], "0/0", "a", 1).numbered([1, 8], "0/1", "b", 0),
  ),
  exhibit(
    "producer",
    "an older epoch lies behind a higher one",
    h().numbered([0, 1], "1/0", "a", 0).numbered([2, 3], "0/0", "b", 1),
  ),
  exhibit(
    "producer",
    "a number is stored without the one before it",
    h().numbered([0, 1], "0/0", "a", 0).numbered([2, 3], "0/2", "c", 1),
  ),
  exhibit(
    "producer",
    "a number is stored after the refusal of the one before it",
    h().numbered([0, 1], "0/0", "a", "not_leader").numbered([2, 3], "0/1", "b", 0),
  ),
  exhibit(
    "producer",
    "a producer is forgotten",
    h().numbered([0, 1], "0/0", "a", 0).numbered([2, 3], "0/1", "b", "sequence_gap"),
  ),
  exhibit(
    "producer",
    "the first number is a gap",
    h().numbered([0, 1], "0/0", "a", "sequence_gap"),
  ),
  exhibit(
    "producer",
    "an epoch is stale without a higher one",
    h().numbered([0, 1], "1/0", "a", 0).numbered([2, 3], "1/1", "b", "stale_epoch"),
  ),
  exhibit(
    "idempotency",
    "one number is stored twice",
    h().numbered([0, 1], "0/0", "a", 0).numbered([2, 3], "0/0", "a", 1),
  ),
  exhibit("invention", "a record of nobody", three().dump("n1", ["a", "b", "c", "ghost"])),
  exhibit(
    "aborted-read",
    "a refused record is there",
    h().produce([0, 1], ["a"], null).consume([2, 3], 0, ["a"]),
  ),
  exhibit("loss", "an acknowledged record is gone", three().dump("n1", ["a", "b"])),
  exhibit(
    "loss",
    "what a linearizable read has shown is gone",
    h().produce([0, 1], ["a"]).consume([2, 3], 0, ["a"]).dump("n1", []),
  ),
  exhibit(
    "loss",
    "the beginning is gone, nobody deleted it",
    three().dump("n1", ["b", "c"], { low: 1 }),
  ),
  exhibit("density", "a hole in a page", holed()),
  exhibit(
    "density",
    "a short page that is not the end",
    three().consume([6, 7], 0, ["a"], { end: 3 }),
  ),
  exhibit(
    "density",
    "next_offset skips a record",
    three().consume([6, 7], 0, ["a", "b"], { limit: 2, next: 3, end: 3 }),
  ),
  exhibit("torn-batch", "half a batch", h().produce([0, 1], ["a", "b"]).dump("n1", ["a"])),
  exhibit(
    "torn-batch",
    "a batch out of order",
    h().produce([0, 1], ["a", "b"]).dump("n1", ["b", "a"]),
  ),
  exhibit(
    "torn-batch",
    "a batch with another in it",
    h().produce([0, 9], ["a", "b"]).produce([0, 9], ["x"], 1).dump("n1", ["a", "x", "b"]),
  ),
  exhibit(
    "torn-batch",
    "the first half of a batch is visible alone",
    h().produce([0, 9], ["a", "b"], 0).consume([1, 2], 0, ["a"], { linearizable: false }),
  ),
  exhibit(
    "append-order",
    "a later write lies before an earlier one",
    h().produce([0, 1], ["a"], 1).produce([2, 3], ["b"], 0),
  ),
  exhibit(
    "append-order",
    "a lost write lies before one that was answered first",
    h().produce([0, 1], ["a"], 1).produce([2, 3], ["b"]).dump("n1", ["b", "a"]),
  ),
  exhibit(
    "stale-read",
    "a linearizable read misses an acknowledged record",
    three().consume([6, 7], 0, ["a", "b"]),
  ),
  exhibit(
    "stale-read",
    "a linearizable read misses what another one showed",
    h().produce([0, 99], ["a"]).consume([1, 2], 0, ["a"]).consume([3, 4], 0, []),
  ),
  exhibit(
    "early-read",
    "a record before it was sent",
    h().consume([0, 1], 0, ["a"]).produce([2, 3], ["a"], 0),
  ),
  exhibit(
    "session",
    "a follower goes back",
    three()
      .consume([6, 7], 0, ["a", "b", "c"], { linearizable: false, session: "s" })
      .consume([8, 9], 0, ["a"], { linearizable: false, session: "s" }),
  ),
  exhibit(
    "commit",
    "a commit is forgotten",
    three().commit([6, 7], 2, 2).consume([8, 9], 0, ["a", "b", "c"]),
  ),
  exhibit(
    "commit",
    "a commit of nobody",
    three().consume([6, 7], 0, ["a", "b", "c"], { committed: 1 }),
  ),
  exhibit("commit", "a commit goes back", three().commit([6, 7], 2, 2).commit([8, 9], 1, 1)),
  exhibit("commit", "a commit is answered with less", three().commit([6, 7], 2, 1)),
  exhibit(
    "commit",
    "a read goes back behind another",
    three()
      .commit([6, 99], 2)
      .consume([7, 8], 0, ["a", "b", "c"], { committed: 2 })
      .consume([9, 10], 0, ["a", "b", "c"], { committed: 0 }),
  ),
  exhibit(
    "density",
    "a read without offset does not begin at the committed one",
    three().commit([6, 7], 2, 2).consume([8, 9], 1, ["b", "c"], { offset: null, committed: 2 }),
  ),
  exhibit(
    "floor",
    "a deleted record is read",
    three().deleteBefore([6, 7], 2, 2).consume([8, 9], 0, ["a", "b", "c"]),
  ),
  exhibit(
    "floor",
    "a node keeps a deleted record",
    three().deleteBefore([6, 7], 2, 2).dump("n1", ["a", "b", "c"]),
  ),
  exhibit(
    "floor",
    "more is deleted than anybody asked for",
    three().deleteBefore([6, 7], 2, 2).consume([8, 9], 1, ["b", "c"], { low: 1, offset: 0 }),
  ),
  exhibit(
    "floor",
    "a refused deletion happened",
    three().deleteBefore([6, 7], 2, null).consume([8, 9], 2, ["c"], { low: 2, offset: 0 }),
  ),
  exhibit(
    "stale-read",
    "offsets begin anew after a deletion",
    three().deleteBefore([6, 7], 3, 3).consume([8, 9], 0, [], { low: 0 }),
  ),
  exhibit("two-leaders", "one term, two leaders", three().leader(6, "n1", 4).leader(7, "n2", 4)),
  exhibit(
    "not-equal",
    "a node stays behind",
    h().produce([0, 1], ["a"]).dump("n1", ["a"]).dump("n2", []),
  ),
  exhibit(
    "not-equal",
    "a node has another committed offset",
    three()
      .commit([6, 7], 1)
      .dump("n1", ["a", "b", "c"], { committed: { g: 1 } })
      .dump("n2", ["a", "b", "c"], { committed: { g: 0 } }),
  ),
];

function holed(): HistoryBuilder {
  const history = three().consume([6, 7], 0, ["a", "b", "c"]);
  const read = history.operations.pop();
  if (read?.op !== "consume" || read.result === null) throw new Error("not a read");
  const messages = read.result.messages.filter(([offset]) => offset !== 1);
  history.operations.push({ ...read, result: { ...read.result, messages } });
  return history;
}
