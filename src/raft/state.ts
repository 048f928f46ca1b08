/** The state of one member by role, and the state changes that all roles share. */
import { assert } from "../lib/assert.ts";
import type { EntryLog } from "./entry-log.ts";
import type { Progress } from "./progress.ts";
import { ForwardedReads, type ReadQueue } from "./read-index.ts";
import type { TruncatedLogMarker } from "./truncated-log.ts";
import type {
  Configuration,
  Entry,
  FetchRequest,
  LogIndex,
  Message,
  NodeId,
  ReadState,
  SnapshotMeta,
  Term,
} from "./types.ts";
import type { WriteQueue } from "./write-queue.ts";

/** All settings with defaults filled in. `CoreConfig` documents their meaning. */
export type Settings = {
  readonly id: NodeId;
  readonly electionTimeoutTicks: number;
  readonly heartbeatTicks: number;
  readonly random: { u32(): number };
  readonly preVote: boolean;
  readonly checkQuorum: boolean;
  /** Replaced as a whole. */
  priority: ReadonlyMap<NodeId, number>;
  readonly maxAppendBytes: number;
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  readonly maxUncommittedBytes: number;
  readonly maxCommittedBytes: number;
};

export type Follower = {
  readonly name: "follower";
  leader: NodeId | null;
  readonly reads: ForwardedReads;
};
export type Candidate = {
  readonly name: "pre_candidate" | "candidate";
  readonly ballots: Map<NodeId, boolean>;
};
export type Leader = {
  readonly name: "leader";
  /**
   * The progress of all other members, in order of id. This node's own match index is its durable
   * index.
   */
  progress: Map<NodeId, Progress>;
  /**
   * The first index of the log when this leader was elected. Entries from here on can be sent to
   * peers whose progress is unknown.
   */
  readonly electedFrom: LogIndex;
  heartbeatElapsed: number;
  transferee: NodeId | null;
  /** Ticks since the leadership transfer began. */
  transferElapsed: number;
  /** No membership change is proposed before this index is applied. */
  pendingConfIndex: LogIndex;
  uncommittedBytes: number;
  /** Set if followers must be told of a new commit index at the next drain. */
  commitNoticeDue: boolean;
  readonly reads: ReadQueue;
  /**
   * Returns the index up to which a member's *disk* agrees with this log, or -1 if `id` is not a
   * member.
   */
  readonly matchOf: (id: NodeId) => number;
};
export type Role = Follower | Candidate | Leader;

/** Output that is collected for the next `drain`. */
export type Outbox = {
  messages: Message[];
  held: Message[];
  readStates: ReadState[];
  readsDropped: unknown[];
  fetches: FetchRequest[];
  snapshotNeeded: { peer: NodeId; index: LogIndex }[];
  roleChanged: boolean;
  configurationChanged: boolean;
};

export type Raft = {
  readonly settings: Settings;
  readonly id: NodeId;
  readonly log: EntryLog;
  readonly writes: WriteQueue;
  out: Outbox;
  term: Term;
  vote: NodeId | null;
  role: Role;
  /** Set while this disk has fewer entries than it has acknowledged. */
  marker: TruncatedLogMarker | null;
  /**
   * The membership in force: that of the last applied change, or of the snapshot that is being
   * installed.
   */
  configuration: Configuration;
  /**
   * The applied index from which on each configuration was in force. Reaches back to `snapshot`.
   */
  configurationHistory: { readonly index: LogIndex; readonly configuration: Configuration }[];
  /**
   * The initial state lacks the membership changes between its checkpoint and the applied index.
   */
  membershipKnownFrom: LogIndex;
  /** The newest checkpoint that can be offered to peers. */
  snapshot: SnapshotMeta;
  /** Ticks since the election timer was reset. On a leader: since the last check-quorum. */
  electionElapsed: number;
  /** Ticks without a leader after which this member campaigns. */
  electionDeadline: number;
  /** Ticks for which this member does not campaign, after the driver made it step down. */
  holdTicks: number;
  /** Campaigns since the last message from a leader. */
  failedRounds: number;
  nextRequestId: number;
};

