import type { RejectCode } from "../node/api.ts";

/** Errors that arise in the HTTP API, before the node is asked. */
export type EdgeCode =
  | "invalid_request"
  | "invalid_host"
  | "invalid_percent_encoding"
  | "invalid_parameter"
  | "repeated_parameter"
  | "unknown_parameter"
  | "invalid_json"
  | "duplicate_field"
  | "unknown_field"
  | "missing_field"
  | "invalid_field"
  | "missing_topic"
  | "invalid_topic"
  | "invalid_group"
  | "invalid_namespace"
  | "invalid_view"
  | "invalid_queue"
  | "invalid_schedule"
  | "invalid_webhook"
  | "invalid_stream"
  | "empty_append"
  | "invalid_key"
  | "reserved_key"
  | "invalid_idempotency_key"
  | "invalid_producer"
  | "invalid_header"
  | "empty_batch"
  | "invalid_batch"
  | "incomplete_body"
  | "unauthorized"
  | "forbidden"
  | "rate_limited"
  | "route_not_found"
  | "method_not_allowed"
  | "message_too_large"
  | "request_too_large"
  | "too_many_lines"
  | "unsupported_content_encoding"
  | "internal_error";
export type ErrorCode = RejectCode | EdgeCode;

type HttpError = {
  readonly status: number;
  /** Said where nobody has said anything better. */
  readonly message: string;
  readonly docs: DocsPage;
};

/** Pages below `https://ayder.dev/docs/api/`, each with the page of our own manual. */
const MANUAL_PAGES = {
  auth: "security",
  cluster: "cluster",
  commit: "groups",
  consume: "consume",
  errors: "errors",
  kv: "kv",
  limits: "settings",
  produce: "produce",
  queues: "queues",
  exports: "exports",
  schedules: "schedules",
  streams: "stream-processing",
  durable: "durable-streams",
  topics: "topics",
  webhooks: "webhooks",
} as const;
type DocsPage = keyof typeof MANUAL_PAGES;

/** Value of the header `Link` that leads to the page of the server that answered. */
export const helpLink = (page: DocsPage): string => `</docs/${MANUAL_PAGES[page]}>; rel="help"`;

const row = (status: number, docs: DocsPage, message: string): HttpError => ({
  status,
  message,
  docs,
});

