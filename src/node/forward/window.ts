import type { NodeId } from "../../lib/ids.ts";
import type { Forwarded } from "./forwarded.ts";

/**
 * Limits of the writes that were sent and not answered. Messages of Raft wait on the same link behind
 * at most these bytes and one command.
 */
const WINDOW_BYTES = 1024 * 1024;
const WINDOW_COMMANDS = 8_192;

/** The writes under way to one node. */
type Load = { bytes: number; writes: number };

/**
 * The commands of this node that were sent and not answered. Each node has a window of its own, so that
 * writes to a leader that stands still do not hold back those to its successor. Polls take no room.
 */
export class Window {
  readonly #sent = new Map<number, Forwarded>();
  readonly #loads = new Map<NodeId, Load>();
  #bytes = 0;

  get size(): number {
    return this.#sent.size;
  }

  /** To all nodes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Number of commands that may be sent to the node now, if their bytes fit. */
  roomFor(peer: NodeId): number {
    return WINDOW_COMMANDS - this.#load(peer).writes;
  }

  /** An empty window takes every command. */
  takes(peer: NodeId, next: Forwarded): boolean {
    const { writes } = this.#load(peer);
    if (writes === 0 || next.isPoll) return true;
    return writes < WINDOW_COMMANDS && this.fits(peer, next.bytes);
  }

  /** True if the window of the node has room for this many bytes. */
  fits(peer: NodeId, bytes: number): boolean {
    return this.#load(peer).bytes + bytes <= WINDOW_BYTES;
  }

  add(peer: NodeId, id: number, forwarded: Forwarded): void {
    this.#sent.set(id, forwarded);
    forwarded.sentAs = { peer, id };
    this.#count(peer, forwarded, 1);
  }

  /** @returns null if nothing is sent to the peer by this id: its time had passed. */
  take(peer: NodeId, id: number): Forwarded | null {
    const forwarded = this.#sent.get(id);
    if (forwarded === undefined || forwarded.sentAs?.peer !== peer) return null;
    this.#remove(id, forwarded);
    return forwarded;
  }

  /** Takes all for which `isLost` returns true. */
  takeLost(isLost: (forwarded: Forwarded) => boolean): readonly Forwarded[] {
    const lost: Forwarded[] = [];
    for (const [id, forwarded] of this.#sent) {
      if (!isLost(forwarded)) continue;
      this.#remove(id, forwarded);
      lost.push(forwarded);
    }
    return lost;
  }

  #remove(id: number, forwarded: Forwarded): void {
    const peer = forwarded.sentAs?.peer;
    this.#sent.delete(id);
    forwarded.sentAs = null;
    if (peer !== undefined) this.#count(peer, forwarded, -1);
  }

  #count(peer: NodeId, { isPoll, bytes }: Forwarded, change: 1 | -1): void {
    if (isPoll) return;
    const load = this.#load(peer);
    load.writes += change;
    load.bytes += change * bytes;
    this.#bytes += change * bytes;
  }

  #load(peer: NodeId): Load {
    const known = this.#loads.get(peer);
    if (known !== undefined) return known;
    const load = { bytes: 0, writes: 0 };
    this.#loads.set(peer, load);
    return load;
  }
}
