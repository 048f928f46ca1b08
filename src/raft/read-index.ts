/**
 * Linearizable reads without writing (dissertation 6.4). A leader confirms a read with a round of
 * heartbeats that *began after* the read arrived; many reads share a round. Rounds are numbered
 * within a leader's term and never reused, so a late answer can only confirm older reads.
 */
import type { LogIndex, NodeId } from "./types.ts";

/** Further reads wait for one of this many rounds to end (or for a heartbeat tick). */
const ROUNDS_IN_FLIGHT_MAX = 4;

export type ReadRequest = {
  /** The follower that asked, or null if the caller of this node did. */
  readonly peer: NodeId | null;
  readonly requestId: number;
  readonly context: unknown;
};
export type ConfirmedRead = { readonly request: ReadRequest; readonly index: LogIndex };

type Round = { readonly round: number; readonly reads: ConfirmedRead[] };

/** The leader's reads, from arrival to confirmation. */
export class ReadQueue {
  #lastRound = 0;
  /** Arrived before the first entry of the term was committed: no safe index is known yet. */
  #postponed: ReadRequest[] = [];
  /** Arrived after the newest round began. */
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
  /** Reads wait and there is room for a round. */
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

  /** @param index the commit index now */
  add(request: ReadRequest, index: LogIndex): void {
    this.#waiting.push({ request, index });
  }

  /** Heartbeats that leave from now on confirm all reads so far. @returns the round to send. */
  beginRound(): number {
    if (this.#waiting.length > 0) {
      this.#lastRound++;
      this.#rounds.push({ round: this.#lastRound, reads: this.#waiting });
      this.#waiting = [];
    }
    return this.#lastRound;
  }

  /** A quorum answered heartbeats of `round` or later. */
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

  /** Contexts of this node's own reads that are lost with the leadership. */
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
 * A follower's reads on their way to the leader and back. Two generations, turned once per
 * timeout: a read whose answer is lost is given up after one to two timeouts.
 */
export class ForwardedReads {
  #young = new Map<number, unknown>();
  #old = new Map<number, unknown>();
  #ticks = 0;

  add(requestId: number, context: unknown): void {
    this.#young.set(requestId, context);
  }

  /** @returns the context in a box, or null if the answer is late or not for us. */
  take(requestId: number): { readonly context: unknown } | null {
    for (const reads of [this.#young, this.#old]) {
      if (!reads.has(requestId)) continue;
      const context = reads.get(requestId);
      reads.delete(requestId);
      return { context };
    }
    return null;
  }

  /** @returns contexts that were given up. */
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
