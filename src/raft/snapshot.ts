/** Checkpoints of the machine: which one is offered to others, and what may leave the log. */
import { assert } from "../lib/assert.ts";
import { offerNewSnapshot } from "./replication.ts";
import type { Raft } from "./state.ts";
import { type Configuration, INDEX_0, type LogIndex, type NodeId } from "./types.ts";

/** A checkpoint at `index` is durable and can be sent to peers from now on. */
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

/** Entries up to `index` leave the log for good; a checkpoint must hold them. */
export function stepCompact(raft: Raft, index: LogIndex): void {
  if (index <= raft.log.compactedIndex) return;
  stepSnapshotCreated(raft, index);
  raft.log.compact(index);
}

/** The membership in force once `index` is applied; `index` is at or above the last checkpoint. */
export function configurationAt(raft: Raft, index: LogIndex): Configuration {
  let found = raft.configuration;
  for (const item of raft.configurationHistory) {
    if (item.index > index) break;
    found = item.configuration;
  }
  return found;
}

/** How the transfer of a snapshot to `id` went. Then the peer is probed, after a heartbeat. */
export function stepSnapshotReport(raft: Raft, id: NodeId, ok: boolean): void {
  const progress = raft.role.name === "leader" ? raft.role.progress.get(id) : undefined;
  if (progress === undefined || progress.state !== "snapshot") return;
  // Not delivered: probing from behind it would be in vain.
  if (!ok) progress.pendingSnapshot = INDEX_0;
  progress.becomeProbe();
  // Delivered: its answer comes soon. Failed: not again at once.
  progress.paused = true;
}
