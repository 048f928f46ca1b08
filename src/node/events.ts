import type {
  Configuration,
  Entry,
  FetchRequest,
  LogIndex,
  Message,
  ReadState,
  RoleChange,
} from "../raft/types.ts";

/** What one part of a node reports to the others. `Node` knows whom each event concerns. */
export type NodeEvent =
  /** The core has messages for its peers. */
  | { readonly type: "messages"; readonly messages: readonly Message[] }
  /** Entries are wanted from the journal, for a peer. */
  | { readonly type: "fetches"; readonly requests: readonly FetchRequest[] }
  | { readonly type: "role_changed"; readonly change: RoleChange }
  | { readonly type: "configuration_changed"; readonly configuration: Configuration }
  /** A peer needs a snapshot at or above this index, and there is none. */
  | { readonly type: "snapshot_needed"; readonly index: LogIndex }
  /** The core has decided about read requests. */
  | {
      readonly type: "reads_decided";
      readonly states: readonly ReadState[];
      readonly dropped: readonly unknown[];
    }
  /** Entries were applied, some disk has more than before, or the membership changed. */
  | { readonly type: "progressed" }
  /** A write of these entries was on stable storage after so many seconds. */
  | {
      readonly type: "synced";
      readonly seconds: number;
      readonly entries: readonly Entry[];
      /** Number of writes with entries that were merged into this one, beyond the first. */
      readonly merged: number;
    }
  /** An applied command changed the address of a member, or a snapshot did. */
  | { readonly type: "members_changed" }
  /** The free space fell below the reserve, or rose above it. */
  | { readonly type: "disk_full"; readonly full: boolean }
  /** Not even a deletion can be journaled; then, that it can be again. */
  | { readonly type: "journal_full"; readonly full: boolean }
  /** A peer found damage in a snapshot of this node. */
  | { readonly type: "snapshot_damaged" }
  /** Once a second, after the leader has proposed what is due. */
  | { readonly type: "maintained" }
  /** A disk failed or an invariant is broken: the process must end. */
  | { readonly type: "failed"; readonly error: unknown };

export type Emit = (event: NodeEvent) => void;
