/** Webhooks: the records of a topic are delivered to a URL. */
import { Type as t } from "@sinclair/typebox";
import { CONCURRENT_MAX, TIMEOUT_MS_MAX, URL_CHARACTERS_MAX } from "../webhook/definition.ts";
import { NAME_PATTERN, natural, ok, topic, type Wire } from "./common.ts";
import { FILTER } from "./queries.ts";
import { PROGRESS, PURGED, REDRIVEN, retryFields } from "./queues.ts";

const STRICT = { additionalProperties: false };
const webhook = t.String({ pattern: NAME_PATTERN, description: "Webhook" });
const name = t.String({ pattern: NAME_PATTERN });
const time = (description: string) => natural(`${description}, milliseconds since 1970`);
const timeOrNull = (description: string) => t.Union([time(description), t.Null()]);

const url = t.String({
  maxLength: URL_CHARACTERS_MAX,
  description: "Receiver: https and a public address, unless RF_WEBHOOK_ALLOW names its host",
});
const format = t.Union([t.Literal("raw"), t.Literal("cloudevents")], {
  description: "raw: the value as it is stored; cloudevents: an event in structured mode",
});
const order = t.Union([t.Literal("partition"), t.Literal("key"), t.Literal("none")], {
  description: "Records of one partition, or of one key, are delivered one after the other",
});
const from = t.Union([t.Literal("earliest"), t.Literal("latest")], {
  description: "Where the webhook begins when it is created",
});
const headers = t.Record(t.String(), t.String(), { description: "Headers of each request" });

export const WEBHOOK_BODY = t.Object(
  {
    topic,
    url,
    filter: t.Optional(FILTER),
    format: t.Optional(format),
    order: t.Optional(order),
    max_in_flight: t.Optional(
      natural("Requests at a time; default 16", { minimum: 1, maximum: CONCURRENT_MAX }),
    ),
    timeout_ms: t.Optional(
      natural("Time for one request; default 15000", { minimum: 1, maximum: TIMEOUT_MS_MAX }),
    ),
    ...retryFields("webhook", {
      deliveries: 10,
      backoffMs: "[1000,10000,60000,300000,900000,1800000,3600000]",
    }),
    headers: t.Optional(headers),
    from: t.Optional(from),
  },
  STRICT,
);
export type WebhookBody = Wire<typeof WEBHOOK_BODY>;

const secret = t.String({
  pattern: "^whsec_[A-Za-z0-9+/]+=*$",
  description: "Verifies requests; it is told only once",
});
export const WEBHOOK_PUT = t.Object({
  ok,
  webhook,
  created: t.Boolean({ description: "False: it existed, with this definition or another one" }),
  secret: t.Optional(secret),
});
export type WebhookPut = Wire<typeof WEBHOOK_PUT>;
export const WEBHOOK_DELETED = t.Object({ ok, webhook, deleted: ok });
export type WebhookDeleted = Wire<typeof WEBHOOK_DELETED>;

const described = {
  webhook,
  topic,
  url,
  filter: t.Optional(FILTER),
  format,
  order,
  max_in_flight: natural("Requests at a time"),
  timeout_ms: natural("Time for one request"),
  max_deliveries: natural("Attempts before a record is put aside"),
  backoff_ms: t.Array(natural("Milliseconds")),
  dead_letter: t.Union([name, t.Null()]),
  headers,
  from,
  created_at_ms: time("When it was created"),
  secret_created_at_ms: time("When the secret was made"),
  previous_secret_until_ms: timeOrNull("Until when the secret before the rotation signs too"),
  paused: t.Boolean(),
  paused_at_ms: timeOrNull("Since when"),
  paused_reason: t.Union([t.Literal("requested"), t.Literal("gone"), t.Null()], {
    description: "gone: the receiver answered 410",
  }),
  ready: natural("Records that can be delivered"),
  in_flight: natural("Records that are being delivered"),
  delayed: natural("Records that wait for their retry"),
  dead: natural("Records that were put aside and not moved back"),
  delivered: natural("Records that were delivered"),
  filtered: natural("Records that the filter left out"),
  purged: natural("Records that purges have finished"),
  redriven: natural("Dead letters that were moved back"),
  lost_to_retention: natural("Records that were deleted before they were delivered"),
  oldest_age_ms: natural("Age of the oldest record that is not finished"),
};
export const WEBHOOK_LIST = t.Object({ ok, webhooks: t.Array(t.Object(described)) });
export type WebhookList = Wire<typeof WEBHOOK_LIST>;
export const WEBHOOK_DESCRIBED = t.Object({
  ok,
  ...described,
  partitions: PROGRESS,
});
export type WebhookDescribed = Wire<typeof WEBHOOK_DESCRIBED>;
const { moved, remaining } = REDRIVEN.properties;
export const REDRIVEN_WEBHOOK = t.Object({ ok, webhook, moved, remaining });
export type RedrivenWebhook = Wire<typeof REDRIVEN_WEBHOOK>;
const { purged } = PURGED.properties;
export const PURGED_WEBHOOK = t.Object({ ok, webhook, purged });
export type PurgedWebhook = Wire<typeof PURGED_WEBHOOK>;

export const WEBHOOK_PAUSED = t.Object({
  ok,
  webhook,
  paused: t.Boolean(),
  changed: t.Boolean({ description: "False: it was so already" }),
});
export type WebhookPaused = Wire<typeof WEBHOOK_PAUSED>;
export const SECRET_ROTATED = t.Object({
  ok,
  webhook,
  secret,
  previous_secret_until_ms: time("Until when the former secret signs too"),
});
export type SecretRotated = Wire<typeof SECRET_ROTATED>;

const orNull = (description: string) => t.Union([natural(description), t.Null()]);
const delivery = t.Object({
  webhook_id: t.String({ description: "Header webhook-id: the same at all attempts" }),
  test: t.Boolean({ description: "True: it was no record" }),
  partition: orNull("Partition of the record"),
  offset: orNull("Offset of the record"),
  attempt: orNull("Number of the attempt, from 1"),
  at_ms: time("When it began"),
  duration_ms: natural("How long it took"),
  status: orNull("Status of the answer; null: there was none"),
  body: t.String({ description: "The first 1024 bytes of the answer" }),
  error: t.Union([t.String(), t.Null()], { description: "Why there was no answer" }),
  outcome: t.Union(
    [t.Literal("delivered"), t.Literal("retry"), t.Literal("dead"), t.Literal("paused")],
    {
      description:
        "delivered; retry: again after its wait; dead: put aside; paused: the receiver is gone",
    },
  ),
});
export const DELIVERIES_QUERY = t.Object({
  status: t.Optional(
    t.String({ description: "ok, failed, none (no answer), a status such as 503, or 5xx" }),
  ),
  limit: t.Optional(natural("Default 100, the most that are remembered", { minimum: 1 })),
});
export const DELIVERIES = t.Object({
  ok,
  webhook,
  deliveries: t.Array(delivery, { description: "The newest first" }),
});
export type Deliveries = Wire<typeof DELIVERIES>;
export const WEBHOOK_TESTED = t.Object({ ok, webhook, delivery });
export type WebhookTested = Wire<typeof WEBHOOK_TESTED>;
