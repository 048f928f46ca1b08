import type { GroupMember } from "../groups/state.ts";
import type {
  Configuration,
  Entry,
  FetchRequest,
  LogIndex,
  Message,
  ReadState,
  RoleChange,
} from "../raft/types.ts";

/** Events that one part of a node reports to the others. `Node` dispatches them. */
export type NodeEvent =
  /** The core has messages for its peers. */
  | { readonly type: "messages"; readonly messages: readonly Message[] }
  /** A peer needs entries from the journal. */
  | { readonly type: "fetches"; readonly requests: readonly FetchRequest[] }
  | { readonly type: "role_changed"; readonly change: RoleChange }
  | { readonly type: "configuration_changed"; readonly configuration: Configuration }
  /** A peer needs a snapshot at or above this index, and no checkpoint has one. */
  | { readonly type: "snapshot_needed"; readonly index: LogIndex }
  /** The core has confirmed or refused read requests. */
  | {
      readonly type: "reads_decided";
      readonly states: readonly ReadState[];
      readonly dropped: readonly unknown[];
    }
  /** Entries were applied, a disk has more entries than before, or the membership changed. */
  | { readonly type: "progressed" }
  /** These entries are on stable storage. `seconds` is the duration of the write. */
  | {
      readonly type: "synced";
      readonly seconds: number;
      readonly entries: readonly Entry[];
      /** Number of writes with entries that were merged into this one, beyond the first. */
      readonly merged: number;
    }
  /** An applied command or a snapshot changed the address of a member. */
  | { readonly type: "members_changed" }
  /** The partitions of a member of a group changed, or it is not a member any more. */
  | { readonly type: "group_member_changed"; readonly member: GroupMember }
  /** The free space fell below the reserve, or rose above it. */
  | { readonly type: "disk_full"; readonly full: boolean }
  /** The journal has no space even for a deletion, or has space again. */
  | { readonly type: "journal_full"; readonly full: boolean }
  /** A peer found damage in a snapshot from this node. */
  | { readonly type: "snapshot_damaged" }
  /** Emitted once a second, after the leader has proposed the maintenance that is due. */
  | { readonly type: "maintained" }
  /** A disk failed or an invariant is broken: the process must end. */
  | { readonly type: "failed"; readonly error: unknown };

export type Emit = (event: NodeEvent) => void;
