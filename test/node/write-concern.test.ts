import { expect, test } from "bun:test";
import { appendCommand } from "../../src/lib/command-kind.ts";
import { tick } from "../../src/machine/tick.ts";
import { Commander } from "../../src/node/writes/commander.ts";
import { startDeadlines } from "../../src/node/writes/deadlines.ts";
import { Acknowledgements, type WriteConcern } from "../../src/node/writes/write-concern.ts";
import { type Core, createCore } from "../../src/raft/core.ts";
import { configurationOf } from "../../src/raft/membership.ts";
import type { LogIndex, NodeId, Term } from "../../src/raft/types.ts";
import { commandQueue, noLevel } from "../tools/node/command-queue.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const ids = ["node1", "node2", "node3"] as NodeId[];
const [self, peer] = ids as [NodeId, NodeId, NodeId];

/** A leader of three with one entry that its own disk and that of `peer` have. */
function leader(): { core: Core; index: LogIndex } {
  const core = createCore(
    {
      id: self,
      electionTimeoutTicks: 10,
      heartbeatTicks: 1,
      preVote: false,
      random: { u32: () => 0 },
    },
    { configuration: configurationOf(ids) },
  );
  core.campaign();
  core.persisted(core.drain().persist?.token ?? 0);
  const term = core.term;
  const hint = { commit: 0 as LogIndex, commitTerm: 0 as Term };
  core.step({ type: "vote_response", from: peer, to: self, term, granted: true, ...hint });
  const proposed = core.propose(new Uint8Array([1]));
  if (!proposed.ok) throw new Error(proposed.code);
  core.persisted(core.drain().persist?.token ?? 0);
  has(core, proposed.index);
  return { core, index: proposed.index };
}

/** The disk of `peer` has all up to `match`. */
function has(core: Core, match: LogIndex): void {
  const { term } = core;
  core.step({ type: "append_response", from: peer, to: self, term, accepted: true, match });
}

const acknowledgements = (core: Core, concern: WriteConcern = { kind: "majority" }) =>
  new Acknowledgements(core, concern);

test("an entry counts the disks that are known to have it", () => {
  const { core, index } = leader();
  expect(acknowledgements(core).enough(index)).toBe(2);
});

test("a committed entry is on a majority of disks, also for one who leads no more", () => {
  const { core, index } = leader();
  core.stepDown();
  expect(core.role).toBe("follower");
  expect(acknowledgements(core).enough(index)).toBe(2);
});

test("who wants every disk is not content with a majority", () => {
  const { core, index } = leader();
  expect(acknowledgements(core, { kind: "all" }).enough(index)).toBe(-1);
  core.stepDown();
  expect(acknowledgements(core, { kind: "all" }).enough(index)).toBe(-1);
});

const COMMIT_TIMEOUT_MS = 1000;

/** A leader of three with the write concern `all`, on which `peer` alone follows. */
function waiting() {
  const { core } = leader();
  const clock = new SimClock();
  const { completions, queue } = commandQueue(core, clock, { kind: "all" }, 10);
  startDeadlines(clock, COMMIT_TIMEOUT_MS, [completions, queue]);
  queue.setRefusal(null);
  const commander = new Commander(queue, clock, noLevel);
  const outcomes: unknown[] = [];
  /** One command that is committed and applied, and not on the third disk. */
  const run = (timeoutMs: number | null = null): void => {
    const done = () => "done";
    const command = { kind: tick, fields: {}, bytes: 10, done, timeoutMs };
    void commander.run(command).then((outcome) => outcomes.push(outcome));
    queue.propose();
    core.persisted(core.drain().persist?.token ?? 0);
    has(core, core.lastIndex);
    const index = core.lastIndex;
    const entry = { index, term: core.term, type: "normal", data: new Uint8Array() } as const;
    const proposal = completions.take(entry);
    if (proposal === null) throw new Error("the entry is this leader's own");
    completions.settle(proposal, 0, {
      ok: true,
      type: "tick",
      keysFreed: 0,
      dueEnded: 0,
      duplicatesForgotten: 0,
    });
  };
  return { core, clock, queue, completions, run, outcomes };
}
const timedOut = { ok: false, code: "commit_timeout" };

test("what is committed, and not on all disks that were asked for, ends by its deadline", async () => {
  const { clock, run, outcomes } = waiting();
  run();
  run(COMMIT_TIMEOUT_MS * 3);
  await clock.advance(COMMIT_TIMEOUT_MS / 2);
  expect(outcomes).toEqual([]);
  await clock.advance(COMMIT_TIMEOUT_MS);
  expect(outcomes).toEqual([timedOut]);
  await clock.advance(COMMIT_TIMEOUT_MS * 2);
  expect(outcomes).toEqual([timedOut, timedOut]);
});

test("the deadline holds also for one who leads no more", async () => {
  const { core, clock, run, outcomes } = waiting();
  run();
  core.stepDown();
  await clock.advance(COMMIT_TIMEOUT_MS * 1.5);
  expect(outcomes).toEqual([timedOut]);
});

test("a stop does not wait for disks", async () => {
  const { clock, completions, run, outcomes } = waiting();
  run(COMMIT_TIMEOUT_MS * 3);
  completions.stop();
  await clock.advance(1);
  expect(outcomes).toEqual([timedOut]);
});

test("whoever is answered early is told whose disks have it by then", () => {
  const { core, queue } = waiting();
  appendCommand(queue.writer(), tick, {});
  const proposal = queue.submit(null);
  expect(queue.ackedBy(proposal)).toBe(0);
  queue.propose();
  expect(queue.ackedBy(proposal)).toBe(0);
  core.persisted(core.drain().persist?.token ?? 0);
  expect(queue.ackedBy(proposal)).toBe(1);
  has(core, core.lastIndex);
  expect(queue.ackedBy(proposal)).toBe(2);
});
