/** Campaigns: who may stand, and what standing sends. */
import { isVoter, membersOf } from "./membership.ts";
import { NUMBER_MAX } from "./number-bounds.ts";
import { jointVote, type VoteResult } from "./quorum.ts";
import { becomeFollower, type Candidate, changeRole, enterTerm, type Raft, send } from "./state.ts";
import { type LogIndex, type Message, TERM_0, type Term } from "./types.ts";

/** `pre`: ask first, in no new term. `transfer`: by order of the leader, against all leases. */
export type CampaignKind = "pre" | "real" | "transfer";

/** Voters stand, unless they lost what they had or know of a membership that may be out of date. */
export function isPromotable(raft: Raft): boolean {
  const { configuration, id, log, claim } = raft;
  // There must be a further term to stand in, and a further index for the first entry of it.
  if (raft.term >= NUMBER_MAX || log.lastIndex >= NUMBER_MAX) return false;
  return isVoter(configuration, id) && log.pendingSnapshot === null && claim === null;
}

/**
 * Campaigns unless leader already, not promotable, told to hold still, or with committed membership
 * changes to apply.
 */
export function maybeCampaign(raft: Raft, kind: CampaignKind): void {
  if (raft.role.name === "leader" || raft.holdTicks > 0 || !isPromotable(raft)) return;
  const change = raft.log.nextConfChange(raft.log.applied);
  if (change !== undefined && change <= raft.log.commit) return;
  raft.failedRounds++;
  campaign(raft, kind);
}

/** Becomes a (pre-)candidate and asks all voters of both halves. */
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
  // A pre-vote promises nothing, so this node's own needs no disk; a group of one is through.
  if (kind === "pre" && countBallot(raft, candidate, raft.id, true) === "won") {
    campaign(raft, "real");
  }
}

/** The term to stand in. A log may begin in a later one than the hard state: terms never descend. */
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
  // While a snapshot is installed nobody could follow the term of an older index.
  return { commit: log.commit, commitTerm: log.termAt(log.commit) ?? TERM_0 };
}

/**
 * Votes tell of commits, for the case that the membership in force *is* the obstacle. A node that
 * does not know yet that a change is committed may need votes of members who, knowing it, have
 * left; they refuse, but in the refusal is what it needs to know (etcd issue 12359; the remedy is
 * that of raft-rs). It is always safe: an entry that is committed here and there is the same.
 */
export function learnCommit(raft: Raft, hint: { commit: LogIndex; commitTerm: Term }): void {
  const { log } = raft;
  if (!(hint.commit > log.commit) || raft.role.name === "leader") return;
  if (!log.matches(hint.commit, hint.commitTerm)) return;
  log.commitTo(hint.commit);
  const change = log.nextConfChange(log.applied);
  if (raft.role.name === "follower" || change === undefined || change > log.commit) return;
  // The quorum of an election must not change under way.
  becomeFollower(raft, raft.term, null);
}

/** The first ballot of a member counts. */
export function countBallot(
  raft: Raft,
  candidate: Candidate,
  from: Message["from"],
  granted: boolean,
): VoteResult {
  if (!candidate.ballots.has(from)) candidate.ballots.set(from, granted);
  return jointVote(raft.configuration, (id) => candidate.ballots.get(id));
}
