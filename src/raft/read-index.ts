/**
 * Linearizable reads without a log entry (dissertation 6.4). A leader confirms its leadership for a
 * read by a round of heartbeats that *began after* the read arrived. Many reads share a round.
 * Rounds are numbered within a leader's term and never reused, so a late response can only confirm
 * older reads.
 */
import { feature as faultPoint } from "bun:bundle";
import type { LogIndex, NodeId } from "./types.ts";

/**
 * The maximum number of rounds in flight. Further reads wait for one to finish, or for a heartbeat
 * tick.
 */
const ROUNDS_IN_FLIGHT_MAX = 4;

export type ReadRequest = {
  /** The follower that sent the request, or null for a read of this node. */
  readonly peer: NodeId | null;
  readonly requestId: number;
  readonly context: unknown;
};
export type ConfirmedRead = { readonly request: ReadRequest; readonly index: LogIndex };

type Round = { readonly round: number; readonly reads: ConfirmedRead[] };

/** The pending reads of a leader, from arrival to confirmation. */
export class ReadQueue {
  #lastRound = 0;
  /**
   * Reads that arrived before the first entry of the term was committed. Their read index is not
   * known yet.
   */
  #postponed: ReadRequest[] = [];
  /** Reads that arrived after the newest round began. */
  #waiting: ConfirmedRead[] = [];
  readonly #rounds: Round[] = [];

  get lastRound(): number {
    return this.#lastRound;
  }
  get hasPostponed(): boolean {
    return this.#postponed.length > 0;
  }
  get hasRounds(): boolean {
    return this.#rounds.length > 0;
  }
  /** Tells whether reads are waiting and another round may start. */
  get wantsRound(): boolean {
    return this.#waiting.length > 0 && this.#rounds.length < ROUNDS_IN_FLIGHT_MAX;
  }

  postpone(request: ReadRequest): void {
    this.#postponed.push(request);
  }

  takePostponed(): readonly ReadRequest[] {
    const taken = this.#postponed;
    this.#postponed = [];
    return taken;
  }

  /** @param index the current commit index */
  add(request: ReadRequest, index: LogIndex): void {
    const reads = faultPoint("read-joins-a-round-under-way")
      ? (this.#rounds.at(-1)?.reads ?? this.#waiting)
      : this.#waiting;
    reads.push({ request, index });
  }

  /**
   * Starts a round. Heartbeats sent from now on confirm all reads that arrived. @returns the round
   * to send.
   */
  beginRound(): number {
    if (this.#waiting.length > 0) {
      this.#lastRound++;
      this.#rounds.push({ round: this.#lastRound, reads: this.#waiting });
      this.#waiting = [];
    }
    return faultPoint("readindex-round-reused") ? this.#lastRound + 1 : this.#lastRound;
  }

  /** Confirms the reads of `round` and earlier rounds, after a quorum responded. */
  confirm(round: number): readonly ConfirmedRead[] {
    const confirmed: ConfirmedRead[] = [];
    let oldest = this.#rounds[0];
    while (oldest !== undefined && oldest.round <= round) {
      confirmed.push(...oldest.reads);
      this.#rounds.shift();
      oldest = this.#rounds[0];
    }
    return confirmed;
  }

  /** Returns the contexts of this node's own reads, which are lost with the leadership. */
  ownContexts(): unknown[] {
    const requests = [
      ...this.#rounds.flatMap((round) => round.reads.map((read) => read.request)),
      ...this.#waiting.map((read) => read.request),
      ...this.#postponed,
    ];
    return requests.filter((request) => request.peer === null).map((request) => request.context);
  }
}

/**
 * The reads that a follower forwarded to the leader. They are kept in two generations that rotate
 * once per timeout, so a read without a response is dropped after one to two timeouts.
 */
export class ForwardedReads {
  #young = new Map<number, unknown>();
  #old = new Map<number, unknown>();
  #ticks = 0;

  add(requestId: number, context: unknown): void {
    this.#young.set(requestId, context);
  }

  /** @returns the context in a box, or null if the response is late or for another node. */
  take(requestId: number): { readonly context: unknown } | null {
    for (const reads of [this.#young, this.#old]) {
      if (!reads.has(requestId)) continue;
      const context = reads.get(requestId);
      reads.delete(requestId);
      return { context };
    }
    return null;
  }

  /** @returns the contexts of dropped reads. */
  tick(timeoutTicks: number): readonly unknown[] {
    this.#ticks++;
    if (this.#ticks < timeoutTicks) return [];
    this.#ticks = 0;
    const lost = [...this.#old.values()];
    this.#old = this.#young;
    this.#young = new Map();
    return lost;
  }

  contexts(): unknown[] {
    return [...this.#old.values(), ...this.#young.values()];
  }
}
