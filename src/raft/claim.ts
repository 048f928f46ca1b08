/**
 * A log whose end was lost to damage after it had been acknowledged. Until it is as long again, an
 * entry that was committed by this disk may be on no other disk of a majority, so this member
 * behaves in elections as if it still had all that it lost. Proof and duties: DESIGN.md, "Lost ends".
 */
import { maxIndex, minIndex } from "./indexes.ts";
import { type Raft, send } from "./state.ts";
import { INDEX_0, type LogClaim, type LogIndex, type NodeId, type Term } from "./types.ts";

export type Claim = LogClaim & {
  /**
   * Commit index of the hard state. What lies there now may be another entry, so it is not acted
   * upon; but membership changes up to it may have been.
   */
  readonly commit: LogIndex;
  /** Up to here the log was found to be that of a leader. */
  verified: LogIndex;
};

/** Whether a log that ends in (`index`, `term`) may be elected by this member. */
export const isAtOrAfterClaim = ({ claim }: Raft, index: LogIndex, term: Term): boolean =>
  claim === null || reaches(claim, index, term);

const reaches = (claim: LogClaim, index: LogIndex, term: Term): boolean =>
  term > claim.term || (term === claim.term && index >= claim.index);

/** An append by the leader fitted. What it cut off was longer than the log is now. */
export function verified({ claim }: Raft, upTo: LogIndex): void {
  if (claim !== null) claim.verified = maxIndex(claim.verified, upTo);
}

/** Tells the leader where this log ends now: it may count on more. */
export function reportLoss(raft: Raft, to: NodeId): void {
  if (raft.claim === null) return;
  const { lastIndex, lastTerm } = raft.log;
  const hint = { rejected: INDEX_0, hintIndex: lastIndex, hintTerm: lastTerm, lost: true };
  const { id: from, term } = raft;
  send(raft, { type: "append_response", from, to, term, accepted: false, ...hint });
}

/** The commit index that a restart must not fall behind. */
export const commitToKeep = ({ log, claim }: Raft): LogIndex =>
  claim === null ? log.commit : maxIndex(log.commit, claim.commit);

/**
 * The claim ends when this disk holds a leader's log up to it, and with it every committed entry
 * that was ever acknowledged here; and when all is known to be committed that was known before.
 */
export function maybeReleaseClaim(raft: Raft): void {
  const { claim, log } = raft;
  if (claim === null || log.commit < claim.commit) return;
  const held = minIndex(maxIndex(claim.verified, log.commit), log.durable);
  const term = log.termAt(held);
  if (term !== undefined && reaches(claim, held, term)) raft.claim = null;
}
