/** The types of the Raft core: log, membership, messages and output. */
import type { Brand } from "../lib/brand.ts";
import type { NodeId } from "../lib/ids.ts";

export type { NodeId } from "../lib/ids.ts";

/** Election term, counted from 0 (no election yet). */
export type Term = Brand<number, "Term">;
/** Position in the replicated log, counted from 1. 0 is the position before the first entry. */
export type LogIndex = Brand<number, "LogIndex">;

/** `conf_change` data is what `encodeConfChange` writes; a normal entry with empty data is a no-op. */
export type EntryType = "normal" | "conf_change";

export type Entry = {
  readonly index: LogIndex;
  readonly term: Term;
  readonly type: EntryType;
  /**
   * The log owns the data from the moment it is proposed or stepped. Never change it afterwards.
   */
  readonly data: Uint8Array;
};

/** The state that must survive a crash besides the entries. */
export type HardState = {
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly commit: LogIndex;
};

/** The last entry that a log is known to have had before it was cut for damage. */
export type LogEnd = { readonly index: LogIndex; readonly term: Term };

/**
 * The members. All lists are sorted and without duplicates. `votersOutgoing` is empty unless joint.
 */
export type Configuration = {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
};

/** The identity of a checkpoint of the machine, which covers all entries up to `index`. */
export type SnapshotMeta = {
  readonly index: LogIndex;
  readonly term: Term;
  /** The membership in force once entry `index` is applied. */
  readonly configuration: Configuration;
};

/** Entries from `first` up to the next run (or the end of the log) have this term. */
export type TermRun = { readonly first: LogIndex; readonly term: Term };

export type MembershipChange = {
  readonly type: "add_voter" | "add_learner" | "remove";
  readonly id: NodeId;
};

/**
 * `auto` is simple for one change, otherwise joint with auto-leave. `joint_implicit` is joint and
 * left automatically. `joint_explicit` is joint until an empty change is proposed.
 */
export type Transition = "auto" | "joint_implicit" | "joint_explicit";

/** Data of a `conf_change` entry. `auto` without changes means: leave the joint configuration. */
export type ConfChange = {
  readonly transition: Transition;
  readonly changes: readonly MembershipChange[];
};

type Envelope<Type extends string> = {
  readonly type: Type;
  readonly from: NodeId;
  readonly to: NodeId;
  /**
   * The sender's term. In a pre-vote request and its grant: the term that the campaign would have.
   */
  readonly term: Term;
};

/**
 * The sender's newest committed entry, or (0, 0). A receiver that has this entry may commit it too.
 */
type CommitHint = { readonly commit: LogIndex; readonly commitTerm: Term };
export type VoteRequest = Envelope<"vote_request" | "pre_vote_request"> &
  CommitHint & {
    readonly lastIndex: LogIndex;
    readonly lastTerm: Term;
    /** Campaign on order of the leader: leases do not apply (dissertation 3.10, 4.2.3). */
    readonly transfer: boolean;
  };
export type VoteResponse = Envelope<"vote_response" | "pre_vote_response"> &
  CommitHint & { readonly granted: boolean };
export type AppendRequest = Envelope<"append_request"> & {
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  /** Contiguous from `prevIndex + 1`. */
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
};
export type AppendAccepted = Envelope<"append_response"> & {
  readonly accepted: true;
  /** The sender's disk agrees with the leader's log up to this index. */
  readonly match: LogIndex;
};
export type AppendRejected = Envelope<"append_response"> & {
  readonly accepted: false;
  /** `prevIndex` of the refused request. */
  readonly rejected: LogIndex;
  /** The highest index at which the logs may agree, and the sender's term there (0 if unknown). */
  readonly hintIndex: LogIndex;
  readonly hintTerm: Term;
  /** The sender lost entries that it had acknowledged, so its match index is no longer valid. */
  readonly lost: boolean;
};
export type AppendResponse = AppendAccepted | AppendRejected;
export type Heartbeat = Envelope<"heartbeat"> & {
  readonly commit: LogIndex;
  /** The read round of this leader's term that the response confirms; 0 if there is none. */
  readonly round: number;
};
export type HeartbeatResponse = Envelope<"heartbeat_response"> & { readonly round: number };
/**
 * Step this message once the snapshot's data is complete at the receiver. It is installed at once.
 */
