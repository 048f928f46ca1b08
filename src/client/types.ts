/** Answers of the server, with the names of the HTTP API in camelCase. */
import type { CallOptions } from "./transport.ts";
import type { Message, RecordHeaders, Value } from "./values.ts";

/** How a write was acknowledged. */
export type Ack = {
  /** Index of the log entry; 0 in rocket mode; absent for a duplicate. */
  readonly batchId?: number;
  readonly sealed: boolean;
  /** The write is fsynced on the nodes of the write concern; absent for a duplicate. */
  readonly durable?: boolean;
  readonly mode?: "sealed" | "rocket";
  /** False if `timeoutMs` passed first; the write continues. */
  readonly synced: boolean | null;
  /** Number of nodes that had fsynced the write when it was answered. */
  readonly ackedBy?: number;
};

type ProducedExtras = Ack & {
  readonly partition: number;
  /** The server already had this idempotency key and stored nothing. */
  readonly duplicate?: boolean;
  /** The key was used before with another payload. */
  readonly payloadMatches?: false;
};
export type Produced = ProducedExtras & { readonly offset: number };
export type ProducedBatch = ProducedExtras & {
  readonly firstOffset: number;
  readonly count: number;
};

export type ProduceOptions = CallOptions & {
  /** Absent: chosen by `key`, else by the idempotency key, which spreads messages. */
  readonly partition?: number | undefined;
  /** Stored with the message; messages with equal keys go to the same partition. */
  readonly key?: string | undefined;
  /** Headers of the record, or of each record of a batch: names of `a-z 0-9 . _ -`. */
  readonly headers?: RecordHeaders | undefined;
  /** @default a new key per call, so that retries store once; null: no key and no retries */
  readonly idempotencyKey?: string | null | undefined;
  /** Maximum time to wait for the write concern; then the answer has `synced: false`. */
  readonly timeoutMs?: number | undefined;
  /** `rocket`: answered before the fsync; a crash may lose the message. */
  readonly mode?: "sealed" | "rocket" | undefined;
};

/** A message that is produced later. */
export type ScheduledMessage = {
  /** For `client.schedules.delete`. */
  readonly scheduleId: string;
  /** Null: it is a duplicate, and was delivered already. */
  readonly deliverAtMs: number | null;
  readonly partition: number;
  readonly duplicate: boolean;
};

/** The first record of a partition that is not older than a time. */
export type OffsetAt = {
  readonly partition: number;
  /** The end if all records are older. */
  readonly offset: number;
  /** Time of the record at the offset; null at the end. */
  readonly timestampMs: number | null;
};

/** A record of `produceRecords`. */
export type NewRecord = {
  readonly value: Value;
  readonly key?: string | undefined;
  readonly headers?: RecordHeaders | undefined;
};

export type PartitionRef = { readonly topic: string; readonly partition: number };

export type ReadOptions = CallOptions & {
  /** The group whose committed offset is the start of a read without `offset`. */
  readonly group?: string | undefined;
  /** @default the group's committed offset; without a group the first retained offset */
  readonly offset?: number | undefined;
  /** @default 1000, which is also the maximum */
  readonly limit?: number | undefined;
  readonly maxBytes?: number | undefined;
  /** Time to wait for a record if there is none, at most 60,000. */
  readonly waitMs?: number | undefined;
  /** Confirm with the leader first, so that every acknowledged record is seen. */
  readonly linearizable?: boolean | undefined;
  /**
   * `topicId` of the page before. The read fails with `offset_out_of_range` if the topic was deleted
   * and created again since, because its offsets then count other records.
   */
  readonly topicId?: number | undefined;
};
export type Page = {
  readonly messages: readonly Message[];
  readonly count: number;
  /** The `offset` of the next read, which is also the offset to commit. */
  readonly nextOffset: number;
  readonly committedOffset: number | null;
  readonly truncated: boolean;
  readonly lowWatermark: number;
  readonly endOffset: number;
  /** Identity of the topic: one that is created again has another. Older servers do not say it. */
  readonly topicId?: number;
};

