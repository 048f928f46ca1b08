import type { SnapshotMeta, SnapshotOffer } from "../../raft/types.ts";
import type { SnapshotSink } from "../../transport/snapshot-types.ts";
import type { FirstSnapshot } from "./snapshots.ts";

/** Installs snapshots of other nodes into this node's storage. */
export interface SnapshotPort {
  /** @param offer passes the offer to the core once the data of the snapshot is complete. */
  sink(offer: (offer: SnapshotOffer) => void, committed: () => number): SnapshotSink;
  /** Resolves when the snapshot is durable and the core knows it. */
  bootstrap(first: FirstSnapshot): Promise<void>;
  /** Called when the core has accepted the last offered snapshot. `install` follows. */
  accepted(): void;
  /** Replaces the whole state with the snapshot that the core has accepted. */
  install(snapshot: SnapshotMeta): Promise<void>;
}
