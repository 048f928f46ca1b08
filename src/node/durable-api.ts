/** Durable streams, as `http/` uses them. Offsets are opaque tokens. See `DurableStreams`. */
import type { SubscriptionConfig } from "../durable/subscriptions/state.ts";
import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { Rejected, Result, WriteReject } from "./api.ts";

export interface DurableApi {
  createStream(request: CreateStreamRequest): Promise<Result<StreamCreated, CreateStreamReject>>;
  appendStream(request: AppendStreamRequest): Promise<Result<StreamAppended, AppendStreamReject>>;
  deleteStream(path: string): Promise<Result<object, DeleteStreamReject>>;
  /** The stream as it is now. Does not count as a use of it. */
  describeStream(path: string): Promise<Result<StreamInfo, StreamReadReject>>;
  readStream(request: ReadStreamRequest): Promise<Result<StreamPage, StreamReadReject>>;
  /**
   * Waits until the stream has a record at or after `offset`, is closed or deleted, `timeoutMs` passes,
   * or `signal` aborts. Never rejects. The caller then reads again.
   */
  waitForStream(wait: StreamWait): Promise<void>;
  /** All that is known of a stream, also of one that is only retained for its forks. */
  inspectStream(path: string): Promise<Result<StreamDetails, StreamReadReject>>;
  /** Streams in the order of their paths, as far as this node knows. */
  listStreams(request: ListStreamsRequest): MaybePromise<StreamList>;

  putSubscription(
    request: PutSubscriptionRequest,
  ): Promise<Result<{ created: boolean; subscription: Subscription }, PutSubscriptionReject>>;
  describeSubscription(id: string): Promise<Result<Subscription, SubscriptionReadReject>>;
  listSubscriptions(): MaybePromise<readonly SubscriptionSummary[]>;
  deleteSubscription(id: string): Promise<Result<object, StreamWriteReject>>;
  /** Watches streams by their names, or stops it. */
  linkStreams(request: LinkStreamsRequest): Promise<Result<object, LinkStreamsReject>>;
  claimWake(id: string, worker: string): Promise<Result<ClaimedWake, ClaimWakeReject>>;
  settleWake(request: SettleWakeRequest): Promise<Result<{ nextWake: boolean }, SettleWakeReject>>;
  /** Public keys that webhooks are signed with. */
  webhookKeys(): MaybePromise<readonly WebhookKey[]>;
}

type ReadReject = "no_leader" | "no_quorum" | "overloaded" | "shutting_down";
export type StreamWriteReject = WriteReject | "cluster_not_upgraded";
export type CreateStreamReject =
  | StreamWriteReject
  | "too_many_streams"
  | "invalid_offset"
  | "fork_too_deep"
  | "data_damaged"
  | "stream_exists"
  | "stream_has_forks"
  | "content_type_mismatch"
  | "fork_source_not_found"
  | "fork_source_gone"
  | "fork_source_changed"
  | "fork_offset_beyond_end"
  | "fork_sub_offset_beyond_end";
export type AppendStreamReject =
  | StreamWriteReject
  | "too_many_producers"
  | "stream_not_found"
  | "stream_gone"
  | "stream_closed"
  | "content_type_mismatch"
  | "seq_conflict"
  | "stale_epoch"
  | "epoch_not_at_zero"
  | "sequence_gap";
export type DeleteStreamReject = StreamWriteReject | "stream_not_found" | "stream_gone";
export type StreamReadReject =
  | ReadReject
  | StreamWriteReject
  | "stream_not_found"
  | "stream_gone"
  | "invalid_offset"
  | "offset_gone"
  | "data_damaged";
export type PutSubscriptionReject =
  | StreamWriteReject
  | "too_many_subscriptions"
  | "too_many_links"
  | "webhook_url_rejected"
  | "subscription_exists";
export type SubscriptionReadReject = ReadReject | "subscription_not_found";
export type LinkStreamsReject = StreamWriteReject | "subscription_not_found" | "too_many_links";
export type ClaimWakeReject =
  | StreamWriteReject
  | "subscription_not_found"
  | "subscription_not_pull"
  | "already_claimed"
  | "no_pending_work";
export type SettleWakeReject =
  | StreamWriteReject
  | "subscription_not_found"
  | "subscription_not_pull"
  | "wake_token_invalid"
  | "wake_token_expired"
  | "fenced"
  | "invalid_ack";
export type DurableRejectCode =
  | CreateStreamReject
  | AppendStreamReject
  | DeleteStreamReject
  | StreamReadReject
  | PutSubscriptionReject
  | SubscriptionReadReject
  | LinkStreamsReject
  | ClaimWakeReject
  | SettleWakeReject;

/** Encoded batches of one request. */
export type RequestRecords = {
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly logicalBytes: number;
};

export type CreateStreamRequest = {
  readonly path: string;
  /** Empty: the default, or the type of the source of a fork. */
  readonly contentType: string;
  readonly ttlSeconds: number | null;
  readonly expiresAt: { readonly text: string; readonly ms: number } | null;
  readonly closed: boolean;
  readonly fork: {
    readonly path: string;
    /** Null: at the end of the source. */
    readonly offset: string | null;
    readonly sub: number;
  } | null;
  /** Null: no records. */
  readonly records: RequestRecords | null;
};
export type StreamCreated = {
  readonly created: boolean;
  readonly contentType: string;
  readonly nextOffset: string;
  readonly closed: boolean;
};

