/** Campaigns: which members may campaign, and which messages they send. */
import { feature as faultPoint } from "bun:bundle";
import { incomingOnly } from "./faults.ts";
import { isVoter, membersOf } from "./membership.ts";
import { NUMBER_MAX } from "./number-bounds.ts";
import { jointVote, type VoteResult } from "./quorum.ts";
import { becomeFollower, type Candidate, changeRole, enterTerm, type Raft, send } from "./state.ts";
import { type LogIndex, type Message, TERM_0, type Term } from "./types.ts";

/**
 * `pre` is a pre-vote, which starts no new term. `transfer` is ordered by the leader and ignores
 * leases.
 */
export type CampaignKind = "pre" | "real" | "transfer";

/**
 * Tells whether this member may campaign. It must be a voter, have no truncated-log marker, and not
 * be installing a snapshot, whose membership may differ.
 */
export function isPromotable(raft: Raft): boolean {
  const { configuration, id, log, marker } = raft;
  // A campaign needs a next term, and its first entry needs a next index.
  if (raft.term >= NUMBER_MAX || log.lastIndex >= NUMBER_MAX) return false;
  if (!isVoter(configuration, id) && !faultPoint("removed-node-votes")) return false;
  if (marker !== null && !faultPoint("truncated-node-campaigns")) return false;
  return log.pendingSnapshot === null;
}

/**
 * Campaigns, unless this member is the leader, is not promotable, was told to pause campaigns, or
 * has a committed membership change that is not applied yet.
 */
export function maybeCampaign(raft: Raft, kind: CampaignKind): void {
  if (raft.role.name === "leader" || raft.holdTicks > 0 || !isPromotable(raft)) return;
  const change = raft.log.nextConfChange(raft.log.applied);
  if (change !== undefined && change <= raft.log.commit) return;
  raft.failedRounds++;
  campaign(raft, kind);
}

/**
 * Becomes a (pre-)candidate and requests votes from all voters of both halves of the configuration.
 */
export function campaign(raft: Raft, kind: CampaignKind): void {
  const candidate: Candidate = {
    name: kind === "pre" ? "pre_candidate" : "candidate",
    ballots: new Map(),
  };
  if (kind !== "pre") {
    enterTerm(raft, nextTerm(raft));
    raft.vote = raft.id;
  }
  changeRole(raft, candidate);
  for (const id of membersOf(raft.configuration)) {
    if (id === raft.id || !isVoter(raft.configuration, id)) continue;
    send(raft, voteRequest(raft, id, kind));
  }
  // A pre-vote promises nothing, so this node's own counts before it is durable. A sole voter wins
  // at once.
  if (kind === "pre" && countBallot(raft, candidate, raft.id, true) === "won") {
    campaign(raft, "real");
  }
}

/**
 * Returns the term of the next campaign. The log may have a later term than the hard state, and
 * terms must not descend.
 */
export const nextTerm = ({ term, log }: Raft): Term => Math.max(term + 1, log.lastTerm) as Term;

const voteRequest = (raft: Raft, to: Message["to"], kind: CampaignKind): Message => ({
  type: kind === "pre" ? "pre_vote_request" : "vote_request",
  from: raft.id,
  to,
  term: kind === "pre" ? nextTerm(raft) : raft.term,
  lastIndex: raft.log.lastIndex,
  lastTerm: raft.log.lastTerm,
  transfer: kind === "transfer",
  ...commitHint(raft),
});

export function commitHint({ log }: Raft): { commit: LogIndex; commitTerm: Term } {
  // While a snapshot is being installed, terms of older indexes are unknown.
  return { commit: log.commit, commitTerm: log.termAt(log.commit) ?? TERM_0 };
}

/**
 * Learns a commit index from a vote message. This is needed if the membership in force prevents the
 * election: a node that does not know that a change is committed may need votes of members that
 * have applied the change and left. They refuse, and the refusal carries the commit index (etcd
 * issue 12359; raft-rs has the same remedy). This is safe, because a committed entry is the same on
 * every node.
 */
export function learnCommit(raft: Raft, hint: { commit: LogIndex; commitTerm: Term }): void {
  const { log } = raft;
  if (!(hint.commit > log.commit) || raft.role.name === "leader") return;
  if (!log.matches(hint.commit, hint.commitTerm)) return;
  log.commitTo(hint.commit);
  const change = log.nextConfChange(log.applied);
  if (raft.role.name === "follower" || change === undefined || change > log.commit) return;
  // The quorum of an election must not change while the election is in progress.
  becomeFollower(raft, raft.term, null);
}

/** Counts the first ballot of each member and ignores later ones. */
export function countBallot(
  raft: Raft,
  candidate: Candidate,
  from: Message["from"],
  granted: boolean,
): VoteResult {
  if (!candidate.ballots.has(from)) candidate.ballots.set(from, granted);
  const { configuration } = raft;
  const sets = faultPoint("elected-by-one-half") ? incomingOnly(configuration) : configuration;
  return jointVote(sets, (id) => candidate.ballots.get(id));
}
