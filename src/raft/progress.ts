/**
 * The state that a leader keeps for one peer. The state machine is drawn in DESIGN.md.
 *
 * Invariant: 0 <= match < next; in state replicate, entries in (match, next) are in flight.
 */
import { assert } from "../lib/assert.ts";
import { maxIndex, minIndex } from "./indexes.ts";
import { INDEX_0, type LogIndex } from "./types.ts";

export type ProgressState = "probe" | "replicate" | "snapshot";

/** A sliding window of unanswered appends, limited by count and by bytes. */
export class Inflights {
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  /** Ring buffer. It grows to the size in use, not to the limit. */
  #indexes: LogIndex[] = [];
  #sizes: number[] = [];
  #start = 0;
  #count = 0;
  #bytes = 0;

  /** @param bytesMax 0: no limit by bytes. */
  constructor(messagesMax: number, bytesMax = 0) {
    assert(messagesMax > 0, "an in-flight window holds at least one message");
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Tells whether the window is full. The last message may exceed the byte limit, so that an entry
   * of any size can be sent.
   */
  get full(): boolean {
    return (
      this.#count === this.#messagesMax || (this.#bytesMax > 0 && this.#bytes >= this.#bytesMax)
    );
  }

  /** @param index of the last entry of the message */
  add(index: LogIndex, bytes: number): void {
    assert(!this.full, "cannot add to a full in-flight window");
    if (this.#count === this.#indexes.length) this.#grow();
    const at = (this.#start + this.#count) % this.#indexes.length;
    this.#indexes[at] = index;
    this.#sizes[at] = bytes;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Removes all messages whose last entry is at or below `index`. */
  freeUpTo(index: LogIndex): void {
    while (this.#count > 0 && (this.#indexes[this.#start] as LogIndex) <= index) {
      this.#bytes -= this.#sizes[this.#start] as number;
      this.#start = (this.#start + 1) % this.#indexes.length;
      this.#count--;
    }
  }

  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const capacity = Math.min(this.#messagesMax, Math.max(4, this.#indexes.length * 2));
    const indexes = new Array<LogIndex>(capacity).fill(INDEX_0);
    const sizes = new Array<number>(capacity).fill(0);
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#start + i) % this.#indexes.length;
      indexes[i] = this.#indexes[at] as LogIndex;
      sizes[i] = this.#sizes[at] as number;
    }
    this.#indexes = indexes;
    this.#sizes = sizes;
    this.#start = 0;
  }
}

export class Progress {
  state: ProgressState = "probe";
  match: LogIndex;
  next: LogIndex;
  /**
   * The highest commit index sent to the peer. It is lowered when that message was probably lost.
   */
  sentCommit: LogIndex = INDEX_0;
  /** The index of the snapshot in flight in state snapshot, otherwise 0. */
  pendingSnapshot: LogIndex = INDEX_0;
  /** Whether the peer was heard from since the last check-quorum. */
  recentActive: boolean;
  /**
   * Whether a probe is in flight or the window is full. Replication then waits for a response to an
   * append or heartbeat.
   */
  paused = false;
  /**
   * The first index of the payloads that were requested from the journal for this peer, otherwise
   * 0.
   */
  fetchFrom: LogIndex = INDEX_0;
  /**
   * The lowest snapshot index that the peer can use, while no such snapshot exists; otherwise 0.
   */
  snapshotWanted: LogIndex = INDEX_0;
  /** The highest read round that the peer confirmed. */
  ackedRound = 0;
  readonly inflights: Inflights;

  constructor(match: LogIndex, next: LogIndex, inflights: Inflights, recentActive = false) {
    assert(match < next, "match is below next");
    this.match = match;
    this.next = next;
    this.inflights = inflights;
    this.recentActive = recentActive;
  }

  get isPaused(): boolean {
    return (
      this.paused || this.state === "snapshot" || this.fetchFrom > 0 || this.snapshotWanted > 0
    );
  }

  becomeProbe(): void {
    // Probing continues after a snapshot that was delivered.
    const from =
      this.state === "snapshot" ? maxIndex(this.match, this.pendingSnapshot) : this.match;
    this.#reset("probe");
    this.next = (from + 1) as LogIndex;
    this.sentCommit = minIndex(this.sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.#reset("replicate");
    this.next = (this.match + 1) as LogIndex;
  }

  becomeSnapshot(index: LogIndex): void {
    this.#reset("snapshot");
    this.pendingSnapshot = index;
    this.next = (index + 1) as LogIndex;
    this.sentCommit = index;
  }

  /**
   * Records that an append with this many entries was sent. With 0 entries it only carries the
   * commit index.
   */
  sentEntries(entries: number, bytes: number): void {
    if (this.state === "replicate") {
      if (entries > 0) {
        this.next = (this.next + entries) as LogIndex;
        this.inflights.add((this.next - 1) as LogIndex, bytes);
      }
      // A message that fills the window, or an empty one while the window is full, acts as a probe.
      this.paused = this.inflights.full;
      return;
    }
    assert(this.state === "probe", "no appends while a snapshot is on its way");
    if (entries > 0) this.paused = true;
  }

  /**
   * Tells whether sending `commit` could let the peer commit more of the entries that it was sent.
   */
  canBumpCommit(commit: LogIndex): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /**
   * Records that the peer's disk has all entries up to `index`. @returns false if that was known.
   */
  maybeUpdate(index: LogIndex): boolean {
    if (index <= this.match) return false;
    this.match = index;
    if (this.next <= index) this.#moveNext(index + 1);
    this.paused = false;
    return true;
  }

  /**
   * Handles a refused append after `rejected`. The logs may agree up to `hint`.
   *
   * @returns false if the refusal is stale.
   */
  maybeDecrease(rejected: LogIndex, hint: LogIndex): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.#moveNext(this.match + 1);
    } else {
      if (this.next - 1 !== rejected) return false;
      this.#moveNext(maxIndex(minIndex(rejected, hint + 1), this.match + 1));
      this.paused = false;
    }
    this.sentCommit = minIndex(this.sentCommit, this.next - 1);
    return true;
  }

  /**
   * Handles a peer whose log was truncated for damage. The log ends at `last` now and may differ
   * before.
   *
   * @returns false if the leader did not count on more than that.
   */
  maybeForget(last: LogIndex): boolean {
    if (last >= this.match) return false;
    this.match = INDEX_0;
    this.#reset("probe");
    this.#moveNext(last + 1);
    this.sentCommit = INDEX_0;
    return true;
  }

  /** Discards a pending journal read for another position. */
  #moveNext(next: number): void {
    this.next = next as LogIndex;
    this.fetchFrom = INDEX_0;
  }

  #reset(state: ProgressState): void {
    this.state = state;
    this.paused = false;
    this.pendingSnapshot = INDEX_0;
    this.fetchFrom = INDEX_0;
    this.snapshotWanted = INDEX_0;
    this.inflights.reset();
  }
}
