import type { MaybePromise } from "../lib/maybe-promise.ts";
import type {
  GroupSample,
  HaSample,
  PartitionSample,
  ThreadSample,
  ViewSample,
  WorkSample,
} from "../metrics/sources.ts";
import type { EncodedRecords } from "../record/batch-builder.ts";
import type { RecordPlace } from "../record/batch-reader.ts";
import type { MemberReject } from "./cluster-api.ts";
import type { DurableRejectCode } from "./durable-api.ts";
import type { ExportRejectCode } from "./export-api.ts";
import type { GroupRejectCode, GroupsApi } from "./groups-api.ts";
import type { KvApi, KvDeleteNamespaceReject, KvGetReject, KvPutReject } from "./kv-api.ts";
import type { LaterRejectCode } from "./later-api.ts";
import type { ForgetProducerReject, ProducersApi } from "./producers-api.ts";
import type { QueueRejectCode } from "./queue-api.ts";
import type { StreamRejectCode } from "./stream-api.ts";
import type { WebhookRejectCode } from "./webhook-api.ts";

export type { JoinRules } from "../stream/join-rules.ts";
export type * from "./cluster-api.ts";
export type * from "./durable-api.ts";
export type {
  ExportApi,
  ExportCounts,
  ExportDefinition,
  ExportDescription,
  ExportSummary,
} from "./export-api.ts";
export type * from "./groups-api.ts";
export type * from "./kv-api.ts";
export type {
  CronRequest,
  CronSummary,
  LaterApi,
  ListScheduledRequest,
  Scheduled,
  ScheduledSummary,
  ScheduleRequest,
} from "./later-api.ts";
export type { ProducerLast, ProducersApi, ProducersRequest } from "./producers-api.ts";

export type {
  QueueApi,
  QueueDefinition,
  QueueDescription,
  QueueSummary,
  QueueTopics,
  Received,
  ReceivedMessage,
  ReceiveRequest,
  RedriveRequest,
  RejectRequest,
  Settlement,
  SettleRequest,
} from "./queue-api.ts";
export type {
  JoinAnswer,
  JoinApiRequest,
  QueryAnswer,
  ReadCounts,
  StreamApi,
  StreamRequest,
  ViewAnswer,
} from "./stream-api.ts";

export type * from "./webhook-api.ts";

/**
 * The interface of the node that `http/` uses. Names are plain strings that the router has checked;
 * numbers are safe integers. A rejection is data. A promise rejects only if the node itself failed.
 */
export interface NodeApi extends KvApi {
  health(): MaybePromise<NodeHealth>;
  /** The leader of the last `health`, synchronously. At least as new as the last outcome of a call. */
  leaderUrl(): string | null;
  /**
   * True if this node passes writes with a small command on to the leader over the link between the
   * nodes. As new as `leaderUrl`.
   */
  forwardsByLink(): boolean;
  /** A secret of this process, by which other nodes recognize a request that it has forwarded. */
  nodeMark(): MaybePromise<string>;
  /** True if it is the mark of a node of the cluster, which has told it over the link, or of this one. */
  isNodeMark(mark: string): MaybePromise<boolean>;

  createTopic(topic: string, partitions: number): Promise<Result<TopicShape, CreateTopicReject>>;
  deleteTopic(topic: string): Promise<Result<object, WriteReject | "topic_not_found">>;
  /** By name, as far as this node knows. */
  listTopics(request?: ListTopicsRequest): MaybePromise<readonly TopicSummary[]>;
  /**
   * The topic as far as this node knows.
   *
   * @param rowsMax at most this many rows of groups; `groupsLeft` names the groups that have none.
   */
  describeTopic(
    topic: string,
    rowsMax?: number,
  ): MaybePromise<Result<TopicDescription, "topic_not_found">>;
  /** @returns null once this node has applied everything committed, so what it lacks does not exist. */
  catchUp(): Promise<Rejected<"no_leader" | "no_quorum"> | null>;

  /**
   * @param request its bytes must be valid until this returns, and the caller must not use its
   *   records afterwards.
   * @param done is called once with the outcome. A callback avoids the cost of a promise for each
   *   request. It must not throw.
   */
  produce(request: ProduceRequest, done: (outcome: ProduceOutcome) => void): void;
  consume(request: ConsumeRequest): Promise<Result<ConsumePage, ConsumeReject>>;
  /** Finds the first record of each partition that is not older than a time. */
  offsetsAt(request: OffsetsAtRequest): Promise<Result<OffsetsAt, ConsumeReject>>;
  /**
   * Waits until the partition has a record at or after `offset`, the topic is deleted, `timeoutMs`
   * passes, or `signal` aborts. Never rejects. The caller then consumes again. All waiters of one
   * partition share one wake-up.
   */
  waitForRecords(wait: RecordWait): Promise<void>;
  commitOffset(request: CommitRequest): Promise<Result<Committed, CommitReject>>;
  /** Producers that number their writes. */
  readonly producers: ProducersApi;
  /** Groups whose members share partitions. */
  readonly groups: GroupsApi;
  /** Deletes the committed offsets of the group in all topics, and its members. */
  deleteGroup(
    group: string,
  ): Promise<Result<{ offsets: number; members: number }, DeleteGroupReject>>;
  /** @param names of the groups; absent: all of the topic. */
  groupsOf(
    topic: string,
    names?: readonly string[],
  ): MaybePromise<Result<{ groups: readonly GroupLag[] }, "topic_not_found">>;

