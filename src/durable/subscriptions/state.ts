import { DurableDue } from "../state.ts";
import { globOf } from "./glob.ts";
import type { LinkTable } from "./link-table.ts";

/** Secrets of the cluster for subscriptions. They are made once, by the first leader that needs them. */
export type SubscriptionKeys = {
  /** Seed of the Ed25519 key that signs webhooks. */
  readonly signing: Uint8Array;
  /** Key of the tokens that a wake is answered with. */
  readonly token: Uint8Array;
};
export const KEY_BYTES = 32;

/** The definition by the client. The same definition again changes nothing. */
export type SubscriptionConfig = {
  readonly id: string;
  readonly kind: "webhook" | "pull-wake";
  readonly pattern: string | null;
  /** Streams by their paths, sorted. */
  readonly streams: readonly string[];
  readonly webhookUrl: string | null;
  readonly wakeStream: string | null;
  readonly leaseMs: number;
  readonly description: string | null;
  /** Scheme and host that the client reached the cluster by, for the URLs in webhooks. */
  readonly origin: string;
};

/** The state of one subscription. Like a stream, it is copied before the first change in an epoch. */
export class SubscriptionState {
  readonly config: SubscriptionConfig;
  readonly serial: number;
  readonly createdAt: number;
  readonly epoch: number;
  readonly due: DurableDue;
  /** The present wake. It grows with each one. */
  generation = 0;
  /** A wake is under way. */
  awake = false;
  /** Ends of the streams that the wake is about, as they were when it was made. */
  snapshot: ReadonlyMap<string, string> = new Map();
  /** The worker that has claimed the wake. */
  holder: string | null = null;
  /** 0 without a lease. */
  leaseUntil = 0;
  /** Time of the next call of the webhook; 0 if none is due. */
  deliverAt = 0;
  /** Failed calls of the webhook in a row. */
  failures = 0;
  readonly links: LinkTable;
  /** Not replicated as such: the paths of the links with records that were not processed. */
  pending = new Set<string>();
  /** Not replicated: after a restore, `pending` lacks links of this bucket and of those behind it. */
  lookedAt = Number.POSITIVE_INFINITY;
  #matches: ((path: string) => boolean) | null = null;

  constructor(
    config: SubscriptionConfig,
    serial: number,
    createdAt: number,
    epoch: number,
    links: LinkTable,
    due?: DurableDue,
  ) {
    this.links = links;
    this.config = config;
    this.serial = serial;
    this.createdAt = createdAt;
    this.epoch = epoch;
    this.due = due ?? new DurableDue(serial, 1);
  }

  /** True if the pattern covers the path. Its own wakes would wake a subscription for ever. */
  covers(path: string): boolean {
    const { pattern, wakeStream } = this.config;
    if (pattern === null || path === wakeStream) return false;
    this.#matches ??= globOf(pattern);
    return this.#matches(path);
  }

  get wakeId(): string {
    return `w_${this.serial}_${this.generation}`;
  }

  copy(epoch: number): SubscriptionState {
    const { config, serial, createdAt, due } = this;
    const links = this.links.copy();
    const copy = new SubscriptionState(config, serial, createdAt, epoch, links, due);
    copy.generation = this.generation;
    copy.awake = this.awake;
    copy.snapshot = this.snapshot;
    copy.holder = this.holder;
    copy.leaseUntil = this.leaseUntil;
    copy.deliverAt = this.deliverAt;
    copy.failures = this.failures;
    copy.pending = this.pending;
    copy.lookedAt = this.lookedAt;
    copy.#matches = this.#matches;
    return copy;
  }
}

/** True if both definitions are equal. How the client reached the cluster is not part of them. */
export function sameConfig(a: SubscriptionConfig, b: SubscriptionConfig): boolean {
  return (
    a.kind === b.kind &&
    a.pattern === b.pattern &&
    a.webhookUrl === b.webhookUrl &&
    a.wakeStream === b.wakeStream &&
    a.leaseMs === b.leaseMs &&
    a.description === b.description &&
    a.streams.length === b.streams.length &&
    a.streams.every((stream, i) => stream === b.streams[i])
  );
}