export type AppendStreamRequest = {
  readonly path: string;
  /** Empty if there are no records. */
  readonly contentType: string;
  readonly seq: string | null;
  readonly producer: { readonly id: string; readonly epoch: number; readonly seq: number } | null;
  readonly close: boolean;
  readonly records: RequestRecords | null;
};
export type StreamAppended = {
  readonly nextOffset: string;
  readonly closed: boolean;
  readonly duplicate: boolean;
  /** Highest accepted number of the producer; 0 without a producer. */
  readonly producerSeq: number;
};

export type StreamInfo = {
  readonly streamId: number;
  readonly contentType: string;
  readonly nextOffset: string;
  readonly closed: boolean;
  readonly ttlSeconds: number | null;
  readonly expiresAt: string | null;
};

export type ReadStreamRequest = {
  readonly path: string;
  /** A token, `-1` for the beginning, or `now` for the end. */
  readonly offset: string;
  /** Bytes of the records. A single larger record is returned alone. */
  readonly maxBytes: number;
  /**
   * Set by a reader that goes on: the stream of its first page, whose end was known then. If the path
   * is of another stream now, the stream of the reader does not exist any more.
   */
  readonly streamId: number | null;
};
export type StreamPage = {
  readonly streamId: number;
  readonly contentType: string;
  /** The position that the page begins at. */
  readonly startOffset: string;
  readonly nextOffset: string;
  /** Offset of the next record, for `waitForStream`. */
  readonly next: number;
  /** Records one after the other, or a JSON array of them. */
  readonly body: Uint8Array;
  /** Number of records. */
  readonly count: number;
  /** The page reaches the end of the stream. */
  readonly upToDate: boolean;
  /** The stream is closed, and the page reaches its end. */
  readonly closed: boolean;
  readonly ttlSeconds: number | null;
  /** The read has to prolong the life of the stream, and only the leader can do that. */
  readonly touchDue: boolean;
};
export type StreamWait = {
  readonly streamId: number;
  readonly offset: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

export type ListStreamsRequest = {
  readonly prefix: string;
  /** Paths after this one. Empty: from the first. */
  readonly after: string;
  readonly limit: number;
};
export type StreamSummary = {
  readonly path: string;
  readonly contentType: string;
  readonly nextOffset: string;
  readonly records: number;
  readonly bytes: number;
  readonly closed: boolean;
  /** Deleted, and retained for its forks. */
  readonly deleted: boolean;
  readonly forkedFrom: string | null;
  readonly ttlSeconds: number | null;
  /** Milliseconds since 1970; null if the stream does not expire. */
  readonly expiresAtMs: number | null;
};
export type StreamProducer = {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
  readonly lastWriteMs: number;
};
export type StreamDetails = StreamSummary & {
  readonly forkOffset: string | null;
  readonly forkSubOffset: number | null;
  /** Streams that were forked from it and still exist. */
  readonly forks: number;
  readonly lastSeq: string | null;
  /** Time of the last use that counts for the time to live. */
  readonly lastUseMs: number;
  /** The last write first; not more than a page. */
  readonly producers: readonly StreamProducer[];
  readonly producersTotal: number;
};
export type StreamList = {
  readonly streams: readonly StreamSummary[];
  /** Value of `after` for the next page. Null at the end. */
  readonly next: string | null;
  readonly total: number;
};

export type PutSubscriptionRequest = SubscriptionConfig;
export type LinkStreamsRequest = {
  readonly id: string;
  readonly paths: readonly string[];
  readonly unlink: boolean;
};
export type SubscriptionStream = {
  readonly path: string;
  readonly byName: boolean;
  readonly acked: string;
  readonly tail: string;
  readonly pending: boolean;
};
export type SubscriptionSummary = {
  readonly id: string;
  readonly kind: "webhook" | "pull-wake";
  readonly pattern: string | null;
  readonly streams: number;
  readonly pending: number;
  readonly awake: boolean;
  readonly generation: number;
  readonly holder: string | null;
  readonly failures: number;
};
export type Subscription = {
  readonly id: string;
  readonly kind: "webhook" | "pull-wake";
  readonly pattern: string | null;
  readonly webhookUrl: string | null;
  readonly wakeStream: string | null;
  readonly leaseMs: number;
  readonly description: string | null;
  readonly origin: string;
  readonly createdAtMs: number;
  /** Failed calls of the webhook in a row. */
  readonly failures: number;
  /** All streams that are watched by their names. */
  readonly names: readonly string[];
  /** The watched streams. If they are very many, some of those with records to process. */
  readonly streams: readonly SubscriptionStream[];
  /** The number of the watched streams. */
  readonly streamsTotal: number;
  /** Id of the key that webhooks are signed with. */
  readonly keyId: string;
};
export type ClaimedWake = {
  readonly wakeId: string;
  readonly generation: number;
  readonly token: string;
  readonly leaseMs: number;
  readonly streams: readonly SubscriptionStream[];
};
export type SettleWakeRequest = {
  readonly id: string;
  readonly pull: boolean;
  readonly token: string;
  readonly wakeId: string;
  readonly generation: number;
  readonly acks: readonly { readonly path: string; readonly offset: string }[];
  readonly done: boolean;
};
/** An Ed25519 key as RFC 8037 has it. */
export type WebhookKey = { readonly kid: string; readonly x: string };

export type DurableRejected = Rejected<DurableRejectCode>;
