/**
 * Applies membership changes. A change takes effect when its entry is applied (as in etcd), on
 * every node alike.
 */
import { assert } from "../lib/assert.ts";
import { decodeConfChange } from "./config-codec.ts";
import { maybeAutoLeave, newProgress } from "./leader.ts";
import { applyConfChange, isVoter, membersOf } from "./membership.ts";
import { confirmReads, maybeCommit, maybeSendAppend } from "./replication.ts";
import { becomeFollower, type Leader, type Raft } from "./state.ts";
import type { Configuration, LogIndex } from "./types.ts";

/**
 * Records that the machine has applied entries up to `index`, and applies the membership changes up
 * to it in order.
 */
export function stepApplied(raft: Raft, index: LogIndex): void {
  const { log } = raft;
  // A snapshot may have replaced entries that were given to the machine before it arrived.
  if (index <= log.applied || log.pendingSnapshot !== null) return;
  let change = log.nextConfChange(log.applied);
  const changes: LogIndex[] = [];
  while (change !== undefined && change <= index) {
    changes.push(change);
    change = log.nextConfChange(change);
  }
  log.appliedTo(index);
  for (const at of changes) applyChangeAt(raft, at);
  if (raft.role.name === "leader") maybeAutoLeave(raft, raft.role);
}

function applyChangeAt(raft: Raft, index: LogIndex): void {
  const change = decodeConfChange(raft.log.entryAt(index).data);
  const result = applyConfChange(raft.configuration, change);
  // The leader checked the change against the same configuration, with no other change in between.
  assert(
    result.ok,
    result.ok ? "" : `a committed membership change is not valid: ${result.reason}`,
  );
  raft.configurationHistory.push({ index, configuration: result.configuration });
  switchConfiguration(raft, result.configuration);
}

function switchConfiguration(raft: Raft, configuration: Configuration): void {
  raft.configuration = configuration;
  raft.out.configurationChanged = true;
  const { role } = raft;
  if (role.name !== "leader") return;
  if (!isVoter(configuration, raft.id)) {
    // This leader was removed or demoted. The change is committed, so it steps down (paper section
    // 6).
    becomeFollower(raft, raft.term, null);
    return;
  }
  syncProgress(raft, role);
  maybeCommit(raft, role);
  confirmReads(raft, role);
  for (const [id, progress] of role.progress) maybeSendAppend(raft, id, progress, false);
  if (role.transferee !== null && !isVoter(configuration, role.transferee)) role.transferee = null;
}

/**
 * Creates progress for the new members, probing from the end of the log. Other members keep their
 * progress.
 */
function syncProgress(raft: Raft, leader: Leader): void {
  const before = leader.progress;
  leader.progress = new Map();
  for (const id of membersOf(raft.configuration)) {
    if (id === raft.id) continue;
    const next = Math.max(raft.log.lastIndex, 1) as LogIndex;
    // A new member counts as active at first, so that check-quorum does not fail before it can
    // respond.
    leader.progress.set(id, before.get(id) ?? newProgress(raft, next, true));
  }
}
