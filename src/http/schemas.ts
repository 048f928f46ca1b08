/** Schemas of requests and responses, used by our own validation and by `/openapi.json`. */
import { Type as t } from "@sinclair/typebox";
import { HEADER_NAME_BYTES_MAX } from "../record/headers.ts";
import { GROUP_PATTERN, NAME_PATTERN } from "./names.ts";

/** Names are lower-cased before they are stored. */
const HEADER_NAME_PATTERN = `^[A-Za-z0-9._-]{1,${HEADER_NAME_BYTES_MAX}}$`;

const natural = (description: string, extra: { minimum?: number; maximum?: number } = {}) =>
  t.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, ...extra, description });

const topic = t.String({ pattern: NAME_PATTERN, description: "Topic name" });
const group = t.String({ pattern: GROUP_PATTERN, description: "Consumer group" });
const partition = natural("Partition, counted from 0");

/** @param partitionsMax of one topic. */
export const createTopicBody = (partitionsMax: number) =>
  t.Object({
    name: topic,
    partitions: t.Optional(natural("Default 8", { minimum: 1, maximum: partitionsMax })),
  });
export const COMMIT_BODY = t.Object({
  topic,
  group,
  partition,
  offset: natural("The next offset to read, so: next_offset of the page that was worked off"),
});
export const DELETE_BEFORE_BODY = t.Object({
  topic,
  partition,
  before_offset: natural("First offset that is kept"),
});
export const RETENTION_BODY = t.Object(
  {
    topic: t.String({
      pattern: `${NAME_PATTERN.slice(0, -1)}$|^\\*$`,
      description: 'Topic name, or "*" for every topic, also later ones',
    }),
    partition: t.Optional(partition),
    ttl_ms: t.Optional(natural("Age in milliseconds after which records go; 0 switches it off")),
    max_bytes: t.Optional(natural("Keys and values kept per partition; 0 switches it off")),
  },
  { additionalProperties: false },
);
export const NO_FIELDS_BODY = t.Object({}, { additionalProperties: false });

const switchOf = (description: string) =>
  t.Union([t.Literal("0"), t.Literal("1")], { description });
