/** The candidate and the pre-candidate. */
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
      // Someone else won this term.
      raft.failedRounds = 0;
      becomeFollower(raft, message.term, message.from);
      obeyLeader(raft, message);
      return;
    case "vote_response":
      if (candidate.name === "candidate") stepBallot(raft, candidate, message);
      return;
    case "pre_vote_response":
      // A grant that is late, for a term that came and went, is no consent to a further one.
      if (candidate.name !== "pre_candidate") return;
      if (message.granted && message.term !== nextTerm(raft)) return;
      stepBallot(raft, candidate, message);
      return;
    default:
    // Nothing else means anything to a candidate.
  }
}

function stepBallot(raft: Raft, candidate: Candidate, message: VoteResponse): void {
  settle(raft, candidate, countBallot(raft, candidate, message.from, message.granted));
}

/** The disk has this node's own vote: only now it counts. */
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
