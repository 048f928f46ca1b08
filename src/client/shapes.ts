/** Shapes of the answers that the client uses. Fields that are only passed on may be absent. */
import { anything, fields, flag, integer, list, optional, orNull, record, text } from "./shape.ts";

export const ACCEPTED = fields({ ok: flag });
const produced = { partition: integer, durable: optional(flag), duplicate: optional(flag) };
export const PRODUCED = fields({ offset: integer, ...produced });
export const PRODUCED_BATCH = fields({ first_offset: integer, count: integer, ...produced });
const message = fields({
  offset: integer,
  partition: integer,
  timestamp_ms: integer,
  key: optional(text),
  key_b64: optional(text),
  value: optional(text),
  value_b64: optional(text),
  headers: optional(record(text)),
});
export const PAGE = fields({
  messages: list(message),
  next_offset: integer,
  end_offset: integer,
  committed_offset: orNull(integer),
});
export const COMMITTED = fields({ committed_offset: integer });
export const DELETED = fields({ deleted_count: integer, freed_bytes: integer });
export const GROUP_LIST = fields({
  groups: list(fields({ group: text, topics: integer, partitions: integer, lag: integer })),
});
export const GROUP_DELETED = fields({ offsets: integer });
export const TOPIC_CREATED = fields({ topic: text, partitions: integer });
export const TOPIC_LIST = fields({
  topics: list(fields({ topic: text, partitions: integer, messages: integer, bytes: integer })),
});
export const TOPIC_DESCRIBED = fields({
  topic: text,
  partitions: list(
    fields({ partition: integer, low_watermark: integer, end_offset: integer, bytes: integer }),
  ),
  groups: list(
    fields({ group: text, partition: integer, committed_offset: orNull(integer), lag: integer }),
  ),
});
export const OFFSETS_AT = fields({
  offsets: list(fields({ partition: integer, offset: integer, timestamp_ms: orNull(integer) })),
});
export const RETENTION_LIST = fields({ policies: list(fields({ topic: text })) });
export const KV_WRITTEN = fields({ cas: integer });
export const KV_DELETED = fields({ deleted: flag });
export const KV_META = fields({ cas: integer, ttl_ms: integer, bytes: integer });
export const KV_LIST = fields({
  keys: list(fields({ key: text, cas: integer, ttl_ms: integer, bytes: integer })),
  next: orNull(text),
});
export const KV_NAMESPACES = fields({
  namespaces: list(fields({ namespace: text, revision: integer })),
});
export const QUERIED = fields({ rows: list(anything), aggregates: list(fields({})) });
export const JOINED = fields({ rows: list(fields({})), stats: fields({}) });
export const VIEWED = fields({ view: text, aggregates: list(fields({})), lag: integer });
export const VIEW_CREATED = fields({ created: flag });
export const VIEW_LIST = fields({ views: list(fields({ view: text, topic: text, lag: integer })) });
export const MEMBERSHIP = fields({
  membership: fields({
    leader_id: orNull(text),
    term: integer,
    nodes: list(fields({ node_id: text, http_addr: text, advertise_addr: text, role: text })),
  }),
});
export const TRANSFERRED = fields({ target: text });