const timeoutMs = t.Optional(natural("Wait at most this long for the write concern"));
export const PRODUCE_QUERY = t.Object({
  partition: t.Optional(natural("Target; absent: by key, else by idempotency key, else in turn")),
  key: t.Optional(t.String({ description: "Stored with the message" })),
  idempotency_key: t.Optional(
    t.String({ description: "1 to 512 bytes; also as header Idempotency-Key" }),
  ),
  timeout_ms: timeoutMs,
  timing: t.Optional(switchOf("1 adds the times that parts of it took")),
  mode: t.Optional(t.Union([t.Literal("sealed"), t.Literal("rocket")])),
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
export const CONSUME_QUERY = t.Object({
  offset: t.Optional(natural("First offset; absent: the committed one, else the first kept one")),
  limit: t.Optional(natural("Default 100; above 1000 counts as 1000", { minimum: 1 })),
  encoding: t.Optional(t.Literal("b64", { description: "b64: values and keys in base64" })),
  max_bytes: t.Optional(natural("Keys and values on a page; default 4194304")),
  consistency: t.Optional(t.Union([t.Literal("applied"), t.Literal("linearizable")])),
  wait_ms: t.Optional(natural("Wait for a record if there is none", { maximum: 60_000 })),
  follow: t.Optional(switchOf("1: lines without end, or events as Accept says")),
  from_ms: t.Optional(
    natural("Instead of offset: the first record that is not older, in milliseconds since 1970"),
  ),
});
export const KV_PUT_QUERY = t.Object({
  cas: t.Optional(natural("Expected revision; 0: only if absent")),
  ttl_ms: t.Optional(natural("Lives this long; absent or 0: for ever")),
  timeout_ms: timeoutMs,
});
export const KV_GET_QUERY = t.Object({
  consistency: t.Optional(t.Union([t.Literal("applied"), t.Literal("linearizable")])),
});
export const KV_DELETE_QUERY = t.Object({
  cas: t.Optional(natural("Expected revision")),
  timeout_ms: timeoutMs,
});
export const KV_LIST_QUERY = t.Object({
  prefix: t.Optional(t.String({ description: "Only keys that begin with it" })),
  after: t.Optional(t.String({ description: "Only keys after this one, in byte order" })),
  limit: t.Optional(natural("Default 100; above 1000 counts as 1000", { minimum: 1 })),
});
export const NO_QUERY = t.Object({});

const ok = t.Literal(true);
const ack = {
  batch_id: natural("Index of the log entry; 0 in rocket mode"),
  sealed: t.Boolean(),
  durable: t.Boolean(),
  mode: t.Union([t.Literal("sealed"), t.Literal("rocket")]),
  synced: t.Union([t.Boolean(), t.Null()]),
};
const producedExtras = {
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
  offset: natural("Offset of the message"),
  partition,
  ...ack,
  ...producedExtras,
});
export const PRODUCED_BATCH = t.Object({
  ok,
  first_offset: natural("Offset of the first message"),
  count: natural("Messages stored"),
  partition,
  ...ack,
  ...producedExtras,
});
export const MESSAGE = t.Object({
  offset: natural("Offset"),
  partition,
  timestamp_ms: natural("When the leader took it, milliseconds since 1970"),
  key: t.Optional(t.String()),
  key_b64: t.Optional(t.String()),
  value: t.Optional(t.String()),
  value_b64: t.Optional(t.String()),
  headers: t.Optional(
    t.Record(t.String(), t.String(), { description: "By name; absent if there are none" }),
  ),
});
export const PAGE = t.Object({
  messages: t.Array(MESSAGE),
  count: natural("Messages on this page"),
  next_offset: natural("Offset of the next read"),
  committed_offset: t.Union([natural("The next offset this group reads"), t.Null()]),
  truncated: t.Boolean({ description: "max_bytes stopped the page before limit" }),
  low_watermark: natural("First kept offset"),
  end_offset: natural("Offset that the next record gets"),
});
const clamped = t.Optional(
  t.Literal(true, { description: "The offset was beyond the end and counted as the end" }),
);
export const COMMITTED = t.Object({
  ok,
  committed_offset: natural("The offset that the group now has"),
  clamped,
});
const position = {
  topic,
  partition,
  committed_offset: natural("The next offset to read"),
  lag: natural("Records that are kept and not read yet"),
};
export const GROUP_LIST = t.Object({
  ok,
  groups: t.Array(
    t.Object({
      group: t.String(),
      topics: natural("Topics in which it has committed"),
      partitions: natural("Partitions in which it has committed"),
      lag: natural("Records that are kept and not read yet, of all of them"),
    }),
  ),
});
export const GROUP_DESCRIBED = t.Object({
  ok,
  group: t.String(),
  partitions: t.Array(t.Object(position)),
});
export const GROUP_DELETED = t.Object({
  ok,
  group: t.String(),
  deleted: ok,
  offsets: natural("Committed offsets that were forgotten"),
});
export const DELETED = t.Object({
  ok,
  deleted_count: natural("Number of deleted records"),
  freed_bytes: natural("Bytes of their keys and values"),
  clamped,
});
export const TOPIC_CREATED = t.Object({ ok, topic, partitions: natural("Number of partitions") });
export const TOPIC_DELETED = t.Object({ ok, topic, deleted: ok });
export const TOPIC_LIST = t.Object({
  ok,
  topics: t.Array(
    t.Object({
      topic,
      partitions: natural("Number of partitions"),
      messages: natural("Records kept"),
      bytes: natural("Keys and values kept"),
    }),
  ),
});
export const TOPIC_DESCRIBED = t.Object({
  ok,
  topic,
  partitions: t.Array(
    t.Object({
      partition,
      low_watermark: natural("First kept offset"),
      end_offset: natural("Offset that the next record gets"),
      bytes: natural("Keys and values kept"),
    }),
  ),
  groups: t.Array(
    t.Object({
      group,
      partition,
      committed_offset: t.Union([natural("The next offset this group reads"), t.Null()]),
      lag: natural("Records behind the end"),
    }),
  ),
});
export const OFFSETS_QUERY = t.Object({
  time_ms: natural("Required: milliseconds since 1970"),
});
export const OFFSETS_AT = t.Object({
  ok,
  topic,
  offsets: t.Array(
    t.Object({
      partition,
      offset: natural("First record that is not older; the end if all are"),
      timestamp_ms: t.Union([natural("Time of that record; null at the end"), t.Null()]),
    }),
  ),
});
export const RETENTION_SET = t.Object({ ok, ttl_applied: t.Boolean(), size_applied: t.Boolean() });
const policyValue = t.Union([natural("Null: not set"), t.Null()]);
export const RETENTION_LIST = t.Object({
  ok,
  policies: t.Array(
    t.Object({ topic, partition: policyValue, ttl_ms: policyValue, max_bytes: policyValue }),
  ),
});
const cas = natural("Revision; grows within the namespace, never used again");
export const KV_WRITTEN = t.Object({ ok, cas, ...ack });
export const KV_VALUE = t.Object({ value: t.String({ description: "base64" }), cas });
export const KV_META = t.Object({
  cas,
  ttl_ms: natural("Milliseconds left; 0: lives for ever"),
  bytes: natural("Length of the value"),
});
export const KV_DELETED = t.Object({ ok, deleted: t.Boolean(), ...ack });
export const KV_LIST = t.Object({
  ok,
  keys: t.Array(
    t.Object({
      key: t.String(),
      cas,
      bytes: natural("Length of the value"),
      ttl_ms: natural("Milliseconds left; 0: lives for ever"),
    }),
  ),
  count: natural("Keys on this page"),
  next: t.Union([t.String({ description: "Pass it as after to go on" }), t.Null()]),
});
export const KV_NAMESPACES = t.Object({
  ok,
  namespaces: t.Array(
    t.Object({ namespace: t.String(), revision: natural("Latest revision of the namespace") }),
  ),
});
export const COMPACTED = t.Object({
  ok,
  checkpoint_index: natural("Log index up to which the checkpoint reaches"),
  freed_bytes: natural("Bytes of disk that were released"),
});
export const SEALED_STATUS = t.Object({
  ok,
  last_synced_batch_id: natural("Last log index that was fsynced"),
});
export const HEALTH = t.Object({ ok: t.Union([t.Literal(true), t.Literal(1)]) });
export const READY = t.Object({ ready: t.Boolean(), reason: t.Optional(t.String()) });
export const ERROR = t.Object({
  ok: t.Literal(false),
  error: t.String({ description: "Stable code in snake_case" }),
  message: t.String({ description: "The invalid value, and what is allowed" }),
  docs: t.String(),
});
export const REDIRECT = t.Object({
  ok: t.Literal(false),
  error: t.Literal("redirect_to_leader"),
  message: t.String(),
  docs: t.String(),
  leader_url: t.String({ description: "Scheme, host and port of the leader" }),
  redirect: t.Object({ status: natural("307 or 308"), location: t.String() }),
});
