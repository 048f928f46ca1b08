/** The leader: proposals, responses, heartbeats, check-quorum and leadership transfer. */
import { feature as faultPoint } from "bun:bundle";
import { assert } from "../lib/assert.ts";
import { encodeConfChange } from "./config-codec.ts";
import { applyConfChange, isJoint, isVoter, leavesJoint, membersOf } from "./membership.ts";
import { NUMBER_MAX } from "./number-bounds.ts";
import { Inflights, Progress } from "./progress.ts";
import { jointVote } from "./quorum.ts";
import { ReadQueue } from "./read-index.ts";
import {
  admitRead,
  broadcastAppend,
  broadcastHeartbeat,
  confirmReads,
  hasCommittedInTerm,
  maybeCommit,
  maybeSendAppend,
  sendMore,
} from "./replication.ts";
import { becomeFollower, changeRole, type Leader, type Raft, send } from "./state.ts";
import {
  type Accepted,
  type AppendAccepted,
  type AppendRejected,
  type AppendResponse,
  type ConfChange,
  type EntryType,
  INDEX_0,
  type LogIndex,
  type Message,
  type NodeId,
  type Rejection,
} from "./types.ts";

const NO_DATA = new Uint8Array(0);
/** The number of entries that a preferred leader may lag behind. */
const PREFERRED_LAG_MAX = 100;

export type ProposeResult =
  | Accepted
  | Rejection<"not_leader" | "transfer_in_progress" | "overloaded">;

export type ProposeConfChangeResult =
  | Accepted
  | Rejection<
      | "not_leader"
      | "transfer_in_progress"
      /** The leader has not committed an entry of its term yet. Retry shortly. */
      | "not_ready"
      /** The previous change is not applied yet. */
      | "change_in_flight"
      /** Only leaving the joint configuration is possible now. */
      | "joint"
      /** There is no joint configuration to leave. */
      | "not_joint"
    >
  | { readonly ok: false; readonly code: "invalid_change"; readonly reason: string };

/**
 * Becomes leader: resets the progress of every member and appends an empty entry of the new term
 * (paper section 8).
 */
export function becomeLeader(raft: Raft): void {
  assert(raft.role.name === "candidate", "only a candidate is elected");
  const next = (raft.log.lastIndex + 1) as LogIndex;
  const leader: Leader = {
    name: "leader",
    progress: new Map(),
    electedFrom: raft.log.firstIndex,
    heartbeatElapsed: 0,
    transferee: null,
    transferElapsed: 0,
    // The log may contain a membership change that is not applied yet, so none is proposed before
    // all of it is applied.
    pendingConfIndex: raft.log.lastIndex,
    uncommittedBytes: 0,
    commitNoticeDue: false,
    reads: new ReadQueue(),
    // The leader's own entries count once they are durable, as on any other member (etcd issue
    // 14370).
    matchOf: (id) => {
      if (faultPoint("own-ack-before-own-fsync") && id === raft.id) return raft.log.lastIndex;
      return id === raft.id ? raft.log.durable : (leader.progress.get(id)?.match ?? -1);
    },
  };
  for (const id of membersOf(raft.configuration)) {
    if (id !== raft.id) leader.progress.set(id, newProgress(raft, next, false));
  }
  raft.failedRounds = 0;
  changeRole(raft, leader);
  if (!faultPoint("no-noop")) append(raft, leader, "normal", NO_DATA);
}

export function newProgress(raft: Raft, next: LogIndex, recentActive: boolean): Progress {
  const { maxInflightMessages, maxInflightBytes } = raft.settings;
  const inflights = new Inflights(maxInflightMessages, maxInflightBytes);
  return new Progress(INDEX_0, next, inflights, recentActive);
}

export function propose(raft: Raft, data: Uint8Array): ProposeResult {
  const { role } = raft;
  if (role.name !== "leader") return { ok: false, code: "not_leader" };
  if (role.transferee !== null) return { ok: false, code: "transfer_in_progress" };
  const bytes = role.uncommittedBytes + data.length;
  // One proposal of any size is accepted while nothing else is pending.
  if (role.uncommittedBytes > 0 && data.length > 0 && bytes > raft.settings.maxUncommittedBytes) {
    return { ok: false, code: "overloaded" };
  }
  if (isLogFull(raft)) return { ok: false, code: "overloaded" };
  role.uncommittedBytes = bytes;
  return append(raft, role, "normal", data);
}

