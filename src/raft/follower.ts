/**
 * Handles messages to a follower, and messages that any member accepts from the leader of its term.
 */

import { feature as faultPoint } from "bun:bundle";
import { assert } from "../lib/assert.ts";
import { maybeCampaign } from "./election.ts";
import { after, before, minIndex } from "./indexes.ts";
import { isExact } from "./number-bounds.ts";
import {
  appendEntries,
  becomeFollower,
  type Follower,
  followLeader,
  type Raft,
  send,
} from "./state.ts";
import { reportLoss, verified } from "./truncated-log.ts";
import type {
  AppendRequest,
  Heartbeat,
  LogIndex,
  Message,
  NodeId,
  ReadIndexResponse,
  SnapshotMeta,
  SnapshotOffer,
  Term,
} from "./types.ts";

export function stepFollower(raft: Raft, follower: Follower, message: Message): void {
  switch (message.type) {
    case "append_request":
    case "heartbeat":
    case "snapshot_offer":
      followLeader(raft, follower, message.from);
      obeyLeader(raft, message);
      return;
    case "timeout_now":
      // The leader transfers leadership to this node and knows that it has the whole log.
      maybeCampaign(raft, "transfer");
      return;
    case "read_index_response":
      stepReadIndexResponse(raft, follower, message);
      return;
    case "read_index_request":
    case "transfer_request":
      if (follower.leader !== null) send(raft, { ...message, to: follower.leader });
      return;
    default:
    // These are late answers to a campaign or leadership that has ended.
  }
}

/** Handles an append, heartbeat or snapshot offer from the leader of this term. */
export function obeyLeader(raft: Raft, message: AppendRequest | Heartbeat | SnapshotOffer): void {
  switch (message.type) {
    case "append_request":
      stepAppend(raft, message);
      return;
    case "heartbeat":
      // The leader still counts entries that this disk lost.
      if (raft.marker === null) raft.log.commitTo(message.commit);
      else reportLoss(raft, message.from);
      send(raft, {
        type: "heartbeat_response",
        from: raft.id,
        to: message.from,
        term: raft.term,
        round: message.round,
      });
      return;
    case "snapshot_offer":
      stepSnapshot(raft, message);
      return;
  }
}

function stepAppend(raft: Raft, message: AppendRequest): void {
  const { log } = raft;
  if (!isWellFormed(message)) return;
  assertAgreesWithCommitted(raft, message);
  // The logs agree up to the commit index, so the leader can continue from there.
  if (message.prevIndex < log.commit) {
    accept(raft, message.from, log.commit);
    return;
  }
  if (!log.matches(message.prevIndex, message.prevTerm)) {
    reject(raft, message);
    return;
  }
  // Only a real conflict truncates the log. A shorter append that arrives late must not.
  const conflict = faultPoint("truncate-on-shorter-append")
    ? (message.entries[0] ?? null)
    : log.findConflict(message.entries);
  if (conflict !== null) appendEntries(raft, message.entries, conflict.index);
  const end = (message.prevIndex + message.entries.length) as LogIndex;
  verified(raft, end);
  log.commitTo(
    minIndex(message.commit, faultPoint("follower-commit-last-index") ? log.lastIndex : end),
  );
  accept(raft, message.from, end);
}

/**
 * Checks that entries are contiguous and that their terms neither descend nor exceed the leader's.
 * Entries that violate this are not from a Raft log.
 */
function isWellFormed(message: AppendRequest): boolean {
  let index: number = message.prevIndex;
  let term: number = message.prevTerm;
  for (const entry of message.entries) {
    index++;
    if (entry.index !== index || entry.term < term || !isExact(entry.term)) return false;
    term = entry.term;
  }
  return term <= message.term;
}

/**
 * Checks committed entries against an append. A leader has every committed entry (paper 5.4.3). If
 * one differs, a disk lost entries that it had acknowledged, or a peer is faulty. This member
 * stops, so that neither version is read or overwritten.
 */
function assertAgreesWithCommitted(raft: Raft, message: AppendRequest): void {
  const { commit } = raft.log;
  if (message.prevIndex > commit) return;
  assertCommitted(raft, message.from, message.prevIndex, message.prevTerm);
  for (const { index, term } of message.entries) {
    if (index > commit) return;
    assertCommitted(raft, message.from, index, term);
  }
}

/** @throws AssertionError unless the committed entry at `index` has this term, if it is known. */
function assertCommitted({ log }: Raft, leader: NodeId, index: LogIndex, term: Term): void {
  const own = log.termAt(index);
  if (own === undefined || own === term) return;
  assert(
    false,
    `committed entry ${index} has term ${own} here and ${term} at leader ${leader}: the logs have diverged`,
  );
}

function accept(raft: Raft, to: NodeId, match: LogIndex): void {
  send(raft, {
    type: "append_response",
    from: raft.id,
    to,
    term: raft.term,
    accepted: true,
    match,
  });
}

function reject(raft: Raft, message: AppendRequest): void {
  const { log } = raft;
  const start = minIndex(message.prevIndex, log.lastIndex);
  const hint = log.findConflictByTerm(start, message.prevTerm);
  send(raft, {
    type: "append_response",
    from: raft.id,
    to: message.from,
    term: raft.term,
    accepted: false,
    rejected: message.prevIndex,
    hintIndex: faultPoint("conflict-hint-off-by-one") ? before(hint.index) : hint.index,
    hintTerm: hint.term,
    lost: raft.marker !== null,
  });
}

/**
 * Installs a snapshot whose data is complete on this node. It is acknowledged once it is durable.
 */
function stepSnapshot(raft: Raft, message: SnapshotOffer): void {
  const restored = restore(raft, message);
  accept(raft, message.from, restored ? raft.log.lastIndex : raft.log.commit);
}

/**
 * Tells whether the snapshot is usable. Unlike in etcd, it does not have to name this node as a
 * member: a snapshot from before this node was added is valid, and the change that adds it follows
 * in the log.
 */
function restore(raft: Raft, { from, snapshot }: SnapshotOffer): boolean {
  const { log } = raft;
  if (snapshot.index <= log.commit) {
    assertCommitted(raft, from, snapshot.index, snapshot.term);
    return false;
  }
  if (raft.role.name !== "follower") {
    // This cannot happen: the leader of this term has already made this node a follower.
    becomeFollower(raft, raft.term, null);
    return false;
  }
  if (log.matches(snapshot.index, snapshot.term)) {
    // The log contains everything that the snapshot covers, and the entries after it stay.
    log.commitTo(snapshot.index);
    return false;
  }
  startFrom(raft, snapshot);
  return true;
}

/** Restarts the log after the snapshot. */
export function startFrom(raft: Raft, snapshot: SnapshotMeta): void {
  const { log } = raft;
  raft.writes.overwritten(after(log.commit));
  log.restore(snapshot);
  raft.snapshot = snapshot;
  raft.configuration = snapshot.configuration;
  raft.configurationHistory = [{ index: snapshot.index, configuration: snapshot.configuration }];
  raft.membershipKnownFrom = snapshot.index;
  raft.out.configurationChanged = true;
}

function stepReadIndexResponse(raft: Raft, follower: Follower, message: ReadIndexResponse): void {
  const read = follower.reads.take(message.requestId);
  if (read === null) return;
  raft.out.readStates.push({ context: read.context, index: message.index });
}

export function tickFollower(raft: Raft, follower: Follower): void {
  const lost = follower.reads.tick(raft.settings.electionTimeoutTicks);
  if (lost.length > 0) raft.out.readsDropped.push(...lost);
}
