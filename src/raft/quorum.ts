/**
 * Quorum arithmetic for majority and joint configurations. Pure functions; an empty half is
 * ignored.
 */
import { minIndex } from "./indexes.ts";
import type { LogIndex, NodeId } from "./types.ts";

export type VoteResult = "won" | "lost" | "pending";

/** The index that an empty set of voters commits, so that `min` over both halves ignores it. */
export const INDEX_MAX = Number.MAX_SAFE_INTEGER as LogIndex;

/** The two halves of a configuration that quorums are computed over. */
export type VoterSets = {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
};

/** Returns the highest index that a majority of `voters` has. */
export function majorityIndex(
  voters: readonly NodeId[],
  matchOf: (id: NodeId) => number,
): LogIndex {
  const count = voters.length;
  if (count === 0) return INDEX_MAX;
  const first = matchOf(voters[0] as NodeId);
  if (count === 1) return first as LogIndex;
  // Insertion sort, because Raft groups are small and this runs once per response.
  const matches: number[] = [first];
  for (let i = 1; i < count; i++) {
    const match = matchOf(voters[i] as NodeId);
    let at = i;
    for (; at > 0 && (matches[at - 1] as number) > match; at--) {
      matches[at] = matches[at - 1] as number;
    }
    matches[at] = match;
  }
  return matches[count - (Math.floor(count / 2) + 1)] as LogIndex;
}

/** Returns the highest index that majorities of both halves have. */
export function jointIndex(sets: VoterSets, matchOf: (id: NodeId) => number): LogIndex {
  const incoming = majorityIndex(sets.voters, matchOf);
  if (sets.votersOutgoing.length === 0) return incoming;
  const outgoing = majorityIndex(sets.votersOutgoing, matchOf);
  return minIndex(incoming, outgoing);
}

/**
 * @param ballotOf returns true for a grant, false for a refusal, undefined if there was no
 * response.
 */
export function majorityVote(
  voters: readonly NodeId[],
  ballotOf: (id: NodeId) => boolean | undefined,
): VoteResult {
  if (voters.length === 0) return "won";
  const needed = Math.floor(voters.length / 2) + 1;
  let yes = 0;
  let missing = 0;
  for (const id of voters) {
    const ballot = ballotOf(id);
    if (ballot === undefined) missing++;
    else if (ballot) yes++;
  }
  if (yes >= needed) return "won";
  return yes + missing >= needed ? "pending" : "lost";
}

/** Returns "won" only if both halves won, and "lost" if either half lost. */
export function jointVote(
  sets: VoterSets,
  ballotOf: (id: NodeId) => boolean | undefined,
): VoteResult {
  const incoming = majorityVote(sets.voters, ballotOf);
  const outgoing = majorityVote(sets.votersOutgoing, ballotOf);
  if (incoming === outgoing) return incoming;
  return incoming === "lost" || outgoing === "lost" ? "lost" : "pending";
}