export function proposeConfChange(raft: Raft, change: ConfChange): ProposeConfChangeResult {
  const { role } = raft;
  if (role.name !== "leader") return { ok: false, code: "not_leader" };
  if (role.transferee !== null) return { ok: false, code: "transfer_in_progress" };
  if (!hasCommittedInTerm(raft) && !faultPoint("change-before-own-term-committed")) {
    return { ok: false, code: "not_ready" };
  }
  if (role.pendingConfIndex > raft.log.applied && !faultPoint("two-changes-in-flight")) {
    return { ok: false, code: "change_in_flight" };
  }
  const joint = isJoint(raft.configuration);
  if (joint && !leavesJoint(change)) return { ok: false, code: "joint" };
  if (!joint && leavesJoint(change)) return { ok: false, code: "not_joint" };
  const result = applyConfChange(raft.configuration, change);
  if (!result.ok) return { ok: false, code: "invalid_change", reason: result.reason };
  if (isLogFull(raft)) return { ok: false, code: "not_ready" };
  role.pendingConfIndex = (raft.log.lastIndex + 1) as LogIndex;
  return append(raft, role, "conf_change", encodeConfChange(change));
}

/** Proposes to leave a joint configuration with auto-leave once it is applied. */
export function maybeAutoLeave(raft: Raft, leader: Leader): void {
  if (!raft.configuration.autoLeave || raft.log.applied < leader.pendingConfIndex) return;
  if (leader.transferee !== null || !hasCommittedInTerm(raft) || isLogFull(raft)) return;
  leader.pendingConfIndex = (raft.log.lastIndex + 1) as LogIndex;
  append(raft, leader, "conf_change", NO_DATA);
}

/** The log has reached the last possible index. */
const isLogFull = ({ log }: Raft): boolean => log.lastIndex >= NUMBER_MAX;

function append(raft: Raft, leader: Leader, type: EntryType, data: Uint8Array): Accepted {
  const index = (raft.log.lastIndex + 1) as LogIndex;
  raft.log.push({ index, term: raft.term, type, data });
  broadcastAppend(raft, leader);
  return { ok: true, index, term: raft.term };
}

/** Advances the match index of this node after a write became durable. */
export function stepOwnDurable(raft: Raft, leader: Leader): void {
  maybeCommit(raft, leader);
}

export function stepLeader(raft: Raft, leader: Leader, message: Message): void {
  switch (message.type) {
    case "append_response":
      stepAppendResponse(raft, leader, message);
      return;
    case "heartbeat_response":
      stepHeartbeatResponse(raft, leader, message.from, message.round);
      return;
    case "read_index_request":
      admitRead(raft, leader, {
        peer: message.from,
        requestId: message.requestId,
        context: null,
      });
      return;
    case "transfer_request":
      transferLeadership(raft, leader, message.target);
      return;
    default:
      // Late votes and responses are ignored. A second leader of the same term is impossible.
      assert(!isLeadersWord(message), "two leaders in one term");
  }
}

const isLeadersWord = ({ type }: Message): boolean =>
  type === "append_request" || type === "heartbeat" || type === "snapshot_offer";

function stepAppendResponse(raft: Raft, leader: Leader, message: AppendResponse): void {
  const progress = leader.progress.get(message.from);
  // A member that was just removed may still have responses in flight.
  if (progress === undefined) return;
  progress.recentActive = true;
  if (message.accepted) stepAccepted(raft, leader, progress, message);
  else stepRejected(raft, progress, message);
}

/**
 * Handles a refused append. The hint of the peer avoids one probe per entry: it has the highest
 * index at which the logs may agree, and the peer's term there. The leader skips its own log down
 * to where its term is not above that term. So finding the match takes at most one round trip per
 * term (etcd's `findConflictByTerm`).
 */
function stepRejected(raft: Raft, progress: Progress, message: AppendRejected): void {
  const { hintIndex, hintTerm, lost, rejected } = message;
  const hint = hintTerm > 0 ? raft.log.findConflictByTerm(hintIndex, hintTerm).index : hintIndex;
  // No append is refused after index 0, so this answers a heartbeat. A peer with a truncated log
  // does not accept the commit index of a heartbeat. It needs an append to learn it, even if the
  // Raft group is idle and the peer has the whole log.
  const isLossReport = lost && rejected === INDEX_0;
  const isAnswered = faultPoint("loss-report-not-answered") ? false : isLossReport;
  if ((lost && progress.maybeForget(hint)) || isAnswered) {
    maybeSendAppend(raft, message.from, progress, true);
    return;
  }
  if (!progress.maybeDecrease(rejected, hint)) return;
  if (progress.state === "replicate") progress.becomeProbe();
  maybeSendAppend(raft, message.from, progress, true);
}

function stepAccepted(
  raft: Raft,
  leader: Leader,
  progress: Progress,
  message: AppendAccepted,
): void {
  const { from } = message;
  const match = faultPoint("stale-append-response-accepted") ? raft.log.lastIndex : message.match;
  // No correct peer reports this. Counting it would commit entries that do not exist.
  if (match > raft.log.lastIndex) return;
  const isNews = progress.maybeUpdate(match);
  if (!isNews && !(progress.match === match && progress.state === "probe")) return;
  settleState(raft, progress, match);
  const committed = maybeCommit(raft, leader);
  if (!committed && progress.canBumpCommit(raft.log.commit)) {
    maybeSendAppend(raft, from, progress, true);
  }
  sendMore(raft, from, progress);
  if (from === leader.transferee && progress.match === raft.log.lastIndex)
    sendTimeoutNow(raft, from);
}

