/**
 * Goal: a write is answered with what is known of it, and forgotten when it is decided, also when
 * leadership is lost and comes back. Method: the queue and the completions on a core of their own.
 */
import { describe, expect, test } from "bun:test";
import type { Millis } from "../../src/lib/ids.ts";
import type { WriteAck, WriteReject } from "../../src/node/api.ts";
import { CommandQueue, PROPOSAL_BYTES_MAX } from "../../src/node/writes/command-queue.ts";
import { Completions } from "../../src/node/writes/completions.ts";
import { Waiter } from "../../src/node/writes/waiters.ts";
import { Acknowledgements, type WriteConcern } from "../../src/node/writes/write-concern.ts";
import type { Core } from "../../src/raft/core.ts";
import type { Entry, LogIndex, NodeId, Term } from "../../src/raft/types.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const RESULT = {
  ok: true,
  type: "tick",
  keysFreed: 0,
  duplicatesForgotten: 0,
  dueEnded: 0,
} as const;
const IDS = ["n1", "n2", "n3"] as NodeId[];

/** A core whose state a test sets: as far as the queue and the completions ask it. */
class SetCore {
  term = 1 as Term;
  lastIndex = 10 as LogIndex;
  appliedIndex = 10 as LogIndex;
  commitIndex = 10 as LogIndex;
  durableIndex = 10 as LogIndex;
  readonly configuration = { voters: IDS, votersOutgoing: [] };
  readonly matches = new Map<NodeId, number>();
  /** Terms of the entries that are in the log. */
  readonly log = new Map<number, number>();

  propose() {
    this.lastIndex = (this.lastIndex + 1) as LogIndex;
    this.log.set(this.lastIndex, this.term);
    return { ok: true, index: this.lastIndex, term: this.term } as const;
  }
  termAt(index: LogIndex) {
    return (this.log.get(index) ?? null) as Term | null;
  }
  matchIndex(id: NodeId) {
    return (this.matches.get(id) ?? 0) as LogIndex;
  }
}

class TestWaiter extends Waiter {
  readonly answers: (WriteAck | WriteReject)[] = [];
  left = 0;

  override leftQueue(): void {
    this.left++;
  }
  protected override onApplied(_: unknown, ack: WriteAck): void {
    this.answers.push(ack);
  }
  protected override onTimeout(): void {
    this.answers.push("commit_timeout");
  }
  protected override onReject(code: WriteReject): void {
    this.answers.push(code);
  }
}

function made(writeConcern: WriteConcern = { kind: "majority" }) {
  const set = new SetCore();
  const core = set as unknown as Core;
  const clock = new SimClock();
  const commitSeconds = { observe: () => {} };
  const woken = { times: 0 };
  const completions = new Completions({ core, clock, writeConcern, commitSeconds });
  const queue = new CommandQueue({
    core,
    completions,
    clock: Object.assign(clock, { mayStamp: () => true }),
    machine: { now: 0 as Millis },
    reads: { floorMs: 0 as Millis },
    disk: { isShort: false },
    queueBytesMax: 100 * PROPOSAL_BYTES_MAX,
    queueRequestsMax: 100,
    loop: { wake: () => woken.times++ },
    linearizer: { confirm: () => Promise.resolve("ok") },
  });
  queue.setRefusal(null);
  const submit = (bytes = 1) => {
    const waiter = new TestWaiter(clock.monotonic());
    queue.writer().raw(new Uint8Array(bytes));
    return { waiter, proposal: queue.submit(waiter) };
  };
  const proposed = () => {
    const submitted = submit();
    queue.propose();
    return submitted;
  };
  const entryAt = (index: number, term: number): Entry =>
    ({ index, term, type: "normal", data: new Uint8Array() }) as unknown as Entry;
  return { set, core, queue, completions, submit, proposed, entryAt, woken };
}

test("commands that are collected for an entry do not wake the loop again", () => {
  const { queue, submit, set, woken } = made();
  let collects = true;
  queue.setCollector(() => {
    if (collects) submit();
    collects = false;
  });
  submit();
  expect(woken.times).toBe(1);
  queue.propose();
  expect([woken.times, set.lastIndex, queue.queuedRequests]).toEqual([1, 11, 2]);
  submit();
  expect(woken.times).toBe(2);
});

const forgotten = { queuedRequests: 0, queuedBytes: 0 };

describe("an entry that is applied", () => {
  test("answers the proposal of its index and term, once", () => {
    const { completions, queue, proposed, entryAt, set } = made();
    const { waiter, proposal } = proposed();
    expect(proposal.index).toBe(11);
    expect(completions.take(entryAt(11, 1))).toBe(proposal);
    expect(completions.take(entryAt(11, 1))).toBeNull();
    set.commitIndex = 11 as LogIndex;
    completions.settle(proposal, 0, RESULT);
    expect(waiter.answers).toEqual([{ batchId: 11, synced: true, ackedBy: 2 }]);
    expect(waiter.left).toBe(1);
    expect(queue).toMatchObject(forgotten);
  });
  test("of another leader at its index: nothing was done", () => {
    const { completions, queue, proposed, entryAt } = made();
    const { waiter } = proposed();
    expect(completions.take(entryAt(11, 2))).toBeNull();
    expect(waiter.answers).toEqual(["not_leader"]);
    expect(waiter.left).toBe(1);
    expect(queue).toMatchObject(forgotten);
  });
  test("behind a proposal that a snapshot has overtaken: its outcome is unknown", () => {
    const { completions, queue, proposed, entryAt } = made();
    const { waiter } = proposed();
    const later = proposed();
    expect(completions.take(entryAt(12, 1))).toBe(later.proposal);
    expect(waiter.answers).toEqual(["commit_timeout"]);
    expect(waiter.left).toBe(1);
    expect(queue).toMatchObject(forgotten);
  });
});

