import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { QueueDefinition } from "../queue/definition.ts";
import type { Result, WriteReject } from "./api.ts";

export type { QueueDefinition } from "../queue/definition.ts";

/** Queues: readings of a topic that give each record to one worker. */
export interface QueueApi {
  /** Creates a queue or changes its definition. */
  define(name: string, definition: QueueDefinition): Promise<Result<QueueDefined, DefineReject>>;
  deleteQueue(name: string): Promise<Result<object, QueueReject>>;
  purge(name: string): Promise<Result<{ purged: number }, QueueReject>>;
  /** Leases messages. Waits for the first one if there is none. Only the leader can. */
  receive(request: ReceiveRequest): Promise<Result<Received, ReceiveReject>>;
  settle(request: SettleRequest): Promise<Result<{ results: readonly Settlement[] }, QueueReject>>;
  /** Puts messages aside at once. */
  reject(request: RejectRequest): Promise<Result<{ results: readonly Settlement[] }, BuryReject>>;
  /** Moves dead letters back. */
  redrive(request: RedriveRequest): Promise<Result<Redriven, ReceiveReject>>;
  /** Ends a redrive with a rate. */
  stopRedrive(name: string): Promise<Result<{ stopped: boolean }, ReceiveReject>>;
  listQueues(): MaybePromise<readonly QueueSummary[]>;
  describeQueue(name: string): MaybePromise<Result<QueueDescription, "queue_not_found">>;
  /** The topics of a queue. Null if the queue does not exist. */
  topicsOfQueue(name: string): MaybePromise<QueueTopics | null>;
  /** True if there is a topic of this name. */
  hasTopic(name: string): MaybePromise<boolean>;
}

export type QueueDefined = { readonly created: boolean };
export type QueueTopics = { readonly topic: string; readonly deadLetter: string | null };

export type QueueReject = WriteReject | "queue_not_found" | "cluster_not_upgraded";
export type DefineReject =
  | WriteReject
  | "cluster_not_upgraded"
  | "queue_exists"
  | "too_many_queues"
  | "topic_not_found"
  | "too_many_partitions";
export type ReceiveReject = QueueReject | "data_damaged";
export type BuryReject = ReceiveReject | "too_many_partitions";
export type QueueRejectCode = DefineReject | BuryReject;

export type ReceiveRequest = {
  readonly queue: string;
  /** Maximum number of messages. */
  readonly max: number;
  readonly waitMs: number;
  /** Null: as the queue says. */
  readonly visibilityMs: number | null;
  /**
   * Called when the request begins to wait. The signal is aborted when the client has disconnected or
   * the server stops. Null: the request does not wait.
   */
  readonly signal: (() => AbortSignal) | null;
};
export type ReceivedMessage = {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  /** Encoded as in `record/headers.ts`. */
  readonly headers: Uint8Array;
  /** The same bytes where they lie, for answers with many messages. */
  readonly record: RecordBytes;
  readonly queueId: number;
  readonly attempt: number;
  /** Names the queue by its id, then partition, offset and attempt. */
  readonly receipt: string;
};
/** Places of key, value and headers in the source. `keyStart` below 0: no key. */
export type RecordBytes = {
  readonly source: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  readonly headersStart: number;
  readonly headersEnd: number;
};
export type Blocked = "max_in_flight" | "oldest_unacknowledged";
export type Received = {
  readonly topic: string;
  readonly topicId: number;
  readonly messages: readonly ReceivedMessage[];
  readonly visibleAtMs: number;
  /** Why there may be messages that were not given out. */
  readonly blocked: Blocked | null;
};

/** The same, with bytes of its own and without getters, so that another thread can have it. */
export function detached(received: Result<Received, ReceiveReject>) {
  if (!received.ok) return received;
  const messages = received.messages.map(
    ({ partition, offset, timestampMs, key, value, headers, queueId, attempt, receipt }) => {
      const source = Buffer.concat([key ?? NO_BYTES, value, headers]) as Uint8Array;
      const keyEnd = key?.length ?? 0;
      const valueEnd = keyEnd + value.length;
      const ends = { keyEnd, valueStart: keyEnd, valueEnd, headersStart: valueEnd };
      const keyStart = key === null ? -1 : 0;
      return {
        ...{ partition, offset, timestampMs, queueId, attempt, receipt },
        key: key === null ? null : source.subarray(0, keyEnd),
        value: source.subarray(keyEnd, valueEnd),
        headers: source.subarray(valueEnd),
        record: { source, keyStart, ...ends, headersEnd: source.length },
      };
    },
  );
  return { ...received, messages };
}
const NO_BYTES: Uint8Array = new Uint8Array(0);

export type SettleRequest = {
  readonly queue: string;
  readonly receipts: readonly string[];
  readonly how:
    | { readonly kind: "ack" }
    /** Null: the backoff of the queue. */
    | { readonly kind: "nack"; readonly delayMs: number | null }
    | { readonly kind: "extend"; readonly byMs: number };
};
export type RejectRequest = {
  readonly queue: string;
  readonly receipts: readonly string[];
  readonly reason: string | null;
};
/** Null: done. */
export type Settlement = "lease_expired" | "unknown_receipt" | null;

export type RedriveRequest = {
  readonly queue: string;
  /** Null: all. */
  readonly max: number | null;
  /** Null: as fast as possible, before the answer. Otherwise the first second's worth is moved before it. */
  readonly perSecond: number | null;
};
export type Redriven = {
  readonly moved: number;
  /** Dead letters that are left. */
  readonly remaining: number;
};

export type QueueCounts = {
  readonly ready: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly dead: number;
  readonly acked: number;
  readonly lost: number;
  readonly purged: number;
  readonly redriven: number;
  /** Age of the oldest record that is not finished; 0 if there is none. */
  readonly oldestAgeMs: number;
};
export type QueueSummary = QueueCounts & {
  readonly queue: string;
  readonly definition: QueueDefinition;
  /** A redrive with a rate that goes on. */
  readonly redrive: { readonly perSecond: number; readonly left: number | null } | null;
};
export type QueuePartitionSummary = {
  readonly partition: number;
  readonly lowOffset: number;
  readonly endOffset: number;
  readonly unfinished: number;
};
export type QueueDescription = QueueSummary & {
  readonly partitions: readonly QueuePartitionSummary[];
  /** By partition of the dead-letter topic: the first dead letter that was not moved back. */
  readonly deadLetterOffsets: readonly number[];
};
