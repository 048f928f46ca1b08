/**
 * The writes that were given to the driver and are not durable yet, oldest first. They make a late
 * `persisted` safe: when a part of the log is overwritten, pending writes that contained it no
 * longer cover it. So their completion does not mark the replacing entries as durable, even if
 * those have the same index and term (the ABA race of asynchronous storage).
 */
import { feature as faultPoint } from "bun:bundle";
import { assert } from "../lib/assert.ts";
import type { EntryLog } from "./entry-log.ts";
import type { HardState, LogIndex, NodeId, SnapshotMeta, Term } from "./types.ts";

type PendingWrite = {
  readonly token: number;
  /**
   * Entries up to this index are durable once this write is, unless they are overwritten before.
   */
  lastIndex: LogIndex;
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly commit: LogIndex;
  readonly synced: boolean;
  readonly snapshot: SnapshotMeta | null;
};

export class WriteQueue {
  readonly #pending: PendingWrite[] = [];
  #token = 0;
  emittedTerm: Term;
  emittedVote: NodeId | null;
  emittedCommit: LogIndex;
  /** The commit index of the newest hard state that must be synced. */
  emittedSyncedCommit: LogIndex;
  emittedSnapshot: SnapshotMeta | null = null;
  durableTerm: Term;
  durableVote: NodeId | null;
  durableCommit: LogIndex;

  constructor(initial: HardState) {
    this.emittedTerm = initial.term;
    this.emittedVote = initial.vote;
    this.emittedCommit = initial.commit;
    this.emittedSyncedCommit = initial.commit;
    this.durableTerm = initial.term;
    this.durableVote = initial.vote;
    this.durableCommit = initial.commit;
  }

  get idle(): boolean {
    return this.#pending.length === 0;
  }

  /** @returns the token of the write that the caller is about to hand out. */
  push(state: HardState, log: EntryLog, synced: boolean, snapshot: SnapshotMeta | null): number {
    this.emittedTerm = state.term;
    this.emittedVote = state.vote;
    this.emittedCommit = state.commit;
    if (snapshot !== null) this.emittedSnapshot = snapshot;
    if (synced) this.emittedSyncedCommit = state.commit;
    this.#token++;
    this.#pending.push({
      token: this.#token,
      lastIndex: log.emitted,
      term: state.term,
      vote: state.vote,
      commit: state.commit,
      synced,
      snapshot,
    });
    return this.#token;
  }

  /**
   * Records that the log was truncated. Pending writes no longer cover entries at or above `index`.
   */
  overwritten(index: LogIndex): void {
    for (const write of this.#pending) {
      if (faultPoint("aba-persist-token")) continue;
      if (write.lastIndex >= index) write.lastIndex = (index - 1) as LogIndex;
    }
  }

  /** Completes all writes up to `token`. Tokens that were completed before are ignored. */
  complete(token: number, log: EntryLog): void {
    assert(token <= this.#token, "only tokens that were handed out can be persisted");
    let write = this.#pending[0];
    while (write !== undefined && write.token <= token) {
      this.#pending.shift();
      if (write.snapshot !== null) log.snapshotPersisted(write.snapshot.index);
      if (write.lastIndex > log.durable) log.durable = write.lastIndex;
      this.durableTerm = write.term;
      this.durableVote = write.vote;
      if (write.synced) this.durableCommit = write.commit;
      write = this.#pending[0];
    }
  }
}
