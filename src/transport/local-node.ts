import type { NodeId } from "../lib/ids.ts";

export type LocalNodeOptions = {
  readonly id: NodeId;
  /** Of this node's disk; new with every empty one. */
  readonly incarnation: string;
  /** Null: this node has not learnt yet to which cluster it belongs. */
  readonly clusterId: string | null;
};

/** Who this node is, and what it has learnt of others by shaking hands. */
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

  /** Who does not know its cluster yet may talk to any: it takes the other's. */
  clusterFits(other: string | null): boolean {
    return other === null || this.clusterId === null || other === this.clusterId;
  }

  /** Incarnations have no order, but one that was replaced does not come back. */
  isFormer(peer: NodeId, incarnation: string): boolean {
    return this.#former.get(peer)?.has(incarnation) === true;
  }

  /** Whether the peer has another disk than when it was last met. */
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