export const newOutbox = (): Outbox => ({
  messages: [],
  held: [],
  readStates: [],
  readsDropped: [],
  fetches: [],
  snapshotNeeded: [],
  roleChanged: false,
  configurationChanged: false,
});

export const newFollower = (leader: NodeId | null): Follower => ({
  name: "follower",
  leader,
  reads: new ForwardedReads(),
});

export function leaderOf(raft: Raft): NodeId | null {
  const { role } = raft;
  if (role.name === "leader") return raft.id;
  return role.name === "follower" ? role.leader : null;
}

/**
 * Tells whether a message must wait until the term and vote are durable. Promises and
 * acknowledgements wait, and so does any message of a term that is not durable yet. Unlike in etcd
 * this includes vote requests: if a candidate won by the votes of others, replicated an entry, and
 * forgot the term in a crash, it could win the same term again and put another entry at that index.
 */
export function send(raft: Raft, message: Message): void {
  (waitsForDisk(raft, message) ? raft.out.held : raft.out.messages).push(message);
}

function waitsForDisk(raft: Raft, message: Message): boolean {
  switch (message.type) {
    case "pre_vote_request":
    case "pre_vote_response":
      return false;
    case "vote_response":
    case "append_response":
      return true;
    default:
      return raft.term !== raft.writes.durableTerm;
  }
}

/** Becomes a follower of `leader` (null: unknown) in `term`, with a new election deadline. */
export function becomeFollower(raft: Raft, term: Term, leader: NodeId | null): void {
  enterTerm(raft, term);
  changeRole(raft, newFollower(leader));
}

/** @param term the current term, or a later one in which this member has not voted. */
export function enterTerm(raft: Raft, term: Term): void {
  assert(term >= raft.term, "terms never go back");
  if (term === raft.term) return;
  raft.term = term;
  raft.vote = null;
  raft.out.roleChanged = true;
}

export function changeRole(raft: Raft, role: Role): void {
  const before = raft.role;
  if (before.name === "leader") raft.out.readsDropped.push(...before.reads.ownContexts());
  if (before.name === "follower") raft.out.readsDropped.push(...before.reads.contexts());
  if (before.name === "leader") raft.out.fetches = [];
  raft.role = role;
  raft.out.roleChanged = true;
  raft.electionElapsed = 0;
  drawElectionDeadline(raft);
}

/** Records a message from the leader of this term. */
export function followLeader(raft: Raft, follower: Follower, leader: NodeId): void {
  raft.electionElapsed = 0;
  raft.failedRounds = 0;
  if (follower.leader === leader) return;
  follower.leader = leader;
  raft.out.roleChanged = true;
}

/**
 * Draws the election deadline: one to two election timeouts, plus a handicap for members of lower
 * priority. The handicap halves with each failed round, so that a dead preferred member does not
 * delay elections for long.
 */
export function drawElectionDeadline(raft: Raft): void {
  const base = raft.settings.electionTimeoutTicks;
  const handicap = Math.floor((Math.min(rank(raft), 2) * base) / 4 / 2 ** raft.failedRounds);
  raft.electionDeadline = base + (raft.settings.random.u32() % base) + handicap;
}

/** Returns how many voters have a higher priority than this member. */
function rank(raft: Raft): number {
  const { priority } = raft.settings;
  if (priority.size === 0) return 0;
  const own = priority.get(raft.id) ?? 0;
  return raft.configuration.voters.filter((id) => (priority.get(id) ?? 0) > own).length;
}

export function appendEntries(raft: Raft, entries: readonly Entry[], from: LogIndex): void {
  const { log } = raft;
  if (from <= log.lastIndex) {
    log.truncate(from);
    raft.writes.overwritten(from);
  }
  for (const entry of entries) if (entry.index >= from) log.push(entry);
}
