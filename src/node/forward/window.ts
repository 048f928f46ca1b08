import type { NodeId } from "../../lib/ids.ts";
import type { Forwarded } from "./forwarded.ts";

/**
 * Limits of the writes that were sent and not answered. Messages of Raft wait on the same link behind
 * at most these bytes and one command.
 */
const WINDOW_BYTES = 1024 * 1024;
const WINDOW_COMMANDS = 8_192;

/** The commands of this node that were sent and not answered. Polls take no room. */
export class Window {
  readonly #sent = new Map<number, Forwarded>();
  #bytes = 0;
  #writes = 0;

  get size(): number {
    return this.#sent.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Number of commands that may be sent now, if their bytes fit. */
  get room(): number {
    return WINDOW_COMMANDS - this.#writes;
  }

  /** An empty window takes every command. */
  hasRoom(next: Forwarded): boolean {
    if (this.#writes === 0 || next.isPoll) return true;
    return this.#writes < WINDOW_COMMANDS && this.fits(next.bytes);
  }

  /** True if the window has room for this many bytes. */
  fits(bytes: number): boolean {
    return this.#bytes + bytes <= WINDOW_BYTES;
  }

  add(peer: NodeId, id: number, forwarded: Forwarded): void {
    this.#sent.set(id, forwarded);
    forwarded.sentAs = { peer, id };
    this.#count(forwarded, 1);
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
    this.#sent.delete(id);
    forwarded.sentAs = null;
    this.#count(forwarded, -1);
  }

  #count({ isPoll, bytes }: Forwarded, change: 1 | -1): void {
    if (isPoll) return;
    this.#writes += change;
    this.#bytes += change * bytes;
  }
}
