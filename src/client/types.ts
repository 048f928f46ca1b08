/** What the server answers, with the names of the HTTP API in camelCase. */
import type { CallOptions } from "./transport.ts";
import type { Message } from "./values.ts";

/** How a write was acknowledged. */
export type Ack = {
  /** Index of the log entry; 0 in rocket mode; absent for a duplicate. */
  readonly batchId?: number;
  readonly sealed: boolean;
  /** It is on the disks that the write concern asks for; absent for a duplicate. */
  readonly durable?: boolean;
  readonly mode?: "sealed" | "rocket";
  /** False: `timeoutMs` passed first, the write goes on. */
  readonly synced: boolean | null;
  /** Nodes that had fsynced it when this was answered. */
  readonly ackedBy?: number;
};

type ProducedExtras = Ack & {
  readonly partition: number;
  /** The server had this idempotency key already, and stored nothing. */
  readonly duplicate?: boolean;
  /** The key was used with another payload before. */
  readonly payloadMatches?: false;
};
export type Produced = ProducedExtras & { readonly offset: number };
export type ProducedBatch = ProducedExtras & {
  readonly firstOffset: number;
  readonly count: number;
};

export type ProduceOptions = CallOptions & {
  /** Absent: by `key`, else by the idempotency key, which spreads. */
  readonly partition?: number | undefined;
  /** Stored with the message; equal keys go to the same partition. */
  readonly key?: string | undefined;
  /** @default one of its own for each call, so that retries store once; null: none, no retries */
  readonly idempotencyKey?: string | null | undefined;
  /** Wait at most this long for the disks; then the answer has `synced: false`. */
  readonly timeoutMs?: number | undefined;
  /** `rocket`: answered from memory; a crash may lose it. */
  readonly mode?: "sealed" | "rocket" | undefined;
};

export type PartitionRef = { readonly topic: string; readonly partition: number };

export type ReadOptions = CallOptions & {
  /** Where a read without `offset` begins: the group's committed offset. */
  readonly group?: string | undefined;
  /** @default the group's committed offset, without a group the first kept one */
  readonly offset?: number | undefined;
  /** @default 1000, which is the most */
  readonly limit?: number | undefined;
  readonly maxBytes?: number | undefined;
  /** Wait this long for a record if there is none; at most 60,000. */
  readonly waitMs?: number | undefined;
  /** Ask the leader first, so that nothing acknowledged is missed. */
  readonly linearizable?: boolean | undefined;
};
export type Page = {
  readonly messages: readonly Message[];
  readonly count: number;
  /** The `offset` of the next read, and what to commit. */
  readonly nextOffset: number;
  readonly committedOffset: number | null;
  readonly truncated: boolean;
  readonly lowWatermark: number;
  readonly endOffset: number;
};

export type TopicShape = { readonly topic: string; readonly partitions: number };
export type TopicSummary = TopicShape & { readonly messages: number; readonly bytes: number };
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
export type TopicDescription = {
  readonly topic: string;
  readonly partitions: readonly PartitionInfo[];
  readonly groups: readonly GroupLag[];
};

export type Deleted = {
  readonly deletedCount: number;
  readonly freedBytes: number;
  /** The offset was beyond the end: all that there was is gone. */
  readonly clamped?: true;
};
export type RetentionPolicy = {
  /** `"*"`: every topic, also later ones. */
  readonly topic: string;
  readonly partition: number | null;
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
};
export type RetentionRequest = {
  readonly topic: string;
  readonly partition?: number;
  /** 0 switches it off. */
  readonly ttlMs?: number;
  readonly maxBytes?: number;
};

export type KvWritten = Ack & { readonly cas: number };
export type KvDeleted = Ack & { readonly deleted: boolean };
export type KvMeta = {
  readonly cas: number;
  /** Milliseconds left; 0: lives for ever. */
  readonly ttlMs: number;
  readonly bytes: number;
};
export type KvListed = KvMeta & { readonly key: string };
export type KvNamespace = {
  readonly namespace: string;
  /** The last one given out in it. */
  readonly revision: number;
};
export type KvPage = {
  readonly keys: readonly KvListed[];
  readonly count: number;
  /** Pass it as `after` to go on; null at the end. */
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
  /** `host:port` for Raft. */
  readonly advertiseAddr: string;
  /** @default one port above */
  readonly httpAddr?: string;
  readonly priority?: number;
};
