import type { NodeId } from "../lib/ids.ts";

export type LocalNodeOptions = {
  readonly id: NodeId;
  /** The storage id of this node's data directory. Each empty data directory gets a new one. */
  readonly incarnation: string;
  /** Null if this node does not know its cluster id yet. */
  readonly clusterId: string | null;
};

/** The identity of this node, and the storage ids of peers that it learned in handshakes. */
export class LocalNode {
  readonly id: NodeId;
  readonly incarnation: string;
  clusterId: string | null;
  readonly #current = new Map<NodeId, string>();
  readonly #former = new Map<NodeId, Set<string>>();

  constructor({ id, incarnation, clusterId }: LocalNodeOptions) {
    this.id = id;
    this.incarnation = incarnation;
    this.clusterId = clusterId;
  }

  /** Tells whether the cluster ids are compatible. A node without a cluster id accepts any. */
  clusterFits(other: string | null): boolean {
    return other === null || this.clusterId === null || other === this.clusterId;
  }

  /**
   * Tells whether the storage id was replaced by another. Storage ids have no order, but a replaced
   * one is never valid again.
   */
  isFormer(peer: NodeId, incarnation: string): boolean {
    return this.#former.get(peer)?.has(incarnation) === true;
  }

  /** Tells whether the peer has another storage id than in its last handshake. */
  hasChanged(peer: NodeId, incarnation: string): boolean {
    const before = this.#current.get(peer);
    return before !== undefined && before !== incarnation;
  }

  remember(peer: NodeId, incarnation: string): void {
    const before = this.#current.get(peer);
    this.#current.set(peer, incarnation);
    if (before === undefined || before === incarnation) return;
    const former = this.#former.get(peer) ?? new Set();
    former.add(before);
    this.#former.set(peer, former);
  }
}
