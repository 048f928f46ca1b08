import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { ConsumeReject, PartitionRef, Result, WriteReject } from "./api.ts";

/** Groups whose members share partitions. Only the leader does it, except for `describe` and `list`. */
export interface GroupsApi {
  join(request: JoinGroupRequest): Promise<Result<GroupJoined, JoinGroupReject>>;
  /** Returns records of the partitions of a member, or waits for them. It renews the lease. */
  read(request: MemberReadRequest): Promise<Result<MemberPage, MemberReadReject>>;
  commit(request: MemberCommitRequest): Promise<Result<MemberCommits, MemberCommitReject>>;
  leave(member: MemberRef): Promise<Result<object, MemberWriteReject>>;
  seek(request: SeekGroupRequest): Promise<Result<{ offsets: readonly Sought[] }, SeekReject>>;
  /** Topics that the member has joined with; empty if it is not a member. */
  topicsOfMember(member: MemberRef): MaybePromise<readonly string[]>;
  /** The group as far as this node knows; null if it does not know it. */
  describe(group: string): Promise<GroupDescription | null>;
  /** One entry for each topic that a group has joined or committed in. */
  list(): MaybePromise<readonly GroupTopic[]>;
}

export type MemberRef = { readonly group: string; readonly member: string };

export type JoinGroupRequest = MemberRef & {
  /** Without duplicates. */
  readonly topics: readonly string[];
  readonly leaseMs: number;
};
/** A partition that a member owns. */
export type OwnedPartition = PartitionRef & {
  readonly generation: number;
  /** The offset that the next read returns. */
  readonly nextOffset: number;
};
export type GroupJoined = {
  readonly leaseUntilMs: number;
  readonly assigned: readonly OwnedPartition[];
};

export type MemberReadRequest = MemberRef & {
  readonly limit: number;
  /** Bytes of keys, values and headers. A single larger record is returned alone. */
  readonly maxBytes: number;
  readonly waitMs: number;
  /** The index up to which a follower that forwards the read had applied when it came. */
  readonly appliedIndex?: number;
  /** Aborted when the client has disconnected or the server stops. */
  readonly signal: AbortSignal;
};
/** Records of one partition: those from `startOffset` up to `nextOffset`. */
export type MemberRecords = PartitionRef & {
  readonly topicId: number;
  readonly startOffset: number;
  readonly nextOffset: number;
  /** Whole batches that contain the records. */
  readonly slices: readonly Uint8Array[];
};
export type MemberPage = {
  readonly records: readonly MemberRecords[];
  /** Behind the records of this page, and behind those of each revoked partition. */
  readonly positions: readonly OwnedPartition[];
  readonly assigned: readonly OwnedPartition[];
  /** Partitions that go to another member after the next commit. */
  readonly revoked: readonly PartitionRef[];
  readonly leaseUntilMs: number;
  /**
   * Only on a page that gives and tells nothing: the member has joined by this index, and the node
   * to which the read came had not applied it then. The read may be older than the join.
   */
  readonly joinedIndex?: number;
};

export type MemberCommitRequest = MemberRef & {
  readonly offsets: readonly (PartitionRef & {
    readonly generation: number;
    readonly offset: number;
  })[];
};
export type MemberCommit = PartitionRef &
  (
    | { readonly ok: true; readonly committedOffset: number; readonly clamped: boolean }
    | { readonly ok: false; readonly code: "topic_not_found" | "partition_not_found" }
    /** @property owner null if no member owns the partition. */
    | { readonly ok: false; readonly code: "fenced"; readonly owner: string | null }
  );
export type MemberCommits = {
  readonly leaseUntilMs: number;
  /** One for each offset, in the same order. */
  readonly results: readonly MemberCommit[];
};

export type SeekGroupRequest = {
  readonly group: string;
  /** Null: all topics that the group has joined or committed in. */
  readonly topic: string | null;
  /** Null: all partitions. */
  readonly partition: number | null;
  readonly to: "earliest" | "latest" | { readonly timeMs: number } | { readonly offset: number };
};
/** @property clamped the offset that was asked for is beyond the end. */
export type Sought = PartitionRef & {
  readonly committedOffset: number;
  readonly clamped: boolean;
};

export type GroupMemberDescription = {
  readonly member: string;
  readonly leaseUntilMs: number;
  readonly leaseMs: number;
  readonly topics: readonly string[];
  /** Number of partitions that it owns. */
  readonly partitions: number;
};
export type GroupPartition = PartitionRef & {
  readonly owner: string | null;
  /** The member that the owner has to give the partition up for. Null if that is not the case. */
  readonly next: string | null;
  readonly generation: number;
  readonly committedOffset: number | null;
  readonly lag: number;
  /** Age of the first record that is not worked off. Null if it is not known. */
  readonly lagSeconds: number | null;
};
export type GroupDescription = {
  readonly members: readonly GroupMemberDescription[];
  readonly partitions: readonly GroupPartition[];
};
export type GroupTopic = {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  readonly lag: number;
  /** Members of the group that have joined with the topic. */
  readonly members: number;
};

export type MemberWriteReject = WriteReject | "cluster_not_upgraded" | "not_a_member";
export type JoinGroupReject =
  | WriteReject
  | "cluster_not_upgraded"
  | "topic_not_found"
  | "too_many_groups"
  | "too_many_members"
  | "too_many_group_partitions";
export type MemberReadReject = MemberWriteReject | "data_damaged";
export type MemberCommitReject = MemberWriteReject | "too_many_offsets";
export type SeekReject =
  | Exclude<ConsumeReject, "offset_out_of_range">
  | WriteReject
  | "cluster_not_upgraded"
  | "group_not_found"
  | "too_many_offsets";
export type GroupRejectCode = JoinGroupReject | MemberReadReject | MemberCommitReject | SeekReject;
