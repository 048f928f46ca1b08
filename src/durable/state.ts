import type { BrokerEffects, BrokerState, HasBroker, PartitionState } from "../broker/state.ts";
import { type CommandRejected, commandRejected, type Rejecting } from "../lib/command-rejected.ts";
import { DUE_KIND, Due, DueIndex } from "../lib/due-index.ts";
import { IdMap } from "../lib/id-map.ts";
import type { Millis } from "../lib/ids.ts";
import type { SubscriptionKeys, SubscriptionState } from "./subscriptions/state.ts";

/** The last accepted write of an idempotent producer. Replaced, never changed. */
export type ProducerState = {
  readonly epoch: number;
  readonly seq: number;
  /** Time of its last write. */
  readonly at: number;
};

/** The write of a producer that closed the stream. A retry of it is a success. */
export type Closer = { readonly producerId: string; readonly epoch: number; readonly seq: number };

/** A time given by the client, with the text that it is reported with. */
export type ExpiresAt = { readonly text: string; readonly ms: number };

/** The stream that a fork was made from. */
export type ForkOrigin = {
  readonly path: string;
  readonly streamId: number;
  /** The requested position; its records below are shared with the parent. */
  readonly offset: number;
  /** The requested refinement: records of a JSON stream, bytes of the record at `offset` otherwise. */
  readonly sub: number;
};

export type StreamConfig = {
  readonly path: string;
  readonly contentType: string;
  /** Seconds without use after which the stream expires. */
  readonly ttlSeconds: number | null;
  readonly expiresAt: ExpiresAt | null;
  readonly fork: ForkOrigin | null;
  /** Offset of the first record that is stored in the stream itself. 0 unless the stream is a fork. */
  readonly base: number;
  /** Number of streams above it in a chain of forks. */
  readonly depth: number;
};

/** The stream, or its subscription, that falls due. Subscriptions have the id 1. */
export class DurableDue extends Due {
  constructor(owner: number, id: 0 | 1) {
    super(DUE_KIND.stream, owner, id);
  }
}

const NO_PRODUCERS: ReadonlyMap<string, ProducerState> = new Map();
const NO_WATCHERS: readonly string[] = [];

/**
 * One stream. Its records are those of the only partition of its topic, which has the same
 * id. A snapshot may refer to a stream: `writable` copies it before the first change after that.
 */
export class StreamState {
  readonly streamId: number;
  readonly config: StreamConfig;
  /** The epoch of `DurableState` in which the object was made. */
  readonly epoch: number;
  closed = false;
  closedBy: Closer | null = null;
  /** Time of the last use that counts for `ttlSeconds`. */
  touchedAt: number;
  /** The highest `Stream-Seq` so far. */
  lastSeq: string | null = null;
  /** Most streams have at most one. Changed by `rememberWrite` only. */
  producers: ReadonlyMap<string, ProducerState> = NO_PRODUCERS;
  /** Not replicated: the epoch in which `producers` was copied. */
  producersEpoch = -1;
  /** Number of streams that were forked from this one and still exist. */
  forks = 0;
  /** Deleted or expired, and retained for its forks. */
  deleted = false;
  /** Null if the stream never expires. */
  readonly due: DurableDue | null;
  /** Not replicated: ids of the subscriptions that watch the stream, as of `watchedAs`. */
  watchers: readonly string[] = NO_WATCHERS;
  watchedAs = -1;

  /** @param now the time of its creation. */
  constructor(
    streamId: number,
    config: StreamConfig,
    epoch: number,
    now: number,
    due?: DurableDue | null,
  ) {
    this.streamId = streamId;
    this.config = config;
    this.epoch = epoch;
    this.touchedAt = now;
    const expires = config.ttlSeconds !== null || config.expiresAt !== null;
    this.due = due === undefined ? (expires ? new DurableDue(streamId, 0) : null) : due;
  }

