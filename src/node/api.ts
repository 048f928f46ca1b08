import type { MaybePromise } from "../lib/maybe-promise.ts";
import type {
  GroupSample,
  HaSample,
  PartitionSample,
  ThreadSample,
  ViewSample,
} from "../metrics/sources.ts";
import type { EncodedRecords } from "../record/batch-builder.ts";
import type { StreamRejectCode } from "./stream-api.ts";

export type { JoinRules } from "../stream/join-rules.ts";
export type { JoinApiRequest, StreamApi, StreamRequest } from "./stream-api.ts";

/**
 * All that `http/` knows of the node. Names are plain strings that the edge has checked; numbers
 * are safe integers. A rejection is data; a promise rejects only when the node itself failed.
 */
export interface NodeApi {
  health(): MaybePromise<NodeHealth>;
  /** That of the last `health`, at once: it is at least as new as the last outcome of a call. */
  leaderUrl(): string | null;

  createTopic(topic: string, partitions: number): Promise<Result<TopicShape, CreateTopicReject>>;
  deleteTopic(topic: string): Promise<Result<object, WriteReject | "topic_not_found">>;
  listTopics(): MaybePromise<readonly TopicSummary[]>;
  /** As far as this node knows. */
  describeTopic(topic: string): MaybePromise<Result<TopicDescription, "topic_not_found">>;
  /** @returns null once this node knows all that was committed: what it does not find is not there. */
  doubt(): Promise<Rejected<"no_leader" | "no_quorum"> | null>;

  /**
   * @param request its records are given away.
   * @param done is called once, with the outcome: in the turn that knows it, where a promise for
   *   each request would cost more than the turn does for it. It must not throw.
   */
  produce(request: ProduceRequest, done: (outcome: ProduceOutcome) => void): void;
  consume(request: ConsumeRequest): Promise<Result<ConsumePage, ConsumeReject>>;
  /** The first record of each partition that is not older than a time. */
  offsetsAt(request: OffsetsAtRequest): Promise<Result<OffsetsAt, ConsumeReject>>;
  /**
   * Waits until the partition has a record at or after `offset`, at most `timeoutMs`, until the topic
   * is deleted, or until `signal` aborts. Never rejects; the caller consumes again and looks. Many waiters of one
   * partition share one wake-up.
   */
  waitForRecords(wait: RecordWait): Promise<void>;
  commitOffset(request: CommitRequest): Promise<Result<Committed, CommitReject>>;
  /** What all groups have committed, as far as this node knows. */
  listGroups(): MaybePromise<readonly GroupPosition[]>;
  /** Forgets what the group has committed in all topics. */
  deleteGroup(group: string): Promise<Result<{ offsets: number }, DeleteGroupReject>>;
  groupsOf(topic: string): MaybePromise<Result<{ groups: readonly GroupLag[] }, "topic_not_found">>;

  deleteBefore(
    request: PartitionRef & { beforeOffset: number },
  ): Promise<Result<Deleted, DeleteBeforeReject>>;
  setRetention(request: RetentionRequest): Promise<Result<object, RetentionReject>>;
  listRetention(): MaybePromise<readonly RetentionPolicy[]>;

  /** @param done as that of `produce`. */
  kvPut(request: KvPutRequest, done: (outcome: KvPutOutcome) => void): void;
  /** @returns a promise also if the leader has to confirm the read. */
  kvGet(request: KvGetRequest): MaybePromise<KvGetOutcome>;
  kvDelete(request: KvDeleteRequest): Promise<Result<KvDeleted & WriteAck, KvDeleteReject>>;
  kvList(request: KvListRequest): Promise<KvPage>;
  /** Those that hold a key, by name. */
  kvNamespaces(): MaybePromise<readonly KvNamespaceSummary[]>;

  /** Last fsynced log index. */
  lastSyncedIndex(): MaybePromise<number>;
  /** Takes a checkpoint now and lets go of what it makes unnecessary. */
  compact(): Promise<{ checkpointIndex: number; freedBytes: number }>;
  /** Takes a checkpoint that has everything acknowledged before the call, to be carried away. */
  beginBackup(): Promise<Result<{ readonly backup: Backup }, BackupReject>>;
}