  deleteBefore(
    request: PartitionRef & { beforeOffset: number },
  ): Promise<Result<Deleted, DeleteBeforeReject>>;
  setRetention(request: RetentionRequest): Promise<Result<object, RetentionReject>>;
  listRetention(): MaybePromise<readonly RetentionPolicy[]>;

  /** Last fsynced log index. */
  lastSyncedIndex(): MaybePromise<number>;
  /** Takes a checkpoint now and deletes the journal that it makes unnecessary. */
  compact(): Promise<{ checkpointIndex: number; freedBytes: number }>;
  /** Takes a checkpoint of everything acknowledged before the call, and returns it as an archive. */
  beginBackup(): Promise<Result<{ readonly backup: Backup }, BackupReject>>;
}

/** Samples that a metrics scrape reads in addition. */
export interface SampleApi {
  ha(): MaybePromise<HaSample>;
  /** The largest partitions, and the sum of all others. */
  partitionSizes(): MaybePromise<readonly PartitionSample[]>;
  /** The groups with the largest lag, and the sum of all others. */
  groupLags(): MaybePromise<readonly GroupSample[]>;
  viewLags(): MaybePromise<readonly ViewSample[]>;
  /** Queues, schedules and exports. */
  work(): MaybePromise<WorkSample>;
  /** Samples of all threads except the caller's. */
  threads(): MaybePromise<readonly ThreadSample[]>;
}

export type Result<T, Code extends RejectCode> = ({ readonly ok: true } & T) | Rejected<Code>;

/**
 * `details` holds the extra fields of the answer for this code, such as `endOffset`. `http/` gives
 * them the names of the wire.
 */
export type Rejected<Code extends RejectCode = RejectCode> = {
  readonly ok: false;
  readonly code: Code;
  readonly message?: string;
  readonly details?: Readonly<Record<string, number | string | null>>;
};

/** Rejections of every write. The write has no effect, except possibly after `commit_timeout`. */
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
  | "cluster_not_upgraded"
  | "sequence_gap"
  | "stale_epoch";
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
  | "too_many_offsets"
  | "leased";
export type DeleteGroupReject = WriteReject | "group_not_found";
export type Committed = {
  /** The policy in force. */
  readonly committedOffset: number;
  /** The offset was beyond the end, so the end was committed. */
  readonly clamped: boolean;
};
/** `data_damaged`: the deleted records cannot be counted until a peer has restored them. */
export type DeleteBeforeReject =
  | Exclude<CommitReject, "too_many_groups" | "too_many_offsets" | "leased">
  | "data_damaged";
export type RetentionReject =
  | WriteReject
  | "topic_not_found"
  | "partition_not_found"
  | "cluster_not_upgraded";
export type BackupReject = "no_leader" | "no_quorum" | "overloaded" | "disk_full";
export type RejectCode =
  | CreateTopicReject
  | ProduceReject
  | ForgetProducerReject
  | ConsumeReject
  | CommitReject
  | DeleteGroupReject
  | KvPutReject
  | KvGetReject
  | KvDeleteNamespaceReject
  | MemberReject
  | QueueRejectCode
  | GroupRejectCode
  | LaterRejectCode
  | WebhookRejectCode
  | ExportRejectCode
  | StreamRejectCode
  | DurableRejectCode;

