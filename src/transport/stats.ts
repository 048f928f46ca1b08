import type { NodeId } from "../lib/ids.ts";

/** Counters of one peer since the start of this process. */
export type PeerStats = {
  readonly id: NodeId;
  /** Whether the link that this node dialled is open. */
  up: boolean;
  /** Whether the link that the peer dialled is open. */
  heard: boolean;
  framesSent: number;
  bytesSent: number;
  framesReceived: number;
  bytesReceived: number;
  /** Messages that were dropped, because there was no link or the queue was full. */
  messagesDropped: number;
  /** Number of times the link was established. */
  connects: number;
  /** Round-trip time of the last answered ping; null before the first. */
  roundTripUs: number | null;
};

export const newPeerStats = (id: NodeId): PeerStats => ({
  id,
  up: false,
  heard: false,
  framesSent: 0,
  bytesSent: 0,
  framesReceived: 0,
  bytesReceived: 0,
  messagesDropped: 0,
  connects: 0,
  roundTripUs: null,
});

/** Event counts by reason. Reasons are a small fixed set. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(reason: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
  }

  of(reason: string): number {
    return this.#counts.get(reason) ?? 0;
  }

  entries(): ReadonlyMap<string, number> {
    return this.#counts;
  }
}
