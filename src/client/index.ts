/** `ayder/client`: works with any `fetch`, in Bun, Node (20 or later) and browsers. */
export { Admin } from "./admin.ts";
export type { RawPage } from "./batches.ts";
export { Client, createClient } from "./client.ts";
export { type ConsumeOptions, Consumer } from "./consumer.ts";
export {
  type DurableChunk,
  type DurableFollowOptions,
  type DurableReadOptions,
  DurableStream,
  type DurableStreamDetails,
  type DurableStreamOptions,
  type DurableStreamSummary,
  DurableStreams,
} from "./durable.ts";
export { AyderError } from "./errors.ts";
export {
  type ExportColumn,
  type ExportCounts,
  type ExportDefinition,
  type ExportDescription,
  type ExportPartition,
  type ExportSummary,
  Exports,
} from "./exports.ts";
export { GroupConsumer, type GroupOptions } from "./group.ts";
export { Kv, KvEntry, type KvListOptions, type KvPutOptions, type KvReadOptions } from "./kv.ts";
export { Producer, type ProducerOptions, type SendOptions, type Sent } from "./producer.ts";
export type * from "./queue-types.ts";
export {
  type Handler,
  Queue,
  type QueueDefinition,
  QueueMessage,
  type ReceiveOptions,
  RejectMessage,
  type WorkOptions,
} from "./queues.ts";
export { type ScheduleDefinition, Schedules } from "./schedules.ts";
export type * from "./stream-types.ts";
export type {
  CallOptions,
  ClientOptions,
  FetchLike,
  ProxyServer,
  Query,
  Request,
} from "./transport.ts";
export type * from "./types.ts";
export { isLoopback } from "./url.ts";
export { Message, type RecordHeaders, Stored, type Value } from "./values.ts";
export {
  type WebhookDefinition,
  type WebhookDelivery,
  type WebhookSummary,
  Webhooks,
} from "./webhooks.ts";