export type NodeHealth = {
  readonly ready: boolean;
  /** Human-readable reason if the node is not ready. Empty if it is ready. */
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
export type ListTopicsRequest = {
  readonly prefix: string;
  /** Only names behind it. */
  readonly after: string;
  readonly limit: number;
};
export type TopicSummary = TopicShape & { readonly messages: number; readonly bytes: number };
export type PartitionDescription = {
  readonly partition: number;
  readonly lowWatermark: number;
  readonly endOffset: number;
  /** Bytes of the retained keys and values, without framing. */
  readonly bytes: number;
};
export type GroupLag = {
  readonly group: string;
  readonly partition: number;
  /** Null: the group has not committed in this partition. */
  readonly committedOffset: number | null;
  readonly lag: number;
};
export type TopicDescription = TopicShape & {
  readonly partitionList: readonly PartitionDescription[];
  readonly groups: readonly GroupLag[];
  readonly groupsLeft: readonly string[];
};

/** How a write was acknowledged. `synced` false: `timeoutMs` passed first, and the write continues. */
export type WriteAck = {
  /** Index of the log entry; 0 in rocket mode. */
  readonly batchId: number;
  /** True: on the disks that the write concern requires. Null: the request did not wait. */
  readonly synced: boolean | null;
  /** Nodes that had fsynced the entry when this was answered. */
  readonly ackedBy: number;
};

export type ProduceRequest = {
  readonly topic: string;
  /** Null: hash of `key`, otherwise hash of `idempotencyKey`, otherwise round robin. */
  readonly partition: number | null;
  readonly key: Uint8Array | null;
  /** 1…512 bytes. */
  readonly idempotencyKey: Uint8Array | null;
  readonly records: EncodedRecords;
  /** Null: the deadline of the server, which rejects with `commit_timeout`. */
  readonly timeoutMs: number | null;
  /** Answer from memory immediately. */
  readonly rocket: boolean;
  /** The headers `traceparent` and `tracestate` of the records came with the request itself. */
  readonly traced?: boolean;
  /**
   * Null or absent: the producer does not number its writes. Otherwise `partition` or `key` is set and
   * `idempotencyKey` is null.
   */
  readonly producer?: ProducerNumber | null;
};
/** The number that an idempotent producer gives a write. */
export type ProducerNumber = {
  /** 1…128 bytes of UTF-8. */
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
};
export type Produced = WriteAck & {
  readonly partition: number;
  /** Null: a duplicate of a write of a producer before its last one. `count` is then 0. */
  readonly firstOffset: number | null;
  readonly count: number;
  readonly duplicate: boolean;
  /** False: a duplicate whose payload differs from that of the first write. */
  readonly payloadMatches: boolean;
  /** False: not known to be committed yet. For a duplicate, this describes the first write. */
  readonly committed: boolean;
  /** Microseconds that the write waited for its batch to close, and then for sync and commit. */
  readonly queueUs: number;
  readonly syncWaitUs: number;
};
export type ProduceOutcome = Result<Produced, ProduceReject>;

export type ConsumeRequest = PartitionRef & {
  readonly group: string;
  /** Null: the group's committed offset, otherwise the first retained one. */
  readonly offset: number | null;
  /**
   * `ConsumePage.topicId` of the previous page, for a reader that continues. If the topic was deleted
   * and created again since, the read is refused with `offset_out_of_range`. Absent: not checked.
   */
  readonly topicId?: number | null;
  readonly limit: number;
  /** Bytes of keys and values. A single larger record is returned alone. */
  readonly maxBytes: number;
  readonly linearizable: boolean;
  /**
   * The reader waited for this record. It may get a page that another reader has just asked for: the
   * record may be missing from it. @default false
   */
  readonly follows?: boolean;
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
  /** The end of the partition if all records are older. */
  readonly offset: number;
  /** Time of the record at the offset; null at the end. */
  readonly timestampMs: number | null;
};
export type OffsetsAt = { readonly topicId: number; readonly offsets: readonly OffsetAt[] };
export type ConsumePage = {
  /**
   * Whole batches that contain the page, in order. Read them with `RecordCursor` from `startOffset`,
   * up to `limit` records, `maxBytes` and `endOffset`. The slices may hold more than the page. They
   * are valid until the end of this event-loop iteration.
   */
  readonly slices: readonly Uint8Array[];
  /**
   * A record at `startOffset` or shortly before it, by its position in the first slice, for
   * `RecordCursor.startAt`. Null: the first record of the slice.
   */
  readonly first: RecordPlace | null;
  /** Identity of the topic. A topic that is deleted and created again has another one. */
  readonly topicId: number;
  /** First offset of the page: the requested one, or the low watermark if that is higher. */
  readonly startOffset: number;
  /** Null: the group has not committed in this partition. */
  readonly committedOffset: number | null;
  readonly lowWatermark: number;
  readonly endOffset: number;
};
export type RecordWait = PartitionRef & {
  /** `ConsumePage.topicId` of the previous page. A wait on another topic of that name ends at once. */
  readonly topicId: number;
  readonly offset: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};
export type CommitRequest = PartitionRef & { readonly group: string; readonly offset: number };

export type Deleted = {
  readonly deletedCount: number;
  readonly freedBytes: number;
  /** The offset was beyond the end, so all records were deleted. */
  readonly clamped: boolean;
};
export type RetentionRequest = {
  /** `"*"`: every topic, including those that are created later. */
  readonly topic: string;
  readonly partition: number | null;
  /** Null: unchanged. 0: disabled. `inherit`: not set at this level any more. */
  readonly ttlMs: number | "inherit" | null;
  readonly maxBytes: number | "inherit" | null;
};
export type RetentionPolicy = {
  readonly topic: string;
  readonly partition: number | null;
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
};

/** A checkpoint as one archive. Its files stay unchanged until `release`, which must be called. */
export type Backup = {
  /** Last log entry that the checkpoint contains, and its term. */
  readonly index: number;
  readonly term: number;
  /** Size of the whole archive. */
  readonly bytes: number;
  /**
   * Returns the next bytes, or null at the end. One call at a time. Rejects if the data on the disk is
   * damaged: the bytes returned so far are then not a usable archive.
   */
  next(): Promise<Uint8Array<ArrayBuffer> | null>;
  /** May be called at any time and more than once. */
  release(): Promise<void>;
};