  /** Returns a copy that belongs to another epoch. It takes the place of this object everywhere. */
  copy(epoch: number): StreamState {
    const copy = new StreamState(this.streamId, this.config, epoch, this.touchedAt, this.due);
    copy.closed = this.closed;
    copy.closedBy = this.closedBy;
    copy.lastSeq = this.lastSeq;
    copy.producers = this.producers;
    copy.producersEpoch = this.producersEpoch;
    copy.forks = this.forks;
    copy.deleted = this.deleted;
    copy.watchers = this.watchers;
    copy.watchedAs = this.watchedAs;
    return copy;
  }
}

/** Content types whose texts are shared. */
const TYPES_MAX = 1_000;

/** Durable streams and their subscriptions. */
export class DurableState {
  readonly byPath = new Map<string, StreamState>();
  /** The same streams, in the order of their ids. */
  readonly byId = new IdMap<StreamState>();
  readonly subscriptions = new Map<string, SubscriptionState>();
  /** Grows from 1 and is never used again: a token of a deleted subscription fits no later one. */
  nextSerial = 1;
  /** Null until the first subscription. */
  keys: SubscriptionKeys | null = null;
  /** Not replicated: what was made in an older epoch may be shared with a snapshot. */
  epoch = 0;
  /** Not replicated as such: the times at which streams expire and leases end. */
  readonly due = new DueIndex<DurableDue>();
  /** Not replicated: changes with the definitions of the subscriptions. */
  definitions = 0;
  /** Not replicated: changes when a webhook has to be called. */
  deliveries = 0;
  readonly #types = new Map<string, string>();

  /** Returns one text for all streams of a content type. */
  sharedType(contentType: string): string {
    const known = this.#types.get(contentType);
    if (known !== undefined) return known;
    if (this.#types.size < TYPES_MAX) this.#types.set(contentType, contentType);
    return contentType;
  }

  get isEmpty(): boolean {
    return this.byId.size === 0 && this.nextSerial === 1;
  }
}

export interface DurableEffects extends BrokerEffects {
  /** The stream of the partition was closed, deleted or touched without an append. */
  streamChanged(partition: PartitionState): void;
}

/** The state that a command reads and changes. */
export type DurableContext = {
  readonly durable: DurableState;
  readonly broker: BrokerState;
  readonly now: Millis;
  readonly effects: DurableEffects;
};

/** The part of the replicated state that commands of this folder need. */
export type HasDurable = HasBroker & { readonly parts: { readonly durable: DurableState } };

export const contextOf = (
  { parts, broker, now }: HasDurable,
  effects: DurableEffects,
): DurableContext => ({ durable: parts.durable, broker, now, effects });

export type DurableRejectCode =
  | "stream_not_found"
  | "stream_gone"
  | "stream_exists"
  | "stream_has_forks"
  | "stream_closed"
  | "content_type_mismatch"
  | "seq_conflict"
  | "stale_epoch"
  | "epoch_not_at_zero"
  | "sequence_gap"
  | "fork_source_not_found"
  | "fork_source_gone"
  | "fork_source_changed"
  | "fork_offset_beyond_end"
  | "subscription_not_found"
  | "subscription_exists"
  | "subscription_not_pull"
  | "already_claimed"
  | "no_pending_work"
  | "fenced"
  | "invalid_ack";

export type DurableRejected<Code extends DurableRejectCode = DurableRejectCode> =
  CommandRejected<Code>;

export const refused: Rejecting<DurableRejectCode> = commandRejected;

/** Returns the stream for a change. It is copied if a snapshot may refer to it. */
export function writable(state: DurableState, stream: StreamState): StreamState {
  if (stream.epoch === state.epoch) return stream;
  const copy = stream.copy(state.epoch);
  state.byPath.set(copy.config.path, copy);
  state.byId.set(copy.streamId, copy);
  return copy;
}

/** Returns the time at which the stream expires; `Infinity` if it does not. */
export function expiryOf({ config, touchedAt }: StreamState): number {
  const { ttlSeconds, expiresAt } = config;
  const byTtl = ttlSeconds === null ? Number.POSITIVE_INFINITY : touchedAt + ttlSeconds * 1000;
  return Math.min(byTtl, expiresAt?.ms ?? Number.POSITIVE_INFINITY);
}

export const isExpired = (stream: StreamState, now: number): boolean => expiryOf(stream) <= now;
