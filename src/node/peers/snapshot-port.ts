import type { SnapshotMeta, SnapshotOffer } from "../../raft/types.ts";
import type { Journal } from "../../storage/journal/journal.ts";
import type { SnapshotSink } from "../../transport/snapshot-types.ts";
import type { HeldSnapshot } from "./peer-link.ts";
import type { FirstSnapshot } from "./snapshots.ts";

/** Snapshots out of this node's storage and into it. */
export interface SnapshotPort {
  readonly journal: () => Journal;
  /** The checkpoint at exactly the index of the offer; null if there is another by now. */
  hold(offer: SnapshotOffer, meta: Uint8Array): HeldSnapshot | null;
  /** @param offer steps the offer of a snapshot whose data is complete. */
  sink(offer: (offer: SnapshotOffer) => void, committed: () => number): SnapshotSink;
  /** Resolves when it is durable and the core was told so. */
  found(first: FirstSnapshot): Promise<void>;
  /** The core has taken the snapshot that was offered last; `install` follows. */
  accepted(): void;
  /** Puts the snapshot, which the core has accepted, in the place of everything. */
  install(snapshot: SnapshotMeta): Promise<void>;
}
