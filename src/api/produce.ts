/** Writes of records. */
import { Type as t } from "@sinclair/typebox";
import { DELAY_MS_MAX } from "../queue/definition.ts";
import { HEADER_NAME_BYTES_MAX } from "../record/headers.ts";
import { ack, natural, ok, partition, switchOf, timeoutMs, type Wire } from "./common.ts";

/** Names are lower-cased before they are stored. */
const HEADER_NAME_PATTERN = `^[A-Za-z0-9._-]{1,${HEADER_NAME_BYTES_MAX}}$`;
export const PRODUCE_QUERY = t.Object({
  partition: t.Optional(natural("Target; absent: by key, else by idempotency key, else in turn")),
  key: t.Optional(t.String({ description: "Stored with the message" })),
  idempotency_key: t.Optional(
    t.String({ description: "1 to 512 bytes; also as header Idempotency-Key" }),
  ),
  timeout_ms: timeoutMs,
  delay_ms: t.Optional(
    natural("The record is produced after this time, at most a year", { maximum: DELAY_MS_MAX }),
  ),
  deliver_at_ms: t.Optional(
    natural("The record is produced at this time, in milliseconds since 1970"),
  ),
  timing: t.Optional(switchOf("1 adds the times that parts of it took")),
  mode: t.Optional(t.Union([t.Literal("sealed"), t.Literal("rocket")])),
  producer: t.Optional(
    t.String({
      description: "`<id>:<epoch>:<seq>`, the same as Producer-Id, Producer-Epoch and Producer-Seq",
    }),
  ),
});
const recordFields = {
  key: t.Optional(t.String({ description: "Absent: the key of the query" })),
  headers: t.Optional(
    t.Record(t.String({ pattern: HEADER_NAME_PATTERN }), t.String(), {
      description: "Headers of this record; those of the request are added",
    }),
  ),
};
export const PRODUCE_JSON_BODY = t.Object(
  {
    records: t.Array(
      t.Union([
        t.Object(
          {
            value: t.Unknown({
              description: "A string is stored as its text, any other value as it is written",
            }),
            ...recordFields,
          },
          { additionalProperties: false },
        ),
        t.Object(
          {
            value_b64: t.String({ contentEncoding: "base64", description: "The bytes in base64" }),
            ...recordFields,
          },
          { additionalProperties: false },
        ),
      ]),
      { minItems: 1 },
    ),
  },
  { additionalProperties: false },
);
export type ProduceJsonBody = Wire<typeof PRODUCE_JSON_BODY>;
/** A duplicate has only some of the fields, because they describe its first write. */
const { batch_id, sealed, durable, mode, synced } = ack;
const produced = {
  batch_id: t.Optional(batch_id),
  sealed,
  durable: t.Optional(durable),
  mode: t.Optional(mode),
  synced,
  acked_by: t.Optional(natural("Nodes that had fsynced it when this was answered")),
  duplicate: t.Optional(t.Boolean()),
  payload_matches: t.Optional(t.Literal(false)),
  queue_us: t.Optional(natural("Waited for the batch to close")),
  recv_parse_us: t.Optional(natural("Receiving and checking the request")),
  server_us: t.Optional(natural("All of it")),
  produce_us: t.Optional(natural("From the checked request to its outcome")),
  sync_wait_us: t.Optional(natural("Waited for sync and commit")),
};
export const PRODUCED = t.Object({
  ok,
  offset: t.Optional(
    natural(
      "Offset of the message; absent: a repetition of a write before the producer's last one",
    ),
  ),
  partition,
  ...produced,
});
export type Produced = Wire<typeof PRODUCED>;
export const PRODUCED_BATCH = t.Object({
  ok,
  first_offset: t.Optional(
    natural(
      "Offset of the first message; absent: a repetition of a write before the producer's last one",
    ),
  ),
  count: t.Optional(natural("Messages stored; absent if first_offset is")),
  partition,
  ...produced,
});
export type ProducedBatch = Wire<typeof PRODUCED_BATCH>;
/** The answer to a produce with delay_ms or deliver_at_ms. */
export const SCHEDULED = t.Object({
  ok,
  scheduled: ok,
  schedule_id: t.String({ description: "For `GET` and `DELETE /broker/schedules/{schedule_id}`" }),
  deliver_at_ms: t.Union([natural("When the records are produced"), t.Null()], {
    description: "Null: a duplicate of records that were delivered already",
  }),
  count: natural("Records"),
  partition,
  ...produced,
});
export type ScheduledAnswer = Wire<typeof SCHEDULED>;
/** A batch of CloudEvents is answered as a batch by the route for one message. */
export const PRODUCED_ANY = t.Union([PRODUCED, PRODUCED_BATCH, SCHEDULED]);
export const PRODUCED_BATCH_ANY = t.Union([PRODUCED_BATCH, SCHEDULED]);