export type TopicShape = { readonly topic: string; readonly partitions: number };
export type TopicSummary = TopicShape & { readonly messages: number; readonly bytes: number };
export type TopicPage = {
  readonly topics: readonly TopicSummary[];
  /** `after` of the next page; null on the last one. */
  readonly next: string | null;
};
export type PartitionInfo = {
  readonly partition: number;
  readonly lowWatermark: number;
  readonly endOffset: number;
  readonly bytes: number;
};
export type GroupLag = {
  readonly group: string;
  readonly partition: number;
  readonly committedOffset: number | null;
  readonly lag: number;
};
/** A consumer group over all topics that the token may read. */
export type GroupSummary = {
  readonly group: string;
  readonly topics: number;
  readonly partitions: number;
  /** Members that share the partitions. */
  readonly members: number;
  /** Records that are kept and not worked off, of all partitions. */
  readonly lag: number;
};
/** The last write of a producer in a partition. */
export type ProducerLast = {
  readonly id: string;
  readonly partition: number;
  readonly epoch: number;
  readonly seq: number;
  readonly offset: number;
  readonly count: number;
  readonly lastWriteMs: number;
};
export type ProducerList = {
  /** Producers of the topic, counted in each partition that they write to. */
  readonly total: number;
  readonly producers: readonly ProducerLast[];
};
export type GroupMemberInfo = {
  readonly member: string;
  readonly leaseUntilMs: number;
  readonly leaseMs: number;
  readonly topics: readonly string[];
  /** Number of partitions that it owns. */
  readonly partitions: number;
};
export type GroupPartition = PartitionRef & {
  readonly owner: string | null;
  /** The member that waits for the partition. */
  readonly next?: string;
  readonly generation: number;
  readonly committedOffset: number | null;
  readonly lag: number;
  /** Age of the first record that is not worked off; null if it is not known. */
  readonly lagSeconds: number | null;
};
export type GroupDescription = {
  readonly group: string;
  readonly members: readonly GroupMemberInfo[];
  readonly partitions: readonly GroupPartition[];
  readonly lag: number;
};
/** The first record, the end, a time, or an offset. Without a topic: all topics of the group. */
export type SeekRequest = {
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  readonly to: "earliest" | "latest" | { readonly timeMs: number } | { readonly offset: number };
};
export type Sought = PartitionRef & {
  readonly committedOffset: number;
  /** The offset that was asked for is beyond the end. */
  readonly clamped?: true;
};
export type TopicDescription = {
  readonly topic: string;
  readonly partitions: readonly PartitionInfo[];
  readonly groups: readonly GroupLag[];
};

export type Compaction = {
  /** Log index of the checkpoint. */
  readonly checkpointIndex: number;
  readonly freedBytes: number;
};
export type Deleted = {
  readonly deletedCount: number;
  readonly freedBytes: number;
  /** The offset was beyond the end: all existing records were deleted. */
  readonly clamped?: true;
};
export type RetentionPolicy = {
  /** `"*"`: every topic, including topics created later. */
  readonly topic: string;
  readonly partition: number | null;
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
};
export type RetentionRequest = {
  readonly topic: string;
  readonly partition?: number;
  /** Absent: unchanged. 0 disables the limit. Null removes it, and the next level applies. */
  readonly ttlMs?: number | null;
  readonly maxBytes?: number | null;
};

export type KvWritten = Ack & { readonly cas: number };
export type KvDeleted = Ack & { readonly deleted: boolean };
/** `deleted` is false if there was no such namespace. */
export type KvNamespaceDeleted = KvDeleted & { readonly keys: number; readonly bytes: number };
export type KvMeta = {
  readonly cas: number;
  /** Milliseconds left; 0 means no expiry. */
  readonly ttlMs: number;
  readonly bytes: number;
};
export type KvListed = KvMeta & { readonly key: string };
export type KvNamespace = {
  readonly namespace: string;
  /** The last revision of the namespace. */
  readonly revision: number;
  /** Keys that have not expired, and the bytes of these keys and their values. */
  readonly keys: number;
  readonly bytes: number;
};
export type KvPage = {
  readonly keys: readonly KvListed[];
  readonly count: number;
  /** Pass it as `after` for the next page; null at the end. */
  readonly next: string | null;
};

export type Member = {
  readonly index: number;
  readonly nodeId: string;
  readonly advertiseAddr: string;
  readonly httpAddr: string;
  readonly priority: number;
  readonly isVoter: boolean;
  readonly isLearner: boolean;
  readonly role: string;
  readonly matchIndex: number | null;
  readonly healthy: boolean;
};
export type Membership = {
  readonly epoch: number;
  readonly jointActive: boolean;
  readonly nodeCount: number;
  readonly nodes: readonly Member[];
  readonly leaderId: string | null;
  readonly term: number;
};
export type AddMember = {
  readonly nodeId: string;
  /** Raft address, `host:port`. */
  readonly advertiseAddr: string;
  /** @default Raft port + 1 */
  readonly httpAddr?: string;
  readonly priority?: number;
};
