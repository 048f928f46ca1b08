/** What a leader sends to whom, and what becomes committed by the answers. */

import { assert } from "../lib/assert.ts";
import { minIndex } from "./indexes.ts";
import type { Progress } from "./progress.ts";
import { jointIndex } from "./quorum.ts";
import type { ConfirmedRead, ReadRequest } from "./read-index.ts";
import { type Leader, type Raft, send } from "./state.ts";
import { type Entry, INDEX_0, type LogIndex, type NodeId } from "./types.ts";

const NO_ENTRIES: readonly Entry[] = [];

/** Sends what is new to everyone, or at least the commit index. */
export function broadcastAppend(raft: Raft, leader: Leader): void {
  for (const [id, progress] of leader.progress) maybeSendAppend(raft, id, progress, true);
}

/**
 * Sends one append, probe or snapshot offer, if the peer's state allows it.
 *
 * @param sendIfEmpty also if there is no entry to send, for the sake of the commit index.
 * @returns whether something was sent.
 */
export function maybeSendAppend(
  raft: Raft,
  id: NodeId,
  progress: Progress,
  sendIfEmpty: boolean,
): boolean {
  if (progress.isPaused) return false;
  const { log } = raft;
  if (log.termAt((progress.next - 1) as LogIndex) === undefined) {
    return maybeSendSnapshot(raft, id, progress, log.compactedIndex);
  }
  const isReplicating = progress.state === "replicate";
  // While the window is full an empty append may still go out: its answer reopens the window if
  // all that filled it was lost.
  const mayCarryEntries = !isReplicating || !progress.inflights.full;
  if (mayCarryEntries && progress.next <= log.evictedIndex) {
    return isReplicating ? requestPayloads(raft, id, progress) : sendEmptyProbe(raft, id, progress);
  }
  const entries = mayCarryEntries
    ? log.slice(progress.next, log.lastIndex, raft.settings.maxAppendBytes)
    : NO_ENTRIES;
  if (entries.length === 0 && !sendIfEmpty) return false;
  sendAppend(raft, id, progress, entries);
  return true;
}

/** Until the logs are known to meet, payloads that left memory are not worth a read from disk. */
function sendEmptyProbe(raft: Raft, id: NodeId, progress: Progress): boolean {
  sendAppend(raft, id, progress, NO_ENTRIES);
  progress.paused = true;
  return true;
}

function requestPayloads(raft: Raft, id: NodeId, progress: Progress): boolean {
  progress.fetchFrom = progress.next;
  raft.out.fetches.push({
    peer: id,
    from: progress.next,
    to: raft.log.evictedIndex,
    maxBytes: raft.settings.maxAppendBytes,
  });
  return true;
}

function sendAppend(raft: Raft, id: NodeId, progress: Progress, entries: readonly Entry[]): void {
  const prevIndex = (progress.next - 1) as LogIndex;
  const prevTerm = raft.log.termAt(prevIndex);
  assert(prevTerm !== undefined, "the entry before an append is known");
  const { commit } = raft.log;
  send(raft, {
    type: "append_request",
    from: raft.id,
    to: id,
    term: raft.term,
    prevIndex,
    prevTerm,
    entries,
    commit,
  });
  progress.sentEntries(entries.length, payloadBytes(entries));
  progress.sentCommit = commit;
}

/** @param indexMin the snapshot must reach at least so far to be of use. */
function maybeSendSnapshot(
  raft: Raft,
  id: NodeId,
  progress: Progress,
  indexMin: LogIndex,
): boolean {
  if (!progress.recentActive) return false;
  const { snapshot } = raft;
  if (snapshot.index < indexMin) {
    progress.snapshotWanted = indexMin;
    raft.out.snapshotNeeded.push({ peer: id, index: indexMin });
    return false;
  }
  progress.becomeSnapshot(snapshot.index);
  send(raft, { type: "snapshot_offer", from: raft.id, to: id, term: raft.term, snapshot });
  return true;
}

/** Peers that waited for a higher snapshot may have it now. */
export function offerNewSnapshot(raft: Raft, leader: Leader): void {
  for (const [id, progress] of leader.progress) {
    const wanted = progress.snapshotWanted;
    if (wanted === 0 || wanted > raft.snapshot.index) continue;
    progress.snapshotWanted = INDEX_0;
    maybeSendSnapshot(raft, id, progress, wanted);
  }
}