/** The one place where an error gets its HTTP status. A code without a row does not compile. */
export const HTTP_ERRORS: Readonly<Record<ErrorCode, HttpError>> = {
  invalid_request: row(400, "errors", "The request is malformed"),
  invalid_host: row(400, "errors", "The Host header is not one host name with an optional port"),
  invalid_percent_encoding: row(400, "errors", "The URL has a malformed percent escape"),
  invalid_parameter: row(400, "errors", "A parameter has a value that is not allowed"),
  repeated_parameter: row(400, "errors", "A query parameter was given twice"),
  unknown_parameter: row(400, "errors", "Unknown query parameter"),
  invalid_json: row(400, "errors", "The body is not a JSON object"),
  duplicate_field: row(400, "errors", "A field of the JSON body was given twice"),
  unknown_field: row(400, "errors", "Unknown field"),
  missing_field: row(400, "errors", "A required field is missing"),
  invalid_field: row(400, "errors", "A field has a value that is not allowed"),
  missing_topic: row(400, "topics", "Topic name is required"),
  invalid_topic: row(400, "topics", "Invalid topic name"),
  invalid_group: row(400, "commit", "Invalid group name"),
  invalid_namespace: row(400, "kv", "Invalid namespace name"),
  invalid_view: row(400, "streams", "Invalid view name"),
  invalid_queue: row(400, "queues", "Invalid queue name"),
  invalid_stream: row(400, "durable", "The path of a stream has 1 to 1024 bytes of UTF-8"),
  empty_append: row(400, "durable", "An append needs a body, or Stream-Closed: true"),
  invalid_offset: row(400, "durable", "Invalid offset: use one that the server returned"),
  epoch_not_at_zero: row(400, "durable", "A new epoch of a producer begins with sequence number 0"),
  fork_offset_beyond_end: row(400, "durable", "The fork offset is beyond the end of the source"),
  fork_sub_offset_beyond_end: row(
    400,
    "durable",
    "The fork sub-offset is beyond the end of the source",
  ),
  fork_too_deep: row(
    400,
    "durable",
    "The limit of forks of forks is reached (RF_MAX_STREAM_FORK_DEPTH)",
  ),
  subscription_not_pull: row(400, "durable", "Subscription is not pull-wake"),
  webhook_url_rejected: row(400, "durable", "The URL of the webhook is not allowed"),
  wake_token_invalid: row(401, "durable", "Token invalid"),
  wake_token_expired: row(401, "durable", "Token expired"),
  stream_not_found: row(404, "durable", "No such stream"),
  fork_source_not_found: row(404, "durable", "The source of the fork does not exist"),
  subscription_not_found: row(404, "durable", "No such subscription"),
  stream_exists: row(409, "durable", "The stream exists with another configuration"),
  stream_has_forks: row(
    409,
    "durable",
    "The stream was deleted and is retained for its forks; its path is free when they are deleted",
  ),
  stream_closed: row(409, "durable", "The stream is closed"),
  content_type_mismatch: row(409, "durable", "The content type is not that of the stream"),
  seq_conflict: row(409, "durable", "Stream-Seq is not higher than the last one"),
  fork_source_gone: row(409, "durable", "The source of the fork was deleted"),
  fork_source_changed: row(409, "durable", "The source of the fork has just changed; try again"),
  subscription_exists: row(409, "durable", "The subscription exists with another definition"),
  already_claimed: row(409, "durable", "Another worker has claimed the work"),
  no_pending_work: row(409, "durable", "Subscription has no pending work"),
  fenced: row(409, "durable", "Wake generation is stale"),
  invalid_ack: row(
    409,
    "durable",
    "The acknowledged offset is not between the last one and the end",
  ),
  too_many_streams: row(
    409,
    "durable",
    "The limit of streams is reached (RF_MAX_STREAMS); delete one first",
  ),
  too_many_producers: row(
    409,
    "durable",
    "The limit of producers of one stream is reached (RF_MAX_STREAM_PRODUCERS)",
  ),
  too_many_subscriptions: row(
    409,
    "durable",
    "The limit of subscriptions is reached (RF_MAX_SUBSCRIPTIONS); delete one first",
  ),
  too_many_links: row(
    409,
    "durable",
    "The limit of streams in one subscription is reached; use a pattern",
  ),
  stream_gone: row(410, "durable", "The stream was deleted and is retained for its forks"),
  offset_gone: row(
    410,
    "durable",
    "The offset belongs to a deleted stream with the same path; read from the beginning",
  ),
  invalid_key: row(400, "kv", "A key has 1 to 1024 bytes of UTF-8"),
  reserved_key: row(400, "kv", '"meta" is reserved as the last segment of a key'),
  invalid_idempotency_key: row(400, "produce", "An idempotency key has 1 to 512 bytes of UTF-8"),
  invalid_producer: row(
    400,
    "produce",
    "Producer-Id of 1 to 128 bytes, Producer-Epoch and Producer-Seq, integers from 0: all three or none",
  ),
  invalid_header: row(
    400,
    "produce",
    "Headers of a record: names of 1 to 64 characters of a-z 0-9 . _ -, each once, at most 64 and 16384 bytes together",
  ),
  invalid_batch: row(
    400,
    "produce",
    "The body does not consist of complete batches with correct checksums",
  ),
  empty_batch: row(400, "produce", "The body has no message: every line is empty"),
  incomplete_body: row(400, "errors", "The body ended before its announced length"),
  offset_out_of_range: row(416, "consume", "The offset is beyond the end of the partition"),
  unauthorized: row(401, "auth", "Missing or unknown bearer token"),
  forbidden: row(403, "auth", "The token's scope does not cover this"),
  not_found: row(404, "kv", "No such key"),
  topic_not_found: row(404, "topics", "No such topic"),
  producer_not_found: row(
    404,
    "produce",
    "The producer has not written to the topic within 7 days",
  ),
  group_not_found: row(404, "commit", "The group has committed nothing and has not been joined"),
  not_a_member: row(
    404,
    "commit",
    "The group does not have this member, or its lease has ended: join again",
  ),
  partition_not_found: row(404, "topics", "The topic has no such partition"),
  view_not_found: row(404, "streams", "No such view"),
  invalid_schedule: row(400, "schedules", "Invalid schedule name or id"),
  invalid_cron: row(400, "schedules", "Invalid cron expression or time zone"),
  delay_too_long: row(400, "schedules", "The delay is longer than one year (366 days)"),
  invalid_export: row(400, "exports", "Invalid export name"),
  export_not_found: row(404, "exports", "No such export"),
  export_exists: row(
    409,
    "exports",
    "The export exists with another topic, url or from; these fields cannot be changed",
  ),
  export_url_taken: row(409, "exports", "Another export uses this URL"),
  too_many_exports: row(
    409,
    "exports",
    "The limit of exports is reached (RF_MAX_EXPORTS); delete one first",
  ),
  schedule_not_found: row(404, "schedules", "No such schedule"),
  too_many_schedules: row(
    409,
    "schedules",
    "The limit of delayed records or of schedules is reached",
  ),
  invalid_webhook: row(400, "webhooks", "Invalid webhook name"),
  webhook_not_found: row(404, "webhooks", "No such webhook"),
  webhook_exists: row(
    409,
    "webhooks",
    "The webhook exists with another topic, order or from; these fields cannot be changed",
  ),
  too_many_webhooks: row(
    409,
    "webhooks",
    "The limit of webhooks is reached (RF_MAX_WEBHOOKS); delete one first",
  ),
  queue_not_found: row(404, "queues", "No such queue"),
  route_not_found: row(404, "errors", "No such route"),
  method_not_allowed: row(405, "errors", "Method not allowed"),
  topic_exists: row(409, "topics", "The topic exists with another number of partitions"),
  too_many_partitions: row(
    409,
    "topics",
    "The limit of partitions is reached (RF_MAX_PARTITIONS); delete a topic first",
  ),
  too_many_groups: row(
    409,
    "commit",
    "The limit of consumer groups is reached (RF_MAX_GROUPS); delete groups that are not used",
  ),
  too_many_offsets: row(
    409,
    "commit",
    "The limit of committed offsets is reached (RF_MAX_COMMITTED_OFFSETS); delete groups that are not used",
  ),
  too_many_members: row(409, "commit", "The limit of members of all groups together is reached"),
  too_many_group_partitions: row(
    409,
    "commit",
    "The limit of joined partitions of all groups together is reached; delete groups that are not used",
  ),
  leased: row(
    409,
    "commit",
    "A member of the group owns the partition: only this member can commit",
  ),
  too_many_namespaces: row(
    409,
    "kv",
    "The limit of KV namespaces is reached (RF_MAX_NAMESPACES); delete one first",
  ),
  namespace_not_empty: row(409, "kv", "The namespace has keys"),
  member_exists: row(409, "cluster", "A node with this id is already a member of the cluster"),
  member_not_found: row(404, "cluster", "The cluster has no node with this id"),
  not_caught_up: row(409, "cluster", "The node's log is not close enough to the leader's yet"),
  change_in_progress: row(409, "cluster", "Another membership change is in progress"),
  last_voter: row(409, "cluster", "The node is the only voter of its cluster"),
  sequence_gap: row(
    409,
    "produce",
    "A sequence number is missing before this one; nothing was stored",
  ),
  stale_epoch: row(
    403,
    "produce",
    "Another producer with this id and a higher epoch has written; nothing was stored",
  ),
  queue_exists: row(
    409,
    "queues",
    "The queue exists with another topic, order or from; these fields cannot be changed",
  ),
  too_many_queues: row(409, "queues", "The limit of queues is reached; delete one first"),
  too_many_views: row(409, "streams", "The limit of views is reached; delete one first"),
  cas_mismatch: row(409, "kv", "The key's revision is not the expected one"),
  message_too_large: row(413, "limits", "A message is larger than the limit"),
  request_too_large: row(413, "limits", "The request body is larger than the limit"),
  query_too_large: row(
    413,
    "streams",
    "The query needs more memory than one request may use; filter more, or use fewer groups and windows",
  ),
  view_state_too_large: row(413, "streams", "The state of the view is larger than the limit"),
  too_many_lines: row(413, "limits", "The batch has more lines than the limit"),
  unsupported_content_encoding: row(
    415,
    "errors",
    "Compressed request bodies are not supported; send the body without Content-Encoding",
  ),
  rate_limited: row(429, "auth", "The token's rate limit is used up"),
  internal_error: row(500, "errors", "Internal error"),
  not_leader: row(503, "cluster", "This node is not the leader"),
  no_leader: row(503, "cluster", "No leader is known at present; nothing was done"),
  no_quorum: row(503, "cluster", "No quorum at present; nothing was done"),
  data_damaged: row(
    503,
    "consume",
    "These records are damaged on this node and not yet repaired from a peer: try again, or read from another node",
  ),
  cluster_not_upgraded: row(
    503,
    "cluster",
    "Not every node of the cluster runs a version that supports this yet; nothing was done",
  ),
  overloaded: row(503, "limits", "Too many requests are in progress; nothing was done, try again"),
  shutting_down: row(503, "cluster", "The node is shutting down; nothing was done"),
  commit_timeout: row(
    504,
    "produce",
    "The write concern was not reached in time; the outcome is unknown; a retry with the same idempotency key or cas is safe",
  ),
  kv_full: row(
    507,
    "kv",
    "The memory limit of keys and values is reached (RF_MAX_KV_BYTES); nothing was done",
  ),
  disk_full: row(507, "limits", "The disk is full; nothing was done"),
};