/** Who belongs to the cluster and who leads it. */
export interface ClusterApi {
  membership(): MaybePromise<Membership>;
  addMember(request: AddMemberRequest): Promise<Result<object, MemberReject>>;
  promoteMember(nodeId: string): Promise<Result<object, MemberReject>>;
  removeMember(nodeId: string): Promise<Result<object, MemberReject>>;
  /** @param nodeId null: whoever is fit. */
  transferLeadership(nodeId: string | null): MaybePromise<Result<{ target: string }, MemberReject>>;
}

/** What a scrape asks for besides the above. */
export interface SampleApi {
  ha(): MaybePromise<HaSample>;
  /** The largest, and the sum of all others. */
  partitionSizes(): MaybePromise<readonly PartitionSample[]>;
  /** Those that lag most, and the sum of all others. */
  groupLags(): MaybePromise<readonly GroupSample[]>;
  viewLags(): MaybePromise<readonly ViewSample[]>;
  /** Of all threads but the asking one. */
  threads(): MaybePromise<readonly ThreadSample[]>;
}

export type Result<T, Code extends RejectCode> = ({ readonly ok: true } & T) | Rejected<Code>;

/** `details` holds the extra fields that CONTRACT names for a code, such as `end_offset`. */
export type Rejected<Code extends RejectCode = RejectCode> = {
  readonly ok: false;
  readonly code: Code;
  readonly message?: string;
  readonly details?: Readonly<Record<string, number | string | null>>;
};

/** Every write can meet these: nothing was done, except after `commit_timeout`. */
export type WriteReject =
  | "not_leader"
  | "no_leader"
  | "no_quorum"
  | "overloaded"
  | "shutting_down"
  | "disk_full"
  | "commit_timeout";
export type CreateTopicReject = WriteReject | "topic_exists" | "too_many_partitions";
export type ProduceReject =
  | WriteReject
  | "topic_not_found"
  | "partition_not_found"
  | "too_many_partitions"
  | "cluster_not_upgraded";
export type ConsumeReject =
  | "topic_not_found"
  | "partition_not_found"
  | "offset_out_of_range"
  | "data_damaged"
  | "no_leader"
  | "no_quorum"
  | "overloaded"
  | "shutting_down";
export type CommitReject =
  | WriteReject
  | "topic_not_found"
  | "partition_not_found"
  | "offset_out_of_range"
  | "too_many_groups"
  | "too_many_offsets";
export type DeleteGroupReject = WriteReject | "group_not_found";
export type Committed = {
  /** The one in force. */
  readonly committedOffset: number;
  /** The offset was beyond the end: the end was committed. */
  readonly clamped: boolean;
};
/** `data_damaged`: how much goes cannot be counted before a peer has brought the records back. */
export type DeleteBeforeReject =
  | Exclude<CommitReject, "too_many_groups" | "too_many_offsets">
  | "data_damaged";
export type RetentionReject = WriteReject | "topic_not_found" | "partition_not_found";
export type KvPutReject = WriteReject | "cas_mismatch" | "kv_full" | "too_many_namespaces";
export type KvPutOutcome = Result<KvWritten & WriteAck, KvPutReject>;
export type KvGetOutcome = Result<KvValue, KvGetReject>;
export type KvDeleteReject = WriteReject | "cas_mismatch";
export type BackupReject = "no_leader" | "no_quorum" | "overloaded" | "disk_full";
export type MemberReject =
  | WriteReject
  | "member_exists"
  | "member_not_found"
  | "not_caught_up"
  | "change_in_progress"
  | "last_voter";
/** `details.expired` is 1 where the key expired within the last minute. */
export type KvGetReject = "not_found" | "no_leader" | "no_quorum" | "overloaded" | "shutting_down";
export type RejectCode =
  | CreateTopicReject
  | ProduceReject
  | ConsumeReject
  | CommitReject
  | DeleteGroupReject
  | KvPutReject
  | KvGetReject
  | MemberReject
  | StreamRejectCode;