/** The journal answered a fetch. Entries that do not fit what is known are dropped. */
export function stepFetched(
  raft: Raft,
  id: NodeId,
  progress: Progress,
  from: LogIndex,
  entries: readonly Entry[],
): void {
  if (progress.fetchFrom !== from || progress.next !== from) return;
  progress.fetchFrom = INDEX_0;
  if (!isOurs(raft, from, entries)) {
    stepFetchFailed(raft, id, progress);
    return;
  }
  if (progress.inflights.full) return;
  sendAppend(raft, id, progress, entries);
  sendMore(raft, id, progress);
}

/** The payloads cannot be had: the peer needs a snapshot that covers the one it is to get next. */
function stepFetchFailed(raft: Raft, id: NodeId, progress: Progress): void {
  maybeSendSnapshot(raft, id, progress, progress.next);
}

function isOurs(raft: Raft, from: LogIndex, entries: readonly Entry[]): boolean {
  let index = from;
  for (const entry of entries) {
    if (entry.index !== index || !raft.log.matches(index, entry.term)) return false;
    index = (index + 1) as LogIndex;
  }
  return entries.length > 0;
}

/** Fills the window. */
export function sendMore(raft: Raft, id: NodeId, progress: Progress): void {
  while (maybeSendAppend(raft, id, progress, false)) {
    // Each turn sends one bounded message; it ends when the peer is paused or up to date.
  }
}

/** Answers confirm all reads that arrived so far. */
export function broadcastHeartbeat(raft: Raft, leader: Leader): void {
  const round = leader.reads.beginRound();
  for (const [id, progress] of leader.progress) {
    // Never beyond what the peer is known to hold: it may have another log up there.
    const commit = minIndex(progress.match, raft.log.commit);
    send(raft, { type: "heartbeat", from: raft.id, to: id, term: raft.term, commit, round });
    progress.sentCommit = commit;
  }
  // A sole voter is a quorum by itself.
  confirmReads(raft, leader);
}

/**
 * Entries of the leader's own term commit by counting disks; older ones commit along with them
 * (paper 5.4.2, figure 8).
 *
 * @returns whether the commit index moved; followers are told at the next drain.
 */
export function maybeCommit(raft: Raft, leader: Leader): boolean {
  const { log } = raft;
  const held = jointIndex(raft.configuration, leader.matchOf);
  if (held <= log.commit || log.termAt(held) !== raft.term) return false;
  log.commitTo(held);
  leader.commitNoticeDue = true;
  if (leader.reads.hasPostponed) {
    for (const request of leader.reads.takePostponed()) admitRead(raft, leader, request);
  }
  return true;
}

/** Merged with the entries of the same turn: whoever got those knows of the commit already. */
export function flushCommitNotices(raft: Raft, leader: Leader): void {
  leader.commitNoticeDue = false;
  for (const [id, progress] of leader.progress) {
    if (progress.sentCommit < raft.log.commit) maybeSendAppend(raft, id, progress, true);
  }
}

export const hasCommittedInTerm = (raft: Raft): boolean =>
  raft.log.termAt(raft.log.commit) === raft.term;

/** Paper section 8: no read is answered before the leader's no-op tells it what is committed. */
export function admitRead(raft: Raft, leader: Leader, request: ReadRequest): void {
  if (!hasCommittedInTerm(raft)) {
    leader.reads.postpone(request);
    return;
  }
  leader.reads.add(request, raft.log.commit);
}

/** Confirmed by a quorum that answered this or a later round. */
export function confirmReads(raft: Raft, leader: Leader): void {
  if (!leader.reads.hasRounds) return;
  const confirmed = jointIndex(raft.configuration, (id) =>
    id === raft.id ? leader.reads.lastRound : (leader.progress.get(id)?.ackedRound ?? 0),
  );
  for (const read of leader.reads.confirm(confirmed)) answerRead(raft, read);
}

function answerRead(raft: Raft, { request, index }: ConfirmedRead): void {
  if (request.peer === null) {
    raft.out.readStates.push({ context: request.context, index });
    return;
  }
  send(raft, {
    type: "read_index_response",
    from: raft.id,
    to: request.peer,
    term: raft.term,
    requestId: request.requestId,
    index,
  });
}

export function payloadBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  return bytes;
}
