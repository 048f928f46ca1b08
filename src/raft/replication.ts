/** Replication: what a leader sends to each peer, and what the responses commit. */

import { feature as faultPoint } from "bun:bundle";
import { assert } from "../lib/assert.ts";
import { incomingOnly, withLearners } from "./faults.ts";
import { minIndex } from "./indexes.ts";
import type { Progress } from "./progress.ts";
import { jointIndex } from "./quorum.ts";
import type { ConfirmedRead, ReadRequest } from "./read-index.ts";
import { type Leader, type Raft, send } from "./state.ts";
import { type Entry, INDEX_0, type LogIndex, type NodeId } from "./types.ts";

const NO_ENTRIES: readonly Entry[] = [];

/** Sends new entries to every peer, or at least the commit index. */
export function broadcastAppend(raft: Raft, leader: Leader): void {
  for (const [id, progress] of leader.progress) maybeSendAppend(raft, id, progress, true);
}

/**
 * Sends one append, probe or snapshot offer, if the state of the peer allows it.
 *
 * @param sendIfEmpty send an append without entries too, to carry the commit index.
 * @returns whether a message was sent.
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
  // While the window is full an empty append may still be sent. Its response reopens the window if
  // everything in flight was lost.
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

/**
 * Payloads that left memory are read from disk only once the position where the logs agree is
 * known.
 */
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

/** @param indexMin the lowest index at which a snapshot is useful. */
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

/** Offers a new snapshot to the peers that waited for one. */
export function offerNewSnapshot(raft: Raft, leader: Leader): void {
  for (const [id, progress] of leader.progress) {
    const wanted = progress.snapshotWanted;
    if (wanted === 0 || wanted > raft.snapshot.index) continue;
    progress.snapshotWanted = INDEX_0;
    maybeSendSnapshot(raft, id, progress, wanted);
  }
}

/** Sends entries that were read from the journal. Entries that do not match the log are dropped. */
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

/** Handles a failed journal read. The peer needs a snapshot that covers its next entry. */
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

/** Sends appends until the window is full. */
export function sendMore(raft: Raft, id: NodeId, progress: Progress): void {
  while (maybeSendAppend(raft, id, progress, false)) {
    // Each iteration sends one bounded message. The loop ends when the peer is paused or up to
    // date.
  }
}

/** Sends a heartbeat to every peer. The responses confirm all reads that arrived so far. */
export function broadcastHeartbeat(raft: Raft, leader: Leader): void {
  const round = leader.reads.beginRound();
  for (const [id, progress] of leader.progress) {
    // The commit index is at most the peer's match index, because the peer's log may differ after
    // it.
    const commit = minIndex(progress.match, raft.log.commit);
    send(raft, { type: "heartbeat", from: raft.id, to: id, term: raft.term, commit, round });
    progress.sentCommit = commit;
  }
  // A sole voter is a quorum by itself.
  confirmReads(raft, leader);
}

/**
 * Advances the commit index. Entries of the leader's own term commit by counting durable copies;
 * entries of earlier terms commit along with them (paper 5.4.2, figure 8).
 *
 * @returns whether the commit index advanced; followers learn of it at the next drain.
 */
export function maybeCommit(raft: Raft, leader: Leader): boolean {
  const { log } = raft;
  const { configuration } = raft;
  const sets = faultPoint("learner-counts") ? withLearners(configuration) : configuration;
  const held = jointIndex(sets, leader.matchOf);
  if (held <= log.commit) return false;
  if (log.termAt(held) !== raft.term && !faultPoint("commit-old-term-by-count")) return false;
  log.commitTo(held);
  leader.commitNoticeDue = true;
  if (leader.reads.hasPostponed) {
    for (const request of leader.reads.takePostponed()) admitRead(raft, leader, request);
  }
  return true;
}

/**
 * Sends the commit index to peers that have not received it with entries of the same event-loop
 * iteration.
 */
export function flushCommitNotices(raft: Raft, leader: Leader): void {
  leader.commitNoticeDue = false;
  for (const [id, progress] of leader.progress) {
    if (progress.sentCommit < raft.log.commit) maybeSendAppend(raft, id, progress, true);
  }
}

export const hasCommittedInTerm = (raft: Raft): boolean =>
  raft.log.termAt(raft.log.commit) === raft.term;

/**
 * Admits a read to the next round. No read is answered before the empty entry of the leader's term is
 * committed (paper section 8).
 */
export function admitRead(raft: Raft, leader: Leader, request: ReadRequest): void {
  if (!hasCommittedInTerm(raft) && !faultPoint("readindex-before-noop")) {
    leader.reads.postpone(request);
    return;
  }
  if (faultPoint("lease-read-after-pause")) answerRead(raft, { request, index: raft.log.commit });
  else leader.reads.add(request, raft.log.commit);
}

/** Answers the reads that a quorum confirmed in this or a later round. */
export function confirmReads(raft: Raft, leader: Leader): void {
  if (!leader.reads.hasRounds) return;
  const { configuration } = raft;
  const sets = faultPoint("read-confirmed-by-one-half")
    ? incomingOnly(configuration)
    : configuration;
  const confirmed = jointIndex(sets, (id) =>
    id === raft.id || faultPoint("readindex-without-quorum")
      ? leader.reads.lastRound
      : (leader.progress.get(id)?.ackedRound ?? 0),
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