export type NodeHealth = {
  readonly ready: boolean;
  /** Why not, for people. Empty when ready. */
  readonly reason: string;
  readonly role: "leader" | "follower" | "candidate" | "learner";
  readonly nodeId: string;
  readonly leaderId: string | null;
  /** `http://host:port` of the leader as the topology knows it, if it is another node. */
  readonly leaderUrl: string | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly durableIndex: number;
};

export type PartitionRef = { readonly topic: string; readonly partition: number };
export type TopicShape = { readonly topic: string; readonly partitions: number };
export type TopicSummary = TopicShape & { readonly messages: number; readonly bytes: number };
export type PartitionDescription = {
  readonly partition: number;
  readonly lowWatermark: number;
  readonly endOffset: number;
  /** Keys and values that are kept, without framing. */
  readonly bytes: number;
};
export type GroupLag = {
  readonly group: string;
  readonly partition: number;
  readonly committedOffset: number;
  readonly lag: number;
};
export type GroupPosition = GroupLag & { readonly topic: string };
export type TopicDescription = TopicShape & {
  readonly partitionList: readonly PartitionDescription[];
  readonly groups: readonly GroupLag[];
};

/** How a write was acknowledged. `synced` false: `timeoutMs` passed first; the write goes on. */
export type WriteAck = {
  /** Index of the log entry; 0 in rocket mode. */
  readonly batchId: number;
  /** True: proven on the disks of the write concern. Null: nothing was waited for. */
  readonly synced: boolean | null;
  /** Nodes that had fsynced the entry when this was answered. */
  readonly ackedBy: number;
};

export type ProduceRequest = {
  readonly topic: string;
  /** Null: by hash of `key`, else of `idempotencyKey`, else round robin. */
  readonly partition: number | null;
  readonly key: Uint8Array | null;
  /** 1…512 bytes. */
  readonly idempotencyKey: Uint8Array | null;
  readonly records: EncodedRecords;
  /** Null: the server's own deadline, which rejects with `commit_timeout`. */
  readonly timeoutMs: number | null;
  /** Answer from memory at once. */
  readonly rocket: boolean;
  /** The headers `traceparent` and `tracestate` of the records came with the request itself. */
  readonly traced?: boolean;
};
export type Produced = WriteAck & {
  readonly partition: number;
  readonly firstOffset: number;
  readonly count: number;
  readonly duplicate: boolean;
  /** False: a duplicate whose payload differs from that of the first write. */
  readonly payloadMatches: boolean;
  /** False: not known to be committed yet; of a duplicate, that holds for the first write. */
  readonly committed: boolean;
  /** Waited for the batch to close, and then for its sync and commit, in microseconds. */
  readonly queueUs: number;
  readonly syncWaitUs: number;
};
export type ProduceOutcome = Result<Produced, ProduceReject>;

export type ConsumeRequest = PartitionRef & {
  readonly group: string;
  /** Null: the group's committed offset, else the first kept one. */
  readonly offset: number | null;
  /**
   * `ConsumePage.topicId` of the page before, for a reader that goes on: if the topic was deleted and
   * created again since, the read is refused with `offset_out_of_range`. Absent: any topic of the name.
   */
  readonly topicId?: number | null;
  readonly limit: number;
  /** Keys and values; a single larger record is returned alone. */
  readonly maxBytes: number;
  readonly linearizable: boolean;
};
export type OffsetsAtRequest = {
  readonly topic: string;
  /** Null: all partitions. */
  readonly partition: number | null;
  readonly timeMs: number;
  readonly linearizable: boolean;
};
export type OffsetAt = {
  readonly partition: number;
  /** The end if all records are older. */
  readonly offset: number;
  /** Time of the record at the offset; null at the end. */
  readonly timestampMs: number | null;
};
export type OffsetsAt = { readonly topicId: number; readonly offsets: readonly OffsetAt[] };
export type ConsumePage = {
  /**
   * Whole batches that hold the page, in order; walk them with `RecordCursor`, from `startOffset`,
   * up to `limit` records, `maxBytes` and `endOffset`. The slices hold at least what the page
   * needs, perhaps more, and stay valid until the next turn of the event loop.
   */
  readonly slices: readonly Uint8Array[];
  /** Identity of the topic: one that is deleted and created again has another. */
  readonly topicId: number;
  /** Where the page begins: the asked offset, or the low watermark if that is higher. */
  readonly startOffset: number;
  /** Null: this group has not committed here. */
  readonly committedOffset: number | null;
  readonly lowWatermark: number;
  readonly endOffset: number;
};
export type RecordWait = PartitionRef & {
  /** `ConsumePage.topicId` of the page before: a wait on another topic of the name ends at once. */
  readonly topicId: number;
  readonly offset: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};