function settleState(raft: Raft, progress: Progress, match: LogIndex): void {
  switch (progress.state) {
    case "probe":
      progress.becomeReplicate();
      return;
    case "snapshot":
      // Replication continues from the peer's position, whatever the result of the transfer.
      if (progress.match < raft.log.compactedIndex) return;
      progress.becomeProbe();
      progress.becomeReplicate();
      return;
    case "replicate":
      if (!faultPoint("inflight-leak")) progress.inflights.freeUpTo(match);
  }
}

function stepHeartbeatResponse(raft: Raft, leader: Leader, from: NodeId, round: number): void {
  const progress = leader.progress.get(from);
  if (progress === undefined) return;
  progress.recentActive = true;
  progress.paused = false;
  // If everything in flight was lost, only this heartbeat response resumes replication to the peer.
  if (progress.match < raft.log.lastIndex || progress.state === "probe") {
    maybeSendAppend(raft, from, progress, true);
  }
  if (round <= progress.ackedRound) return;
  progress.ackedRound = round;
  confirmReads(raft, leader);
}

export function tickLeader(raft: Raft, leader: Leader): void {
  leader.heartbeatElapsed++;
  raft.electionElapsed++;
  if (raft.electionElapsed >= raft.settings.electionTimeoutTicks) {
    raft.electionElapsed = 0;
    if (raft.settings.checkQuorum && !checkQuorum(raft, leader)) return;
  }
  leader.transferElapsed++;
  // The transfer did not complete within an election timeout (dissertation 3.10).
  if (leader.transferElapsed >= raft.settings.electionTimeoutTicks) leader.transferee = null;
  maybeAutoLeave(raft, leader);
  if (leader.heartbeatElapsed < raft.settings.heartbeatTicks) return;
  leader.heartbeatElapsed = 0;
  broadcastHeartbeat(raft, leader);
}

/**
 * Runs check-quorum. @returns false if a quorum was silent for an election timeout, so that this
 * node stepped down.
 */
function checkQuorum(raft: Raft, leader: Leader): boolean {
  const heard = jointVote(
    raft.configuration,
    (id) => id === raft.id || (leader.progress.get(id)?.recentActive ?? false),
  );
  for (const progress of leader.progress.values()) progress.recentActive = false;
  if (heard === "won" || faultPoint("checkquorum-off")) return true;
  becomeFollower(raft, raft.term, null);
  return false;
}

export type TransferResult = { readonly ok: true } | Rejection<"not_leader" | "not_a_voter">;

/**
 * Brings `target` up to date and lets it campaign at once. The transfer is aborted after an
 * election timeout.
 */
export function transferLeadership(raft: Raft, leader: Leader, target: NodeId): TransferResult {
  if (target === raft.id) {
    // The last transfer request replaces earlier ones, as with any other target.
    leader.transferee = null;
    return { ok: true };
  }
  const progress = leader.progress.get(target);
  if (progress === undefined || !isVoter(raft.configuration, target)) {
    return { ok: false, code: "not_a_voter" };
  }
  if (leader.transferee === target) return { ok: true };
  leader.transferElapsed = 0;
  leader.transferee = target;
  const isCaughtUp = progress.match === raft.log.lastIndex;
  if (isCaughtUp || faultPoint("transfer-without-catch-up")) sendTimeoutNow(raft, target);
  else maybeSendAppend(raft, target, progress, true);
  return { ok: true };
}

function sendTimeoutNow(raft: Raft, target: NodeId): void {
  send(raft, { type: "timeout_now", from: raft.id, to: target, term: raft.term });
}

/**
 * Returns the voter with the highest priority above this node's that has (nearly) the whole log, or
 * null.
 */
export function preferredLeader(raft: Raft, leader: Leader): NodeId | null {
  const { priority } = raft.settings;
  let best: NodeId | null = null;
  let highest = priority.get(raft.id) ?? 0;
  for (const id of raft.configuration.voters) {
    const own = priority.get(id) ?? 0;
    if (own <= highest || !isNearlyCaughtUp(raft, leader, id)) continue;
    highest = own;
    best = id;
  }
  return best;
}

/**
 * Tells whether the peer is nearly caught up. Under load there are always entries in flight, and a
 * transfer waits for them.
 */
function isNearlyCaughtUp({ log }: Raft, { progress }: Leader, id: NodeId): boolean {
  const match = progress.get(id)?.match ?? INDEX_0;
  return match > 0 && match + PREFERRED_LAG_MAX >= log.lastIndex;
}
