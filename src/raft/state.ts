/** The state of one member, by role, and the few moves that every role shares. */
import { assert } from "../lib/assert.ts";
import type { Claim } from "./claim.ts";
import type { EntryLog } from "./entry-log.ts";
import type { Progress } from "./progress.ts";
import { ForwardedReads, type ReadQueue } from "./read-index.ts";
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

/** All settings, defaults filled in. See `CoreConfig` for their meaning. */
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
  /** Of all members but this one, whose place is taken by its disk. In order of id. */
  progress: Map<NodeId, Progress>;
  /** Where the log began when this leader was elected: so much it can give to who is not heard of. */
  readonly electedFrom: LogIndex;
  heartbeatElapsed: number;
  transferee: NodeId | null;
  /** Ticks since the transfer was ordered. */
  transferElapsed: number;
  /** No membership change is proposed before this index is applied. */
  pendingConfIndex: LogIndex;
  uncommittedBytes: number;
  /** Followers are to be told of a new commit index at the next drain. */
  commitNoticeDue: boolean;
  readonly reads: ReadQueue;
  /** How far a member's *disk* agrees with this log; -1 for strangers. */
  readonly matchOf: (id: NodeId) => number;
};
export type Role = Follower | Candidate | Leader;

/** Collected for the next `drain`. */
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
  /** Set while this disk holds less than it has acknowledged. */
  claim: Claim | null;
  /** In force: that of the last applied membership change, or of the snapshot under way. */
  configuration: Configuration;
  /** Which configuration was in force from which applied index on; reaches back to `snapshot`. */
  configurationHistory: { readonly index: LogIndex; readonly configuration: Configuration }[];
  /** The start does not tell of changes between its checkpoint and what was applied. */
  membershipKnownFrom: LogIndex;
  /** The newest checkpoint that can be offered to others. */
  snapshot: SnapshotMeta;
  /** Ticks since the election timer was reset (leader: since the last check-quorum). */
  electionElapsed: number;
  /** Ticks without a leader after which to campaign. */
  electionDeadline: number;
  /** Ticks for which not to campaign, after the driver made this member step down. */
  holdTicks: number;
  /** Campaigns since a leader was last heard of. */
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
 * Promises and acknowledgements wait for the disk, and so does any message of a term that is not
 * durable yet, thus every vote request, unlike in etcd: if a candidate could win by the votes of
 * others, replicate an entry, and forget by a crash that it ever stood in this term, it could win
 * the same term again and put another entry at that index.
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

/** Follower of `leader` (null: unknown) in `term`, with a new election deadline. */
export function becomeFollower(raft: Raft, term: Term, leader: NodeId | null): void {
  enterTerm(raft, term);
  changeRole(raft, newFollower(leader));
}

/** @param term the present one or a later one, in which no vote was given yet. */
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

/** The leader of this term was heard. */
export function followLeader(raft: Raft, follower: Follower, leader: NodeId): void {
  raft.electionElapsed = 0;
  raft.failedRounds = 0;
  if (follower.leader === leader) return;
  follower.leader = leader;
  raft.out.roleChanged = true;
}

/**
 * One to two election timeouts, plus a little for members of lower priority. The handicap halves
 * with each failed round, so that a dead favourite holds nobody up for long.
 */
export function drawElectionDeadline(raft: Raft): void {
  const base = raft.settings.electionTimeoutTicks;
  const handicap = Math.floor((Math.min(rank(raft), 2) * base) / 4 / 2 ** raft.failedRounds);
  raft.electionDeadline = base + (raft.settings.random.u32() % base) + handicap;
}

/** How many voters have a higher priority than this member. */
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
