/** Queues: readings of a topic that give each record to one worker. */
import { Type as t } from "@sinclair/typebox";
import {
  BACKOFFS_MAX,
  DELAY_MS_MAX,
  LEASE_MS_MAX,
  MAX_DELIVERIES_MAX,
  MAX_IN_FLIGHT_MAX,
  REASON_CHARACTERS_MAX,
  RECEIPTS_MAX,
  RECEIVE_MAX,
} from "../queue/definition.ts";
import { NAME_PATTERN, natural, ok, partition, topic, type Wire } from "./common.ts";
import { MESSAGE } from "./consume.ts";

export { RECEIPTS_MAX, RECEIVE_MAX };

const STRICT = { additionalProperties: false };
const queue = t.String({ pattern: NAME_PATTERN, description: "Queue" });
const name = t.String({ pattern: NAME_PATTERN });
const order = t.Union([t.Literal("none"), t.Literal("key")], {
  description: "key: later records of a key wait while one of them is worked on",
});
const from = t.Union([t.Literal("earliest"), t.Literal("latest")], {
  description: "Where the queue begins when it is created",
});

/**
 * Fields of a body about retries and dead letters. A webhook has them too, because it is a queue.
 *
 * @param named stands for the name in the default of the dead-letter topic.
 */
export const retryFields = (
  named: "queue" | "webhook",
  defaults: { readonly deliveries: number; readonly backoffMs: string },
) => ({
  max_deliveries: t.Optional(
    natural(`Attempts before a record is put aside; default ${defaults.deliveries}`, {
      minimum: 1,
      maximum: MAX_DELIVERIES_MAX,
    }),
  ),
  backoff_ms: t.Optional(
    t.Array(natural("Milliseconds", { maximum: DELAY_MS_MAX }), {
      minItems: 1,
      maxItems: BACKOFFS_MAX,
      description: `Waits after the first failure, the second …; the last one repeats; default ${defaults.backoffMs}`,
    }),
  ),
  dead_letter: t.Optional(
    t.Union([name, t.Null()], {
      description: `Topic of the records that are put aside; null: drop them; default {${named}}.dead`,
    }),
  ),
});

export const QUEUE_BODY = t.Object(
  {
    topic,
    visibility_ms: t.Optional(
      natural("Length of a lease; default 30000", { minimum: 1, maximum: LEASE_MS_MAX }),
    ),
    ...retryFields("queue", { deliveries: 5, backoffMs: "[1000,10000,60000]" }),
    order: t.Optional(order),
    max_in_flight: t.Optional(
      natural("Leases at a time; default 1000", { minimum: 1, maximum: MAX_IN_FLIGHT_MAX }),
    ),
    from: t.Optional(from),
  },
  STRICT,
);
export type QueueBody = Wire<typeof QUEUE_BODY>;
export const QUEUE_PUT = t.Object({
  ok,
  queue,
  created: t.Boolean({ description: "False: it existed, with this definition or another one" }),
});
export type QueuePut = Wire<typeof QUEUE_PUT>;
export const QUEUE_DELETED = t.Object({ ok, queue, deleted: ok });
export type QueueDeleted = Wire<typeof QUEUE_DELETED>;

const described = {
  queue,
  topic,
  visibility_ms: natural("Length of a lease"),
  max_deliveries: natural("Attempts before a record is put aside"),
  backoff_ms: t.Array(natural("Milliseconds")),
  dead_letter: t.Union([name, t.Null()]),
  order,
  max_in_flight: natural("Leases at a time"),
  from,
  ready: natural("Records that can be received"),
  in_flight: natural("Records that are leased"),
  delayed: natural("Records that wait for their retry"),
  dead: natural("Records that were put aside and not moved back"),
  acked: natural("Records that were acknowledged"),
  purged: natural("Records that were purged"),
  redriven: natural("Dead letters that were moved back"),
  lost_to_retention: natural("Records that were deleted before they were acknowledged"),
  oldest_age_ms: natural("Age of the oldest record that is not finished"),
  redrive: t.Optional(
    t.Object(
      {
        per_second: natural("Rate"),
        left: t.Union([natural("Dead letters"), t.Null()], { description: "Null: all" }),
      },
      { description: "A redrive with a rate that goes on" },
    ),
  ),
};
/** Progress by partition. */
export const PROGRESS = t.Array(
  t.Object({
    partition,
    low_offset: natural("First record that is not finished"),
    end_offset: natural("Offset that the next record gets"),
    unfinished: natural("Records that are not finished"),
  }),
);
export const QUEUE_LIST = t.Object({ ok, queues: t.Array(t.Object(described)) });
export type QueueList = Wire<typeof QUEUE_LIST>;
export const QUEUE_DESCRIBED = t.Object({
  ok,
  ...described,
  partitions: PROGRESS,
  dead_letters: t.Array(
    t.Object({ partition, offset: natural("First dead letter that was not moved back") }),
    { description: "By partition of the dead-letter topic; empty before the first dead letter" },
  ),
});
export type QueueDescribed = Wire<typeof QUEUE_DESCRIBED>;

