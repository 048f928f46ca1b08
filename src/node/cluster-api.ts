import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { Result, WriteReject } from "./api.ts";

/** The members of the cluster and its leader. */
export interface ClusterApi {
  membership(): MaybePromise<Membership>;
  addMember(request: AddMemberRequest): Promise<Result<object, MemberReject>>;
  promoteMember(nodeId: string): Promise<Result<object, MemberReject>>;
  removeMember(nodeId: string): Promise<Result<object, MemberReject>>;
  /** @param nodeId the new leader. Null: the voter with most of the log. */
  transferLeadership(nodeId: string | null): MaybePromise<Result<{ target: string }, MemberReject>>;
}

export type MemberReject =
  | WriteReject
  | "member_exists"
  | "member_not_found"
  | "not_caught_up"
  | "change_in_progress"
  | "last_voter";

export type AddMemberRequest = {
  readonly nodeId: string;
  readonly host: string;
  readonly raftPort: number;
  /** Null: the Raft port plus one. */
  readonly httpPort: number | null;
  readonly priority: number | null;
};

export type MembershipNode = {
  readonly index: number;
  readonly nodeId: string;
  /** `host:port` for Raft and for HTTP. Empty if it is not known. */
  readonly advertiseAddr: string;
  readonly httpAddr: string;
  readonly priority: number;
  readonly isVoter: boolean;
  readonly isLearner: boolean;
  readonly role: "leader" | "follower" | "learner";
  /** Last log index on the member's disk, as far as known. Null if only the leader knows it. */
  readonly matchIndex: number | null;
  readonly healthy: boolean;
};

export type Membership = {
  /** Number of changes that this node has seen since its start. */
  readonly epoch: number;
  readonly jointActive: boolean;
  readonly nodes: readonly MembershipNode[];
  readonly leaderId: string | null;
  readonly term: number;
};
