import type { SnapshotMeta, SnapshotOffer } from "../../raft/types.ts";
import type { SnapshotSink } from "../../transport/snapshot-types.ts";
import type { FirstSnapshot } from "./snapshots.ts";

/** Snapshots of other nodes, on their way into this node's storage. */
export interface SnapshotPort {
  /** @param offer steps the offer of a snapshot whose data is complete. */
  sink(offer: (offer: SnapshotOffer) => void, committed: () => number): SnapshotSink;
  /** Resolves when it is durable and the core was told so. */
  bootstrap(first: FirstSnapshot): Promise<void>;
  /** The core has taken the snapshot that was offered last; `install` follows. */
  accepted(): void;
  /** Puts the snapshot, which the core has accepted, in the place of everything. */
  install(snapshot: SnapshotMeta): Promise<void>;
}