export const RECEIVE_QUERY = t.Object({
  max: t.Optional(
    natural(`Messages, default 1; above ${RECEIVE_MAX} counts as ${RECEIVE_MAX}`, { minimum: 1 }),
  ),
  wait_ms: t.Optional(natural("Wait for a message if there is none", { maximum: 60_000 })),
  visibility_ms: t.Optional(
    natural("Length of these leases; absent: as the queue says", {
      minimum: 1,
      maximum: LEASE_MS_MAX,
    }),
  ),
  encoding: t.Optional(t.Literal("b64", { description: "b64: values and keys in base64" })),
});
const blocked = t.Union([t.Literal("max_in_flight"), t.Literal("oldest_unacknowledged")], {
  description: "Why there may be more messages than could be given out",
});
export const RECEIVED = t.Object({
  ok,
  messages: t.Array(
    t.Composite([
      t.Object({ topic }),
      MESSAGE,
      t.Object({
        attempt: natural("Number of this delivery of the record, from 1"),
        receipt: t.String({ description: "Names this delivery" }),
        visible_at_ms: natural("When the lease ends, milliseconds since 1970"),
      }),
    ]),
  ),
  count: natural("Messages in this answer"),
  blocked: t.Optional(blocked),
});
export type ReceivedMessages = Wire<typeof RECEIVED>;

const receipts = t.Array(t.String({ maxLength: 256 }), {
  minItems: 1,
  maxItems: RECEIPTS_MAX,
  description: "Receipts of deliveries",
});
export const ACK_BODY = t.Object({ receipts }, STRICT);
export type AckBody = Wire<typeof ACK_BODY>;
export const NACK_BODY = t.Object(
  {
    receipts,
    delay_ms: t.Optional(
      natural("Wait before the next delivery; absent: the backoff of the queue", {
        maximum: DELAY_MS_MAX,
      }),
    ),
  },
  STRICT,
);
export type NackBody = Wire<typeof NACK_BODY>;
export const EXTEND_BODY = t.Object(
  { receipts, by_ms: natural("Prolongs the leases", { minimum: 1, maximum: LEASE_MS_MAX }) },
  STRICT,
);
export type ExtendBody = Wire<typeof EXTEND_BODY>;
export const REJECT_BODY = t.Object(
  {
    receipts,
    reason: t.Optional(
      t.String({ maxLength: REASON_CHARACTERS_MAX, description: "Header dead-reason" }),
    ),
  },
  STRICT,
);
export type RejectBody = Wire<typeof REJECT_BODY>;
export const SETTLED = t.Object({
  ok,
  results: t.Array(
    t.Object({
      receipt: t.String(),
      ok: t.Boolean(),
      error: t.Optional(t.Union([t.Literal("lease_expired"), t.Literal("unknown_receipt")])),
    }),
    { description: "In the order of the receipts" },
  ),
});
export type SettledMessages = Wire<typeof SETTLED>;

export const REDRIVE_BODY = t.Object(
  {
    max: t.Optional(natural("Dead letters to move; absent: all", { minimum: 1 })),
    per_second: t.Optional(
      natural("At most this many a second; those after the first second follow in the background", {
        minimum: 1,
        maximum: 1_000_000,
      }),
    ),
  },
  STRICT,
);
export type RedriveBody = Wire<typeof REDRIVE_BODY>;
export const REDRIVEN = t.Object({
  ok,
  queue,
  moved: natural("Dead letters that were moved back"),
  remaining: natural("Dead letters that are left"),
});
export type RedrivenAnswer = Wire<typeof REDRIVEN>;
export const REDRIVE_STOPPED = t.Object({
  ok,
  queue,
  stopped: t.Boolean({ description: "False: no redrive with a rate was going on" }),
});
export type RedriveStopped = Wire<typeof REDRIVE_STOPPED>;
export const PURGED = t.Object({ ok, queue, purged: natural("Records that were finished") });
export type Purged = Wire<typeof PURGED>;
