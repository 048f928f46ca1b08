/**
 * What was handed out to be written and is not durable yet, oldest first. It is what makes a late
 * `persisted` harmless: when a part of the log is overwritten, the writes under way that contained
 * it lose their claim to it, so that their completion says nothing of the entries that took its
 * place, even if those have the same index and term (the ABA race of asynchronous storage).
 */
import { assert } from "../lib/assert.ts";
import type { EntryLog } from "./entry-log.ts";
import type { HardState, LogIndex, NodeId, SnapshotMeta, Term } from "./types.ts";

type PendingWrite = {
  readonly token: number;
  /** Entries up to here are on disk once this is, unless overwritten meanwhile. */
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
  /** Commit index of the newest hard state that was handed out to be synced. */
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

  /** The log was cut: what is under way vouches for nothing at or above `index`. */
  overwritten(index: LogIndex): void {
    for (const write of this.#pending) {
      if (write.lastIndex >= index) write.lastIndex = (index - 1) as LogIndex;
    }
  }

  /** All writes up to `token` are done. Tokens that were done before are ignored. */
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
