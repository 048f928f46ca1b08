/** Membership takes effect when its entry is applied (as in etcd), on every node alike. */
import { assert } from "../lib/assert.ts";
import { decodeConfChange } from "./config-codec.ts";
import { maybeAutoLeave, newProgress } from "./leader.ts";
import { applyConfChange, isVoter, membersOf } from "./membership.ts";
import { confirmReads, maybeCommit, maybeSendAppend } from "./replication.ts";
import { becomeFollower, type Leader, type Raft } from "./state.ts";
import type { Configuration, LogIndex } from "./types.ts";

/** The machine is at `index`: membership changes up to there come into force, in order. */
export function stepApplied(raft: Raft, index: LogIndex): void {
  const { log } = raft;
  // A snapshot may have overtaken what was handed out before it came.
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
  // The leader checked it against the same configuration, with no other change in between.
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
    // Removed or demoted: the change is committed, so its work is done (paper section 6).
    becomeFollower(raft, raft.term, null);
    return;
  }
  syncProgress(raft, role);
  maybeCommit(raft, role);
  confirmReads(raft, role);
  for (const [id, progress] of role.progress) maybeSendAppend(raft, id, progress, false);
  if (role.transferee !== null && !isVoter(configuration, role.transferee)) role.transferee = null;
}

/** Old members keep what is known of them; new ones are probed from the end of the log. */
function syncProgress(raft: Raft, leader: Leader): void {
  const before = leader.progress;
  leader.progress = new Map();
  for (const id of membersOf(raft.configuration)) {
    if (id === raft.id) continue;
    const next = Math.max(raft.log.lastIndex, 1) as LogIndex;
    // Counted as alive at first, lest check-quorum strike before it had a chance to answer.
    leader.progress.set(id, before.get(id) ?? newProgress(raft, next, true));
  }
}