describe("a proposal that was lost", () => {
  test("is given up when a snapshot has its index, whatever the log says", () => {
    const { completions, queue, proposed, set } = made();
    const { waiter } = proposed();
    const kept = proposed();
    completions.dropLost();
    expect(waiter.answers).toEqual([]);
    set.appliedIndex = 11 as LogIndex;
    completions.dropLost();
    expect(waiter.answers).toEqual(["commit_timeout"]);
    expect(waiter.left).toBe(1);
    expect(kept.waiter.answers).toEqual([]);
    expect(queue.queuedRequests).toBe(1);
  });
  test("is given up when this node leads again, before it predicts anything", () => {
    const { queue, proposed, set } = made();
    const { waiter } = proposed();
    queue.setRefusal("not_leader");
    expect(waiter.answers).toEqual([]);
    set.log.set(11, 2);
    set.term = 3 as Term;
    queue.setRefusal(null);
    expect(waiter.answers).toEqual(["commit_timeout"]);
    expect(waiter.left).toBe(1);
    expect(queue).toMatchObject(forgotten);
  });
  test("is on no disk that this leader knows of", () => {
    const { queue, proposed, set } = made();
    const { proposal } = proposed();
    set.matches.set("n1" as NodeId, 11).set("n2" as NodeId, 11);
    expect(queue.ackedBy(proposal)).toBe(2);
    // Another entry may lie at the index: that the disks have one says nothing of this one.
    set.term = 2 as Term;
    expect(queue.ackedBy(proposal)).toBe(0);
  });
});

test("commands that are not in the log are refused with the leadership, and never proposed", () => {
  const { queue, submit, set } = made();
  const full = submit(PROPOSAL_BYTES_MAX);
  const open = submit();
  queue.setRefusal("no_leader");
  queue.refuseQueued("no_leader");
  for (const { waiter } of [full, open]) {
    expect(waiter.answers).toEqual(["no_leader"]);
    expect(waiter.left).toBe(1);
  }
  expect(queue).toMatchObject(forgotten);
  queue.setRefusal(null);
  queue.propose();
  expect(set.lastIndex).toBe(10 as LogIndex);
});

test("the index of a queued command counts the full entries before its own", () => {
  const { queue, submit } = made();
  const proposals = [1, 2, 3].map(() => submit(PROPOSAL_BYTES_MAX).proposal);
  proposals.push(submit().proposal);
  expect(proposals.map((proposal) => queue.indexOf(proposal))).toEqual([11, 12, 13, 14]);
  queue.propose();
  expect(proposals.map(({ index }) => index)).toEqual([11, 12, 13, 14]);
  expect(proposals.map((proposal) => queue.indexOf(proposal))).toEqual([11, 12, 13, 14]);
});

test("a write that is applied leaves the queue, also while it waits for more disks", () => {
  const { completions, queue, proposed, entryAt, set } = made({ kind: "all" });
  const { waiter, proposal } = proposed();
  set.matches.set("n1" as NodeId, 11).set("n2" as NodeId, 11);
  completions.take(entryAt(11, 1));
  completions.settle(proposal, 0, RESULT);
  expect(waiter.left).toBe(1);
  expect(waiter.answers).toEqual([]);
  expect(queue).toMatchObject(forgotten);
  set.matches.set("n3" as NodeId, 11);
  completions.acknowledged();
  expect(waiter.answers).toEqual([{ batchId: 11, synced: true, ackedBy: 3 }]);
  expect(waiter.left).toBe(1);
});

test("a disk that has more is counted for the next request of the same entry", () => {
  const { core, set } = made();
  const acknowledgements = new Acknowledgements(core, { kind: "nodes", count: 3 });
  set.matches.set("n1" as NodeId, 11).set("n2" as NodeId, 11);
  expect(acknowledgements.enough(11)).toBe(-1);
  set.matches.set("n3" as NodeId, 11);
  acknowledgements.advance();
  expect(acknowledgements.enough(11)).toBe(3);
});

test("only write concern 1 is an answer when this disk has the entry", () => {
  for (const kind of ["appended", "majority"] as const) {
    const { completions, proposed } = made({ kind });
    const { waiter } = proposed();
    const appended: number[] = [];
    Object.assign(waiter, { onAppended: (batchId: number) => appended.push(batchId) > 0 });
    completions.durable(10);
    expect(appended).toEqual([]);
    completions.durable(11);
    completions.durable(11);
    expect(appended).toEqual(kind === "appended" ? [11] : []);
  }
});
