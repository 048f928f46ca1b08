/** Handles messages to a candidate or pre-candidate. */
import { campaign, countBallot, nextTerm } from "./election.ts";
import { obeyLeader } from "./follower.ts";
import { becomeLeader } from "./leader.ts";
import { becomeFollower, type Candidate, type Raft } from "./state.ts";
import type { Message, VoteResponse } from "./types.ts";

export function stepCandidate(raft: Raft, candidate: Candidate, message: Message): void {
  switch (message.type) {
    case "append_request":
    case "heartbeat":
    case "snapshot_offer":
      // Another member won the election of this term.
      raft.failedRounds = 0;
      becomeFollower(raft, message.term, message.from);
      obeyLeader(raft, message);
      return;
    case "vote_response":
      if (candidate.name === "candidate") stepBallot(raft, candidate, message);
      return;
    case "pre_vote_response":
      // A pre-vote grant for an earlier term does not count for the next one.
      if (candidate.name !== "pre_candidate") return;
      if (message.granted && message.term !== nextTerm(raft)) return;
      stepBallot(raft, candidate, message);
      return;
    default:
    // A candidate ignores all other messages.
  }
}

function stepBallot(raft: Raft, candidate: Candidate, message: VoteResponse): void {
  settle(raft, candidate, countBallot(raft, candidate, message.from, message.granted));
}

/** Counts this node's own vote, which is valid only once it is durable. */
export function stepOwnVoteDurable(raft: Raft, candidate: Candidate): void {
  settle(raft, candidate, countBallot(raft, candidate, raft.id, true));
}

function settle(raft: Raft, candidate: Candidate, result: ReturnType<typeof countBallot>): void {
  if (result === "lost") {
    becomeFollower(raft, raft.term, null);
    return;
  }
  if (result === "pending") return;
  if (candidate.name === "pre_candidate") campaign(raft, "real");
  else becomeLeader(raft);
}
