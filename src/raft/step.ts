/** Handles a message from a peer: first its term, then votes, then the role. */
import { feature as faultPoint } from "bun:bundle";
import { stepCandidate } from "./candidate.ts";
import { commitHint, learnCommit } from "./election.ts";
import { hasPriority } from "./faults.ts";
import { stepFollower } from "./follower.ts";
import { stepLeader } from "./leader.ts";
import { hasExactNumbers } from "./number-bounds.ts";
import { becomeFollower, leaderOf, type Raft, send } from "./state.ts";
import { isAtOrAfterMarker } from "./truncated-log.ts";
import type { Message, VoteRequest, VoteResponse } from "./types.ts";

/**
 * The largest jump of the term that one message may cause. At one election per second it takes 136
 * years.
 */
const TERM_LEAP_MAX = 2 ** 32;

export function stepMessage(raft: Raft, message: Message): void {
  if (!hasExactNumbers(message)) return;
  // Terms end at 2^53 - 1. A message with a term near that would make further elections impossible
  // on every disk.
  if (message.term > raft.term + TERM_LEAP_MAX) return;
  if (isVote(message)) learnCommit(raft, message);
  if (message.term < raft.term) {
    answerStale(raft, message);
    return;
  }
  if (message.term > raft.term && !meetHigherTerm(raft, message)) return;
  if (message.type === "vote_request" || message.type === "pre_vote_request") {
    stepVoteRequest(raft, message);
    return;
  }
  const { role } = raft;
  switch (role.name) {
    case "follower":
      stepFollower(raft, role, message);
      return;
    case "leader":
      stepLeader(raft, role, message);
      return;
    case "pre_candidate":
    case "candidate":
      stepCandidate(raft, role, message);
      return;
  }
}

const isVote = (message: Message): message is VoteRequest | VoteResponse =>
  message.type === "vote_request" ||
  message.type === "pre_vote_request" ||
  message.type === "vote_response" ||
  message.type === "pre_vote_response";

/** @returns false if the message must be ignored. */
function meetHigherTerm(raft: Raft, message: Message): boolean {
  switch (message.type) {
    case "vote_request":
      if (isLeased(raft) && !message.transfer) return false;
      becomeFollower(raft, message.term, null);
      return true;
    case "pre_vote_request":
      // A pre-vote request does not change the receiver's term.
      return message.transfer || !isLeased(raft);
    case "pre_vote_response":
      // A pre-vote grant carries the requested term; a refusal carries the refuser's own term.
      if (!message.granted) becomeFollower(raft, message.term, null);
      return true;
    case "append_request":
    case "heartbeat":
    case "snapshot_offer":
      raft.failedRounds = 0;
      becomeFollower(raft, message.term, message.from);
      return true;
    default:
      becomeFollower(raft, message.term, null);
      return true;
  }
}

/**
 * Tells whether the lease of a leader is valid: one was heard from within the minimum election
 * timeout. A candidate that did not hear from it is partitioned or removed and must not disrupt the
 * Raft group (dissertation 4.2.3).
 */
function isLeased(raft: Raft): boolean {
  if (faultPoint("stickiness-off")) return false;
  return (
    raft.settings.checkQuorum &&
    leaderOf(raft) !== null &&
    raft.electionElapsed < raft.settings.electionTimeoutTicks
  );
}

/**
 * Answers a message of a lower term. A node that returned with a higher term may be unable to force
 * an election: pre-vote and check-quorum prevent it, and a learner never campaigns. So a leader of
 * a lower term is told the current term (paper 5.1), and so is a pre-candidate.
 */
function answerStale(raft: Raft, message: Message): void {
  const { id: from, term } = raft;
  const to = message.from;
  switch (message.type) {
    case "append_request":
    case "heartbeat":
      send(raft, {
        type: "append_response",
        from,
        to,
        term,
        accepted: true,
        match: 0 as typeof raft.log.commit,
      });
      return;
    case "pre_vote_request":
      send(raft, {
        type: "pre_vote_response",
        from,
        to,
        term,
        granted: false,
        ...commitHint(raft),
      });
      return;
    default:
    // Other messages of earlier terms are ignored.
  }
}

/**
 * Votes once per term, and only for a log that is at least as complete as this one (paper 5.2,
 * 5.4.1). Learners vote too when asked, because the candidate may know better than this node that
 * it is a voter by now.
 */
function stepVoteRequest(raft: Raft, message: VoteRequest): void {
  const isPre = message.type === "pre_vote_request";
  const mayVote =
    (faultPoint("two-votes-in-a-term") ? !isPre : raft.vote === message.from) ||
    (raft.vote === null && leaderOf(raft) === null) ||
    (isPre && message.term > raft.term);
  const { lastIndex, lastTerm } = message;
  const isComplete =
    raft.log.isUpToDate(lastIndex, lastTerm) && isAtOrAfterMarker(raft, lastIndex, lastTerm);
  let granted = mayVote && isComplete;
  if (faultPoint("vote-ignores-log")) granted = mayVote;
  if (faultPoint("prevote-ignores-log") && isPre) granted = mayVote;
  if (faultPoint("priority-overrides-log-check") && hasPriority(raft, message.from))
    granted = mayVote;
  if (granted && !isPre) {
    raft.electionElapsed = 0;
    raft.vote = message.from;
  }
  send(raft, {
    type: isPre ? "pre_vote_response" : "vote_response",
    from: raft.id,
    to: message.from,
    // A grant carries the term that it is for. For a pre-vote that is not this node's term.
    term: granted ? message.term : raft.term,
    granted,
    ...commitHint(raft),
  });
}