export type ErrorFields = Readonly<Record<string, unknown>>;

/** A request that ends in an error answer. Thrown in the HTTP API only; the node answers with data. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly fields: ErrorFields | null;
  readonly headers: Readonly<Record<string, string>> | null;

  /**
   * @param message what was wrong with which value and what is allowed.
   * @param fields named extra fields of the body.
   */
  constructor(
    code: ErrorCode,
    message?: string,
    fields: ErrorFields | null = null,
    headers: Readonly<Record<string, string>> | null = null,
  ) {
    super(message ?? HTTP_ERRORS[code].message);
    this.code = code;
    this.fields = fields;
    this.headers = headers;
  }
}

/** The error object of CONTRACT 1, as a response. */
export function errorResponse(
  code: ErrorCode,
  message: string,
  fields: ErrorFields | null,
  headers: Readonly<Record<string, string>> | null,
): Response {
  const { status, docs } = HTTP_ERRORS[code];
  const body = { ok: false, error: code, message, docs: `https://ayder.dev/docs/api/${docs}` };
  return new Response(JSON.stringify(fields === null ? body : Object.assign(body, fields)), {
    status,
    headers: { "content-type": "application/json", link: helpLink(docs), ...headers },
  });
}

const SHOWN_CHARACTERS_MAX = 64;
/** A value of the client as it may be repeated in a message: quoted, escaped and cut. */
export const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  if (text.length <= SHOWN_CHARACTERS_MAX) return text;
  return `${text.slice(0, SHOWN_CHARACTERS_MAX)}… (${text.length} characters)`;
};
