/**
 * The truncated-log marker of a member whose log was cut for damage after its entries had been
 * acknowledged.
 *
 * Until the log is as long as before, an entry that this disk helped to commit may be missing from
 * a majority of the other disks. So this member behaves in elections as if it still had the entries
 * that it lost. The proof and the rules are in DESIGN.md, "Truncated logs".
 */
import { feature as faultPoint } from "bun:bundle";
import { maxIndex, minIndex } from "./indexes.ts";
import { type Raft, send } from "./state.ts";
import { INDEX_0, type LogEnd, type LogIndex, type NodeId, type Term } from "./types.ts";

export type TruncatedLogMarker = LogEnd & {
  /**
   * Commit index of the hard state. Membership changes up to it may have been applied. The entries
   * there may differ now, so the commit index itself is not acted upon.
   */
  readonly commit: LogIndex;
  /** The log is known to agree with a leader's log up to this index. */
  verified: LogIndex;
};

/** Tells whether this member may vote for a candidate whose log ends in (`index`, `term`). */
export const isAtOrAfterMarker = ({ marker }: Raft, index: LogIndex, term: Term): boolean =>
  faultPoint("marker-ignored-by-votes") ? true : marker === null || reaches(marker, index, term);

const reaches = (marker: LogEnd, index: LogIndex, term: Term): boolean =>
  term > marker.term || (term === marker.term && index >= marker.index);

/**
 * Records that an append of the leader matched up to `upTo`. The marker holds this index, since the
 * log may be shorter than what was cut off.
 */
export function verified({ marker }: Raft, upTo: LogIndex): void {
  if (marker !== null) marker.verified = maxIndex(marker.verified, upTo);
}

/** Tells the leader where this log ends now, since the leader may count entries that were lost. */
export function reportLoss(raft: Raft, to: NodeId): void {
  if (raft.marker === null) return;
  const { lastIndex, lastTerm } = raft.log;
  const hint = { rejected: INDEX_0, hintIndex: lastIndex, hintTerm: lastTerm, lost: true };
  const { id: from, term } = raft;
  send(raft, { type: "append_response", from, to, term, accepted: false, ...hint });
}

/** Returns the commit index that a restart must not fall behind. */
export const commitToKeep = ({ log, marker }: Raft): LogIndex =>
  marker === null ? log.commit : maxIndex(log.commit, marker.commit);

/**
 * Removes the marker when two conditions hold.
 *
 * - This disk has a leader's log up to the marker, and so every committed entry that it ever
 * acknowledged.
 * - The commit index is at least the one that the hard state had.
 */
export function maybeRemoveMarker(raft: Raft): void {
  const { marker, log } = raft;
  if (marker === null || log.commit < marker.commit) return;
  const verified = maxIndex(marker.verified, log.commit);
  const end = faultPoint("marker-removed-by-length") ? log.lastIndex : verified;
  const held = minIndex(end, log.durable);
  const term = log.termAt(held);
  if (term !== undefined && reaches(marker, held, term)) raft.marker = null;
}
