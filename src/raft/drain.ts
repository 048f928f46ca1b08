/** Builds one output from everything that happened since the last one. */

import { feature as faultPoint } from "bun:bundle";
import { after, before, maxIndex, minIndex } from "./indexes.ts";
import { broadcastHeartbeat, flushCommitNotices, payloadBytes } from "./replication.ts";
import { leaderOf, newOutbox, type Outbox, type Raft } from "./state.ts";
import { commitToKeep, maybeRemoveMarker } from "./truncated-log.ts";
import type { Entry, HardState, LogIndex, Output, Persist } from "./types.ts";

const NOTHING: readonly never[] = [];

const EMPTY_OUTPUT: Output = {
  persist: null,
  messages: NOTHING,
  messagesAfterPersist: NOTHING,
  committed: NOTHING,
  readStates: NOTHING,
  readsDropped: NOTHING,
  roleChange: null,
  configuration: null,
  fetches: NOTHING,
  snapshotNeeded: NOTHING,
};

export function drain(raft: Raft): Output {
  maybeRemoveMarker(raft);
  flushLeader(raft);
  const { out } = raft;
  if (faultPoint("reply-before-fsync")) out.messages.push(...out.held.splice(0));
  const persist = takePersist(raft);
  // Nothing has to be written: everything that the retained messages promise is already durable.
  if (persist === null && out.held.length > 0) {
    for (const message of out.held) out.messages.push(message);
    out.held = [];
  }
  const committed = takeCommitted(raft);
  if (isEmpty(out)) {
    if (persist === null && committed.length === 0) return EMPTY_OUTPUT;
    // This is the hot path of a Raft group with one member.
    return { ...EMPTY_OUTPUT, persist, committed };
  }
  raft.out = newOutbox();
  return {
    persist,
    messages: out.messages,
    messagesAfterPersist: out.held,
    committed,
    readStates: out.readStates,
    readsDropped: out.readsDropped,
    roleChange: out.roleChanged
      ? { role: raft.role.name, term: raft.term, leader: leaderOf(raft) }
      : null,
    configuration: out.configurationChanged ? raft.configuration : null,
    fetches: out.fetches,
    snapshotNeeded: out.snapshotNeeded,
  };
}

/** Tells whether there is output to drain. */
export function hasOutput(raft: Raft): boolean {
  const { out, role } = raft;
  if (role.name === "leader" && (role.commitNoticeDue || role.reads.wantsRound)) return true;
  return !isEmpty(out) || needsPersist(raft) || raft.log.applying < applyLimit(raft);
}

const isEmpty = (out: Outbox): boolean =>
  out.messages.length === 0 && out.held.length === 0 && !hasRest(out);

const hasRest = (out: Outbox): boolean =>
  out.roleChanged ||
  out.configurationChanged ||
  out.readStates.length > 0 ||
  out.readsDropped.length > 0 ||
  out.fetches.length > 0 ||
  out.snapshotNeeded.length > 0;

/**
 * Runs once per drain, so that all work of one event-loop iteration shares a read round and a
 * commit notice.
 */
function flushLeader(raft: Raft): void {
  const { role } = raft;
  if (role.name !== "leader") return;
  if (role.reads.wantsRound) broadcastHeartbeat(raft, role);
  if (role.commitNoticeDue) flushCommitNotices(raft, role);
}

function needsPersist(raft: Raft): boolean {
  const { log, writes, out } = raft;
  return (
    log.emitted < log.lastIndex ||
    hardStateChanged(raft) ||
    isSnapshotUnwritten(raft) ||
    mustSyncCommit(raft) ||
    (out.held.length > 0 && !writes.idle)
  );
}

function takePersist(raft: Raft): Persist | null {
  const { log, writes } = raft;
  if (!needsPersist(raft)) return null;
  const entries = log.slice(after(log.emitted), log.lastIndex, Number.MAX_SAFE_INTEGER);
  log.emitted = log.lastIndex;
  const snapshot = isSnapshotUnwritten(raft) ? log.pendingSnapshot : null;
  const syncCommit = mustSyncCommit(raft);
  const promised = raft.term !== writes.emittedTerm || raft.vote !== writes.emittedVote;
  const mustSync = entries.length > 0 || promised || snapshot !== null || syncCommit;
  const state: HardState = { term: raft.term, vote: raft.vote, commit: commitToKeep(raft) };
  const hardState = hardStateChanged(raft) || syncCommit ? state : null;
  const token = writes.push(state, log, mustSync, snapshot);
  return { token, entries, hardState, snapshot, mustSync, syncCommit };
}

function hardStateChanged(raft: Raft): boolean {
  const { term, vote, writes } = raft;
  return (
    commitToKeep(raft) !== writes.emittedCommit ||
    term !== writes.emittedTerm ||
    vote !== writes.emittedVote
  );
}

const isSnapshotUnwritten = ({ log, writes }: Raft): boolean =>
  log.pendingSnapshot !== null && log.pendingSnapshot !== writes.emittedSnapshot;

/**
 * Tells whether a membership change waits for a durable commit index. A change is applied only once
 * a commit index that covers it is durable. Otherwise a node could apply the change, crash, restart
 * with the previous membership and commit index, and be elected by voters that were replaced long
 * ago.
 */
function mustSyncCommit({ log, writes }: Raft): boolean {
  const change = log.nextConfChange(maxIndex(log.applying, writes.emittedSyncedCommit));
  return change !== undefined && change <= log.commit;
}

/** Returns the highest index that may be applied now. */
function applyLimit({ log, writes }: Raft): LogIndex {
  if (log.pendingSnapshot !== null) return log.applying;
  const limit = faultPoint("expose-uncommitted") ? log.durable : minIndex(log.commit, log.durable);
  if (faultPoint("change-in-force-before-its-commit-is-durable")) return limit;
  const uncovered = log.nextConfChange(maxIndex(log.applying, writes.durableCommit));
  return uncovered === undefined ? limit : minIndex(limit, before(uncovered));
}

function takeCommitted(raft: Raft): readonly Entry[] {
  const { log, role } = raft;
  const limit = applyLimit(raft);
  if (limit <= log.applying) return NOTHING;
  const from = after(log.applying);
  const entries = log.slice(from, limit, raft.settings.maxCommittedBytes);
  log.applying = (log.applying + entries.length) as LogIndex;
  if (role.name === "leader") {
    // Entries of earlier terms are not part of the count.
    role.uncommittedBytes = Math.max(0, role.uncommittedBytes - payloadBytes(entries));
  }
  return entries;
}
