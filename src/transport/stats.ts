import type { NodeId } from "../lib/ids.ts";

/** Of one peer, since the start of this process. Plain numbers, read when somebody scrapes. */
export type PeerStats = {
  readonly id: NodeId;
  /** The link that this node dialled is open: what is sent has a way to go. */
  up: boolean;
  /** The peer's own link to this node is open. */
  heard: boolean;
  framesSent: number;
  bytesSent: number;
  framesReceived: number;
  bytesReceived: number;
  /** Messages that were not sent: no link, or too much waits already. */
  messagesDropped: number;
  /** Times the link came up. */
  connects: number;
  /** Of the last answered ping; null before the first. */
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

/** Events by reason; reasons are few and fixed. */
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
