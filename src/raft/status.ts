/** A copy of the core's state for operators and tests. It does not change afterwards. */
import { preferredLeader } from "./leader.ts";
import type { Progress, ProgressState } from "./progress.ts";
import { leaderOf, type Raft } from "./state.ts";
import type { Configuration, HardState, LogIndex, NodeId, RoleName, Term } from "./types.ts";

export type ProgressStatus = {
  readonly state: ProgressState;
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly isLearner: boolean;
  readonly recentActive: boolean;
  readonly paused: boolean;
  /** 0 unless the state is snapshot. */
  readonly pendingSnapshot: LogIndex;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
  readonly fetching: boolean;
};

export type Status = {
  readonly id: NodeId;
  readonly role: RoleName;
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly leader: NodeId | null;
  readonly hardState: HardState;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly durableIndex: LogIndex;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly evictedIndex: LogIndex;
  readonly snapshotIndex: LogIndex;
  readonly configuration: Configuration;
  readonly isLearner: boolean;
  readonly electionElapsedTicks: number;
  /** Ticks without a leader after which this node campaigns. */
  readonly electionDeadlineTicks: number;
  /** Null unless this node is the leader. The row of this node shows its own disk. */
  readonly progress: ReadonlyMap<NodeId, ProgressStatus> | null;
  readonly transferee: NodeId | null;
  readonly uncommittedBytes: number;
  /**
   * A voter of higher priority that is nearly caught up, and that leadership may be transferred to.
   */
  readonly preferredLeader: NodeId | null;
};

export function statusOf(raft: Raft): Status {
  const { log, role } = raft;
  const leader = role.name === "leader" ? role : null;
  return {
    id: raft.id,
    role: role.name,
    term: raft.term,
    vote: raft.vote,
    leader: leaderOf(raft),
    hardState: { term: raft.term, vote: raft.vote, commit: log.commit },
    commit: log.commit,
    applied: log.applied,
    durableIndex: log.durable,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    evictedIndex: log.evictedIndex,
    snapshotIndex: raft.snapshot.index,
    configuration: raft.configuration,
    isLearner: raft.configuration.learners.includes(raft.id),
    electionElapsedTicks: raft.electionElapsed,
    electionDeadlineTicks: raft.electionDeadline,
    progress: leader === null ? null : progressOf(raft, leader.progress),
    transferee: leader?.transferee ?? null,
    uncommittedBytes: leader?.uncommittedBytes ?? 0,
    preferredLeader: leader === null ? null : preferredLeader(raft, leader),
  };
}

function progressOf(
  raft: Raft,
  progress: ReadonlyMap<NodeId, Progress>,
): Map<NodeId, ProgressStatus> {
  const rows = new Map<NodeId, ProgressStatus>([[raft.id, ownRow(raft)]]);
  for (const [id, peer] of progress) rows.set(id, peerRow(raft, id, peer));
  return new Map([...rows].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const ownRow = ({ log }: Raft): ProgressStatus => ({
  state: "replicate",
  match: log.durable,
  next: (log.lastIndex + 1) as LogIndex,
  isLearner: false,
  recentActive: true,
  paused: false,
  pendingSnapshot: 0 as LogIndex,
  inflightMessages: 0,
  inflightBytes: 0,
  fetching: false,
});

const peerRow = (raft: Raft, id: NodeId, peer: Progress): ProgressStatus => ({
  state: peer.state,
  match: peer.match,
  next: peer.next,
  isLearner: raft.configuration.learners.includes(id),
  recentActive: peer.recentActive,
  paused: peer.isPaused,
  pendingSnapshot: peer.pendingSnapshot,
  inflightMessages: peer.inflights.count,
  inflightBytes: peer.inflights.bytes,
  fetching: peer.fetchFrom > 0,
});
