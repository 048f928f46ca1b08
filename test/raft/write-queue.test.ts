/** The writes on their way to the disk: what is durable once one of them is. */
import { expect, test } from "bun:test";
import type { EntryLog } from "../../src/raft/entry-log.ts";
import type { HardState, LogIndex, NodeId, Term } from "../../src/raft/types.ts";
import { WriteQueue } from "../../src/raft/write-queue.ts";

const hard = (term: number, commit: number, vote: string | null = null): HardState => ({
  term: term as Term,
  vote: vote as NodeId | null,
  commit: commit as LogIndex,
});
const logAt = (emitted: number): EntryLog =>
  ({ emitted: emitted as LogIndex, durable: 0 as LogIndex }) as unknown as EntryLog;

test("a commit index is durable only by a write that syncs it", () => {
  const queue = new WriteQueue(hard(1, 2));
  const log = logAt(9);
  queue.complete(queue.push(hard(1, 5), log, false, null), log);
  expect(queue.durableCommit as number).toBe(2);
  queue.complete(queue.push(hard(1, 6), log, true, null), log);
  expect(queue.durableCommit as number).toBe(6);
  queue.complete(queue.push(hard(1, 8), log, false, null), log);
  expect(queue.durableCommit as number).toBe(6);
});

test("a write completes all before it, and none after it", () => {
  const queue = new WriteQueue(hard(1, 0));
  const log = logAt(3);
  queue.push(hard(2, 1, "a"), log, true, null);
  const second = queue.push(hard(3, 2, "b"), log, true, null);
  const third = queue.push(hard(4, 3, "c"), log, true, null);
  queue.complete(second, log);
  const durable = () => [queue.durableTerm, queue.durableVote, queue.durableCommit, queue.idle];
  expect(durable()).toEqual([3 as Term, "b" as NodeId, 2 as LogIndex, false]);
  queue.complete(second, log);
  expect(durable()).toEqual([3 as Term, "b" as NodeId, 2 as LogIndex, false]);
  queue.complete(third, log);
  expect(durable()).toEqual([4 as Term, "c" as NodeId, 3 as LogIndex, true]);
});

test("what was overwritten meanwhile is not durable by an earlier write", () => {
  const queue = new WriteQueue(hard(1, 0));
  const log = logAt(7);
  const first = queue.push(hard(1, 0), log, true, null);
  queue.overwritten(5 as LogIndex);
  const second = queue.push(hard(2, 0), log, true, null);
  queue.complete(first, log);
  expect(log.durable as number).toBe(4);
  queue.complete(second, log);
  expect(log.durable as number).toBe(7);
});
