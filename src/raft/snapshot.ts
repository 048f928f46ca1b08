/**
 * Checkpoints of the machine: which one is offered to peers, and which entries may leave the log.
 */
import { assert } from "../lib/assert.ts";
import { offerNewSnapshot } from "./replication.ts";
import type { Raft } from "./state.ts";
import { type Configuration, INDEX_0, type LogIndex, type NodeId } from "./types.ts";

/** Records that the checkpoint at `index` is durable and can be sent to peers from now on. */
export function stepSnapshotCreated(raft: Raft, index: LogIndex): void {
  const { log } = raft;
  if (index <= raft.snapshot.index) return;
  assert(index <= log.applied, "a checkpoint holds applied entries only");
  const term = log.termAt(index);
  assert(term !== undefined, "the term of an index above the last checkpoint is known");
  assert(index >= raft.membershipKnownFrom, "the membership of that time is not known any more");
  raft.snapshot = { index, term, configuration: configurationAt(raft, index) };
  const { configurationHistory: history } = raft;
  while ((history[1]?.index ?? index + 1) <= index) history.shift();
  if (raft.role.name === "leader") offerNewSnapshot(raft, raft.role);
}

/** Removes entries up to `index` from the log. A checkpoint must cover them. */
export function stepCompact(raft: Raft, index: LogIndex): void {
  if (index <= raft.log.compactedIndex) return;
  stepSnapshotCreated(raft, index);
  raft.log.compact(index);
}

/**
 * Returns the membership in force once `index` is applied. `index` must be at or above the last
 * checkpoint.
 */
export function configurationAt(raft: Raft, index: LogIndex): Configuration {
  let found = raft.configuration;
  for (const item of raft.configurationHistory) {
    if (item.index > index) break;
    found = item.configuration;
  }
  return found;
}

/**
 * Records the result of the snapshot transfer to `id`. The peer is probed after its next heartbeat
 * response.
 */
export function stepSnapshotReport(raft: Raft, id: NodeId, ok: boolean): void {
  const progress = raft.role.name === "leader" ? raft.role.progress.get(id) : undefined;
  if (progress === undefined || progress.state !== "snapshot") return;
  // The snapshot was not delivered, so probing after it would fail.
  if (!ok) progress.pendingSnapshot = INDEX_0;
  progress.becomeProbe();
  // A delivered snapshot is acknowledged soon, and a failed one is not retried at once. So the peer
  // stays paused.
  progress.paused = true;
}
