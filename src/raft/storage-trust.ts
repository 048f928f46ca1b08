/**
 * The safety rules of storage ids: whose messages are heard, and whose votes count.
 *
 * The proof of Raft assumes that a member never forgets a vote or an entry that it acknowledged. A
 * member that returns with another data directory has forgotten both. So a member is its id and its
 * storage id. The log records the storage id of each member, and a member with another one stays
 * out until it is removed and added again.
 */
import { feature as faultPoint } from "bun:bundle";
import type { Message, VoteResponse } from "./types.ts";

export type StorageJudgement =
  | "accepted"
  /** The peer may have a newer membership, but it did not authenticate. */
  | "unproven"
  /** The peer's data directory is not the one that the log records. */
  | "replaced";

/**
 * Judges the storage id that a peer shows in a handshake.
 *
 * A peer that is ahead may be right although its storage id differs, because this log may lack the
 * change that added the peer with that storage id. Anyone can say that it is ahead, so this counts
 * only if the peer proved by certificate or secret that it is a node of this cluster.
 */
export function judgeStorage(peer: {
  /** The storage id by the log of this node; null if the log has none. */
  readonly recorded: string | null;
  readonly shown: string;
  /** The peer knows the membership of an index that this node has not applied. */
  readonly isAhead: boolean;
  /** The peer is authenticated by certificate or secret. */
  readonly proven: boolean;
}): StorageJudgement {
  if (peer.recorded === null || peer.recorded === peer.shown) return "accepted";
  if (!peer.isAhead) return faultPoint("amnesia-allowed") ? "accepted" : "replaced";
  return peer.proven ? "accepted" : "unproven";
}

export const isGrantedVote = (message: Message): message is VoteResponse =>
  (message.type === "vote_response" || message.type === "pre_vote_response") && message.granted;

/**
 * Tells whether a granted vote counts: only if the voter's storage id, as shown in its last
 * handshake, is the one that the log records. Any other data directory may have voted for another
 * candidate of this term and forgotten it. Bootstrap records the storage ids of the first members, so
 * that their votes count from the first election on.
 *
 * @param recorded the storage id by the log of this node; null if the log has none.
 * @param shown the storage id in the last handshake; null if there was none.
 */
export function countsVote(recorded: string | null, shown: string | null): boolean {
  if (faultPoint("disk-is-known-when-applied")) return true;
  if (faultPoint("vote-of-an-unknown-disk-counts") && recorded === null) return true;
  return recorded !== null && recorded === shown;
}
