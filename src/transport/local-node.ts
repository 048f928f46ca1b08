import type { NodeId } from "../lib/ids.ts";

export type LocalNodeOptions = {
  readonly id: NodeId;
  /** The storage id of this node's data directory. Each empty data directory gets a new one. */
  readonly storageId: string;
  /** Null if this node does not know its cluster id yet. */
  readonly clusterId: string | null;
};

/** The identity of this node, and the storage ids of peers that it learned in handshakes. */
export class LocalNode {
  readonly id: NodeId;
  readonly storageId: string;
  clusterId: string | null;
  readonly #current = new Map<NodeId, string>();
  readonly #former = new Map<NodeId, Set<string>>();

  constructor({ id, storageId, clusterId }: LocalNodeOptions) {
    this.id = id;
    this.storageId = storageId;
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
  isFormer(peer: NodeId, storageId: string): boolean {
    return this.#former.get(peer)?.has(storageId) === true;
  }

  /** Tells whether the peer has another storage id than in its last handshake. */
  hasChanged(peer: NodeId, storageId: string): boolean {
    const before = this.#current.get(peer);
    return before !== undefined && before !== storageId;
  }

  remember(peer: NodeId, storageId: string): void {
    const before = this.#current.get(peer);
    this.#current.set(peer, storageId);
    if (before === undefined || before === storageId) return;
    const former = this.#former.get(peer) ?? new Set();
    former.add(before);
    this.#former.set(peer, former);
  }
}
