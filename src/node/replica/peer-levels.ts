import type { NodeId } from "../../lib/ids.ts";
import type { Core } from "../../raft/core.ts";
import { membersOf } from "../../raft/membership.ts";

/** The level of the log that each peer announced in its last handshake. See `machine/levels.ts`. */
export class PeerLevels {
  readonly #core: Core;
  readonly #levels = new Map<NodeId, number>();

  constructor(core: Core) {
    this.#core = core;
  }

  met(peer: NodeId, level: number): void {
    this.#levels.set(peer, level);
  }

  /** The level that a peer announced last; 0 before its first handshake. */
  levelOf(peer: NodeId): number {
    return this.#levels.get(peer) ?? 0;
  }

  /** Members, except this node, that have not announced that they know the level. */
  lacking(level: number): readonly NodeId[] {
    const { configuration, id: self } = this.#core;
    return membersOf(configuration).filter(
      (id) => id !== self && (this.#levels.get(id) ?? 0) < level,
    );
  }
}
