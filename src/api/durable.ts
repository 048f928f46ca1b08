/** Durable streams: the query of reads, and the lists that go beyond the protocol. */
import { Type as t } from "@sinclair/typebox";
import { natural, ok, type Wire } from "./common.ts";

export const DURABLE_READ_QUERY = t.Object({
  offset: t.Optional(
    t.String({ description: "An offset that the server gave, -1 (default) or now" }),
  ),
  live: t.Optional(t.String({ description: "long-poll or sse; anything else: read once" })),
  cursor: t.Optional(t.String({ description: "Stream-Cursor of the answer before" })),
});
export const DURABLE_LIST_QUERY = t.Object({
  prefix: t.Optional(t.String({ description: "Only paths that begin with it" })),
  after: t.Optional(t.String({ description: "`next` of the page before" })),
  limit: t.Optional(natural("Default 100, at most 1000", { minimum: 1 })),
});
const STREAM_SUMMARY = t.Object({
  path: t.String(),
  content_type: t.String(),
  next_offset: t.String(),
  records: natural("Records of its own, without those that it shares with its parent"),
  bytes: natural("Bytes of these records"),
  closed: t.Boolean(),
  deleted: t.Boolean({ description: "Retained for its forks only" }),
  forked_from: t.Union([t.String(), t.Null()]),
  ttl_seconds: t.Union([natural("Time to live"), t.Null()]),
  expires_at_ms: t.Union([natural("As of now; reading and appending may move it"), t.Null()]),
});
export type StreamSummary = Wire<typeof STREAM_SUMMARY>;
const STREAM_PRODUCER = t.Object({
  producer_id: t.String(),
  epoch: natural("Producer-Epoch of the last write"),
  seq: natural("Producer-Seq of the last write"),
  last_write_ms: natural("Time of the last write, in milliseconds since 1970"),
});
export const STREAM_DETAILS = t.Object({
  ok,
  ...STREAM_SUMMARY.properties,
  fork_offset: t.Union([t.String({ description: "Where the fork begins" }), t.Null()]),
  fork_sub_offset: t.Union([natural("Records, or bytes of a record, behind it"), t.Null()]),
  forks: natural("Streams that were forked from it and still exist"),
  last_seq: t.Union([t.String({ description: "The highest Stream-Seq" }), t.Null()]),
  last_use_ms: natural("Time of the last use that counts for the time to live"),
  producers: t.Array(STREAM_PRODUCER, { description: "At most 1000, the last write first" }),
  producers_total: natural("Number of producers"),
});
export type StreamDetails = Wire<typeof STREAM_DETAILS>;
export const DURABLE_LIST = t.Object({
  ok,
  streams: t.Array(STREAM_SUMMARY),
  next: t.Union([t.String(), t.Null()]),
  total: natural("Number of all streams that the token may read"),
});
export type DurableList = Wire<typeof DURABLE_LIST>;
const SUBSCRIPTION_SUMMARY = t.Object({
  id: t.String(),
  type: t.Union([t.Literal("webhook"), t.Literal("pull-wake")]),
  pattern: t.Union([t.String(), t.Null()]),
  streams: natural("Streams that it watches"),
  pending: natural("Streams with records that were not acknowledged"),
  awake: t.Boolean({ description: "A wake is under way" }),
  generation: natural("Number of wakes so far"),
  holder: t.Union([t.String({ description: "Worker with the lease" }), t.Null()]),
  failures: natural("Failed calls of the webhook in a row"),
});
export type SubscriptionSummary = Wire<typeof SUBSCRIPTION_SUMMARY>;
export const SUBSCRIPTION_LIST = t.Object({ ok, subscriptions: t.Array(SUBSCRIPTION_SUMMARY) });
export type SubscriptionList = Wire<typeof SUBSCRIPTION_LIST>;

const link = t.Object({
  path: t.String(),
  link_type: t.Union([t.Literal("explicit"), t.Literal("glob")]),
  acked_offset: t.String(),
  tail_offset: t.String(),
  has_pending: t.Boolean(),
});
export const SUBSCRIPTION_BODY = t.Object({
  type: t.Union([t.Literal("webhook"), t.Literal("pull-wake")]),
  pattern: t.Optional(t.String({ description: "`*` is one segment of a path, `**` any number" })),
  streams: t.Optional(t.Array(t.String())),
  webhook: t.Optional(t.Object({ url: t.String() })),
  wake_stream: t.Optional(t.String()),
  lease_ttl_ms: t.Optional(natural("Default 30000", { minimum: 1_000, maximum: 600_000 })),
  description: t.Optional(t.String()),
});
export const SUBSCRIPTION = t.Object({
  id: t.String(),
  subscription_id: t.String(),
  type: t.String(),
  pattern: t.Optional(t.String()),
  streams: t.Array(link, {
    description: "At most 1000: of more, some of those with records to process",
  }),
  streams_total: natural("Streams that it watches"),
  webhook: t.Optional(
    t.Object({
      url: t.String(),
      signing: t.Object({ alg: t.String(), kid: t.String(), jwks_url: t.String() }),
    }),
  ),
  wake_stream: t.Optional(t.String()),
  lease_ttl_ms: natural("Length of a lease"),
  created_at: t.String(),
  status: t.Union([t.Literal("active"), t.Literal("failed")]),
  description: t.Optional(t.String()),
});
export const LINK_BODY = t.Object({ streams: t.Array(t.String()) });
export const CLAIM_BODY = t.Object({ worker: t.String() });
export const CLAIMED = t.Object({
  wake_id: t.String(),
  generation: natural("Number of the wake"),
  token: t.String(),
  streams: t.Array(link),
  lease_ttl_ms: natural("Length of the lease"),
});
export const SETTLE_BODY = t.Object({
  wake_id: t.String(),
  generation: natural("Number of the wake"),
  acks: t.Optional(t.Array(t.Object({ stream: t.String(), offset: t.String() }))),
  done: t.Optional(t.Boolean()),
});
export const SETTLED = t.Object({ ok, next_wake: t.Boolean() });
export const WEBHOOK_KEYS = t.Object({
  keys: t.Array(
    t.Object({
      kty: t.String(),
      crv: t.String(),
      x: t.String(),
      kid: t.String(),
      use: t.String(),
      alg: t.String(),
    }),
  ),
});