export type CommitRequest = PartitionRef & { readonly group: string; readonly offset: number };

export type Deleted = {
  readonly deletedCount: number;
  readonly freedBytes: number;
  /** The offset was beyond the end: all that there was is gone. */
  readonly clamped: boolean;
};
export type RetentionRequest = {
  /** `"*"`: every topic, also later ones. */
  readonly topic: string;
  readonly partition: number | null;
  /** Null leaves it as it is; 0 switches it off. */
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
};
export type RetentionPolicy = {
  readonly topic: string;
  readonly partition: number | null;
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
};

export type KvPutRequest = {
  readonly namespace: string;
  readonly key: string;
  readonly value: Uint8Array;
  /** Expected revision; 0: only if absent; null: whatever is there. */
  readonly cas: number | null;
  readonly ttlMs: number | null;
  readonly timeoutMs: number | null;
};
export type KvGetRequest = {
  readonly namespace: string;
  readonly key: string;
  readonly linearizable: boolean;
};
export type KvDeleteRequest = {
  readonly namespace: string;
  readonly key: string;
  readonly cas: number | null;
  readonly timeoutMs: number | null;
};
export type KvListRequest = {
  readonly namespace: string;
  readonly prefix: string;
  /** Keys after this one, in byte order; empty: from the start. */
  readonly after: string;
  readonly limit: number;
};
export type KvWritten = { readonly cas: number };
export type KvDeleted = { readonly deleted: boolean };
export type KvValue = {
  readonly value: Uint8Array;
  readonly cas: number;
  /** Milliseconds left; 0: lives for ever. */
  readonly ttlMs: number;
};
export type KvPage = {
  readonly keys: readonly {
    readonly key: string;
    readonly cas: number;
    readonly bytes: number;
    readonly ttlMs: number;
  }[];
  /** Pass it as `after` to go on; null at the end. */
  readonly next: string | null;
};

export type KvNamespaceSummary = {
  readonly namespace: string;
  /** The last one given out in it. */
  readonly revision: number;
};

/** A checkpoint as one archive. Its files stay as they are until `release`, which is a must. */
export type Backup = {
  /** Last entry of the log whose effects are in it, and its term. */
  readonly index: number;
  readonly term: number;
  /** Of the whole archive. */
  readonly bytes: number;
  /**
   * The next bytes; null at the end. One call at a time. Rejects if what lies on the disk is
   * damaged: then what was given so far is worthless, and lacks its end.
   */
  next(): Promise<Uint8Array<ArrayBuffer> | null>;
  /** At any time, also more than once. */
  release(): Promise<void>;
};

export type AddMemberRequest = {
  readonly nodeId: string;
  readonly host: string;
  readonly raftPort: number;
  /** Null: one above the Raft port. */
  readonly httpPort: number | null;
  readonly priority: number | null;
};
export type MembershipNode = {
  readonly index: number;
  readonly nodeId: string;
  /** `host:port` for Raft and for HTTP; empty where it is not known. */
  readonly advertiseAddr: string;
  readonly httpAddr: string;
  readonly priority: number;
  readonly isVoter: boolean;
  readonly isLearner: boolean;
  readonly role: "leader" | "follower" | "learner";
  /** The log up to here is on its disk, as this node knows; null where only the leader does. */
  readonly matchIndex: number | null;
  readonly healthy: boolean;
};
export type Membership = {
  /** Counts the changes that this node has seen since its start. */
  readonly epoch: number;
  readonly jointActive: boolean;
  readonly nodes: readonly MembershipNode[];
  readonly leaderId: string | null;
  readonly term: number;
};