export type SnapshotOffer = Envelope<"snapshot_offer"> & { readonly snapshot: SnapshotMeta };
export type TimeoutNow = Envelope<"timeout_now">;
export type ReadIndexRequest = Envelope<"read_index_request"> & { readonly requestId: number };
export type ReadIndexResponse = Envelope<"read_index_response"> & {
  readonly requestId: number;
  readonly index: LogIndex;
};
/** A follower asks the leader to hand over to `target`. */
export type TransferRequest = Envelope<"transfer_request"> & { readonly target: NodeId };

export type Message =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | SnapshotOffer
  | TimeoutNow
  | ReadIndexRequest
  | ReadIndexResponse
  | TransferRequest;

export type RoleName = "follower" | "pre_candidate" | "candidate" | "leader";

/** One ordered write. A `snapshot` replaces the whole log first, then `entries` follow. */
export type Persist = {
  /**
   * Increases by one with each persist. `persisted(token)` covers this write and all earlier ones.
   */
  readonly token: number;
  /**
   * `entries[0]` may overwrite a persisted entry. Everything stored from its index on is then
   * invalid.
   */
  readonly entries: readonly Entry[];
  /** Set if the hard state changed. */
  readonly hardState: HardState | null;
  readonly snapshot: SnapshotMeta | null;
  /** False if at most the commit index changed. Such a write may wait for the next one. */
  readonly mustSync: boolean;
  /**
   * The commit index in `hardState` must be durable too, because a membership change waits for it.
   */
  readonly syncCommit: boolean;
};

/** Requests payloads `from … to` (inclusive): at most about `maxBytes`, but at least one entry. */
export type FetchRequest = {
  readonly peer: NodeId;
  readonly from: LogIndex;
  readonly to: LogIndex;
  readonly maxBytes: number;
};

/** The result of `readIndex(context)`. A read once `applied >= index` is linearizable. */
export type ReadState = { readonly context: unknown; readonly index: LogIndex };

export type RoleChange = {
  readonly role: RoleName;
  readonly term: Term;
  readonly leader: NodeId | null;
};

/** The work of the driver. The next `drain` does not repeat it. */
export type Output = {
  readonly persist: Persist | null;
  /** Messages to send at once, without waiting for `persist`. */
  readonly messages: readonly Message[];
  /** Messages to send only after `persisted(persist.token)`. Empty if `persist` is null. */
  readonly messagesAfterPersist: readonly Message[];
  /**
   * Entries that are committed and durable here, in order, each exactly once. Confirm with
   * `applied(index)`.
   */
  readonly committed: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /**
   * Contexts of reads that will not be answered, because the leader was lost. The caller may retry.
   */
  readonly readsDropped: readonly unknown[];
  /** Set if the role, the term or the known leader changed. */
  readonly roleChange: RoleChange | null;
  /** Set if the membership in force changed. */
  readonly configuration: Configuration | null;
  /** Payloads to read from the journal. Answer each request with `fetched` or `fetchFailed`. */
  readonly fetches: readonly FetchRequest[];
  /**
   * Peers that need a snapshot at or above `index`, which does not exist yet. Create one, then call
   * `snapshotCreated`.
   */
  readonly snapshotNeeded: readonly { readonly peer: NodeId; readonly index: LogIndex }[];
};

/** The reason why a call was refused. A refused call changes nothing. */
export type Rejection<Code extends string> = { readonly ok: false; readonly code: Code };
export type Accepted = { readonly ok: true; readonly index: LogIndex; readonly term: Term };

export const INDEX_0 = 0 as LogIndex;
export const TERM_0 = 0 as Term;
