import { sameBytes } from "../lib/bytes.ts";
import { LEVEL_DELIVERY } from "../lib/log-levels.ts";
import { type QueueDefinition, type QueueStart, sameBackoff } from "../queue/definition.ts";

/** Level of the log that webhooks need. */
export const WEBHOOKS_LEVEL = LEVEL_DELIVERY;
export const WEBHOOKS_FEATURE = "Webhooks";

/** Bounds of a webhook. Changing one of these changes what apply does, so it needs a new command. */
export const WEBHOOKS_MAX = 1_000;
/** Records that one command leaves out because of the filter. */
export const SKIPPED_MAX = 10_000;
/** How long the secret before a rotation goes on signing. */
export const SECRET_OVERLAP_MS = 24 * 3_600_000;
export const SECRET_BYTES = 32;

export const URL_CHARACTERS_MAX = 2_048;
export const FILTER_CHARACTERS_MAX = 16 * 1024;
export const OWN_HEADERS_MAX = 32;
export const OWN_HEADER_BYTES_MAX = 8 * 1024;
export const TIMEOUT_MS_MAX = 120_000;
export const CONCURRENT_MAX = 1_000;
/** A lease lasts this much longer than an attempt, for the way of the outcome into the log. */
const LEASE_MARGIN_MS = 5_000;

/** The queue of a webhook. Its name is not one that a client can use. */
export const queueNameOf = (webhook: string): string => `webhook:${webhook}`;

/** raw: the value as it is stored. cloudevents: an event in structured mode. */
export type WebhookFormat = "raw" | "cloudevents";
/** Records that must not be delivered at the same time: those of one partition, or of one key. */
export type WebhookOrder = "partition" | "key" | "none";

/** The definition of a webhook. Replaced, never changed. */
export type WebhookDefinition = {
  readonly topic: string;
  readonly url: string;
  /** JSON text of a list of conditions as in queries. Empty: every record is delivered. */
  readonly filter: string;
  readonly format: WebhookFormat;
  readonly order: WebhookOrder;
  readonly maxInFlight: number;
  readonly timeoutMs: number;
  readonly maxDeliveries: number;
  readonly backoffMs: readonly number[];
  /** Topic of the records that could not be delivered. Null: they are dropped. */
  readonly deadLetter: string | null;
  /** Headers of each request, encoded as in `record/headers.ts`. */
  readonly headers: Uint8Array;
  readonly from: QueueStart;
};

/**
 * Attempts, waits and dead letters of a webhook are those of a queue. For the order of a partition, the
 * leader gives all its records one key.
 */
export const queueOf = (webhook: WebhookDefinition): QueueDefinition => ({
  topic: webhook.topic,
  visibilityMs: webhook.timeoutMs + LEASE_MARGIN_MS,
  maxDeliveries: webhook.maxDeliveries,
  backoffMs: webhook.backoffMs,
  deadLetter: webhook.deadLetter,
  order: webhook.order === "none" ? "none" : "key",
  maxInFlight: webhook.maxInFlight,
  from: webhook.from,
});

export const isSameWebhook = (a: WebhookDefinition, b: WebhookDefinition): boolean =>
  a.topic === b.topic &&
  a.url === b.url &&
  a.filter === b.filter &&
  a.format === b.format &&
  a.order === b.order &&
  a.maxInFlight === b.maxInFlight &&
  a.timeoutMs === b.timeoutMs &&
  a.maxDeliveries === b.maxDeliveries &&
  a.deadLetter === b.deadLetter &&
  a.from === b.from &&
  sameBackoff(a.backoffMs, b.backoffMs) &&
  sameBytes(a.headers, b.headers);
