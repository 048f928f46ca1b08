/** The words of the Raft core: log, membership, messages and output. Data only, no behaviour. */
import type { Brand } from "../lib/brand.ts";
import type { NodeId } from "../lib/ids.ts";

export type { NodeId } from "../lib/ids.ts";

/** Election term, counted from 0 (no election yet). */
export type Term = Brand<number, "Term">;
/** Position in the replicated log, counted from 1; 0 is "before the log". */
export type LogIndex = Brand<number, "LogIndex">;

/** `conf_change` data is what `encodeConfChange` writes; a normal entry with empty data is a no-op. */
export type EntryType = "normal" | "conf_change";

export type Entry = {
  readonly index: LogIndex;
  readonly term: Term;
  readonly type: EntryType;
  /** Owned by the log from the moment it is proposed or stepped: never change it afterwards. */
  readonly data: Uint8Array;
};

/** What must survive a crash besides the entries. */
export type HardState = {
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly commit: LogIndex;
};

/** The last entry that a log is known to have held before its end was cut off for damage. */
export type LogClaim = { readonly index: LogIndex; readonly term: Term };

/** Members. All lists are sorted and without repetition. `votersOutgoing` is empty unless joint. */
export type Configuration = {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly NodeId[];
  readonly autoLeave: boolean;
};

/** Identity of a checkpoint of the machine: all entries up to `index` are in it. */
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
 * `auto`: simple for one change, else joint with auto-leave. `joint_implicit`: joint, left
 * automatically. `joint_explicit`: joint until an empty change is proposed.
 */
export type Transition = "auto" | "joint_implicit" | "joint_explicit";

/** Data of a `conf_change` entry. No changes and `auto` means: leave the joint configuration. */
export type ConfChange = {
  readonly transition: Transition;
  readonly changes: readonly MembershipChange[];
};

type Envelope<Type extends string> = {
  readonly type: Type;
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term; of a pre-vote request and its grant: the term that would be campaigned for. */
  readonly term: Term;
};

/** The sender's newest committed entry, (0, 0) for none: whoever has it may commit it too. */
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
  /** The sender's disk agrees with the leader's log up to here. */
  readonly match: LogIndex;
};
export type AppendRejected = Envelope<"append_response"> & {
  readonly accepted: false;
  /** `prevIndex` of the refused request. */
  readonly rejected: LogIndex;
  /** Highest index at which the logs may agree, and the sender's term there (0: unknown). */
  readonly hintIndex: LogIndex;
  readonly hintTerm: Term;
  /** The sender lost entries that it had acknowledged: what was known of its disk is void. */
  readonly lost: boolean;
};
export type AppendResponse = AppendAccepted | AppendRejected;
export type Heartbeat = Envelope<"heartbeat"> & {
  readonly commit: LogIndex;
  /** Read round of this leader's term that an answer confirms; 0 if none is wanted. */
  readonly round: number;
};
export type HeartbeatResponse = Envelope<"heartbeat_response"> & { readonly round: number };
/** Step it once the snapshot's data is complete at the receiver; it is installed at once. */
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

/** One ordered write. `snapshot` (if any) replaces the whole log first, then `entries` follow. */
export type Persist = {
  /** Grows by one with each persist. `persisted(token)` covers this and all before it. */
  readonly token: number;
  /** `entries[0]` may overwrite what was persisted before: whatever is stored from its index on is void. */
  readonly entries: readonly Entry[];
  /** Set if it changed. */
  readonly hardState: HardState | null;
  readonly snapshot: SnapshotMeta | null;
  /** False: only the commit index moved or nothing at all; it may wait for the next write. */
  readonly mustSync: boolean;
  /** The commit index in `hardState` must be durable too: a membership change waits for it. */
  readonly syncCommit: boolean;
};

/** Payloads `from … to` (inclusive) of the log, at most about `maxBytes` but at least one entry. */
export type FetchRequest = {
  readonly peer: NodeId;
  readonly from: LogIndex;
  readonly to: LogIndex;
  readonly maxBytes: number;
};

/** The answer to `readIndex(context)`: a read at or after `applied >= index` is linearizable. */
export type ReadState = { readonly context: unknown; readonly index: LogIndex };

export type RoleChange = {
  readonly role: RoleName;
  readonly term: Term;
  readonly leader: NodeId | null;
};

/** What the driver has to do. Nothing is repeated by the next `drain`. */
export type Output = {
  readonly persist: Persist | null;
  /** May leave at once, before and beside `persist`. */
  readonly messages: readonly Message[];
  /** May leave only after `persisted(persist.token)` is true of the disk; empty if `persist` is null. */
  readonly messagesAfterPersist: readonly Message[];
  /** Committed and on this disk, in order, each exactly once; answer with `applied(index)`. */
  readonly committed: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /** Contexts of reads that will never be answered (leader lost): ask again. */
  readonly readsDropped: readonly unknown[];
  /** Set if role, term or known leader changed. */
  readonly roleChange: RoleChange | null;
  /** Set if the membership in force changed. */
  readonly configuration: Configuration | null;
  /** Payloads wanted from the journal; answer each with `fetched` or `fetchFailed`. */
  readonly fetches: readonly FetchRequest[];
  /** Peers that need a snapshot at or above `index`, which does not exist yet: make one, then `snapshotCreated`. */
  readonly snapshotNeeded: readonly { readonly peer: NodeId; readonly index: LogIndex }[];
};

/** Why a call was refused. Nothing has happened then. */
export type Rejection<Code extends string> = { readonly ok: false; readonly code: Code };
export type Accepted = { readonly ok: true; readonly index: LogIndex; readonly term: Term };

export const INDEX_0 = 0 as LogIndex;
export const TERM_0 = 0 as Term;
