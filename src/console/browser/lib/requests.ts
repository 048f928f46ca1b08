/** Every request that the console makes. */
import { type ApiRequest, withQuery } from "./request.ts";

/** Group name of all reads. Reading commits nothing, so one name is enough. */
const READER = "console";

const part = encodeURIComponent;
const topicPath = (topic: string): string => `/broker/topics/${part(topic)}`;
const get = (path: string): ApiRequest => ({ method: "GET", path });
const post = (path: string, body: object): ApiRequest => ({
  method: "POST",
  path,
  body: JSON.stringify(body),
});

export const metrics: ApiRequest = { method: "GET", path: "/metrics" };
export const metricsHa: ApiRequest = { method: "GET", path: "/metrics_ha" };

export const listTopics = (prefix: string, limit: number): ApiRequest =>
  get(withQuery("/broker/topics", { prefix: prefix || null, limit }));
export const describeTopic = (topic: string) => get(topicPath(topic));
export const offsetsAt = (topic: string, timeMs: number) =>
  get(withQuery(`${topicPath(topic)}/offsets`, { time_ms: timeMs }));
export const createTopic = (name: string, partitions: number | null) =>
  post("/broker/topics", partitions === null ? { name } : { name, partitions });
export const deleteTopic = (topic: string): ApiRequest => ({
  method: "DELETE",
  path: topicPath(topic),
});

export const listProducers = (topic: string) =>
  get(withQuery(`${topicPath(topic)}/producers`, { limit: 1000 }));
export const forgetProducer = (topic: string, id: string): ApiRequest => ({
  method: "DELETE",
  path: withQuery(`${topicPath(topic)}/producers`, { id }),
});

/** Members, owners and lag of a group. */
export const describeGroup = (group: string) => get(`/broker/groups/${part(group)}`);
/** Deletes what the group has committed in all topics. */
export const deleteGroup = (group: string): ApiRequest => ({
  method: "DELETE",
  path: `/broker/groups/${part(group)}`,
});

export type PageOf = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number | null;
  readonly limit: number;
};
/** Values are requested in base64, because only this form represents every value. */
export const consume = ({ topic, partition, offset, limit }: PageOf): ApiRequest =>
  get(withQuery(consumePath(topic, partition), { offset, limit, encoding: "b64" }));
export const follow = (topic: string, partition: number, offset: number): ApiRequest => ({
  method: "GET",
  path: withQuery(consumePath(topic, partition), { offset, encoding: "b64" }),
  accept: "text/event-stream",
});
const consumePath = (topic: string, partition: number): string =>
  `/broker/consume/${part(topic)}/${READER}/${partition}`;

export type Produce = {
  readonly topic: string;
  readonly lines: boolean;
  readonly partition: number | null;
  readonly key: string | null;
  readonly idempotencyKey: string | null;
  readonly rocket: boolean;
  /** Lines of `name=value`. */
  readonly headers?: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
};
export const produce = (request: Produce): ApiRequest => ({
  method: "POST",
  path: withQuery(`${topicPath(request.topic)}/produce${request.lines ? "-ndjson" : ""}`, {
    partition: request.partition,
    key: request.key,
    idempotency_key: request.idempotencyKey,
    mode: request.rocket ? "rocket" : null,
    ...headerParameters(request.headers ?? ""),
  }),
  body: request.body,
});

/** @throws Error for a line that is not `name=value`. */
function headerParameters(text: string): Record<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  return Object.fromEntries(
    lines.map((line) => {
      const equals = line.indexOf("=");
      if (equals < 1) throw new Error(`A header is a line of name=value, not: ${line}`);
      return [`header.${part(line.slice(0, equals).trim())}`, line.slice(equals + 1)];
    }),
  );
}

export type GroupPlace = {
  readonly topic: string;
  readonly group: string;
  readonly partition: number;
};
export const commit = (place: GroupPlace, offset: number) =>
  post("/broker/commit", { ...place, offset });
/** Moves the group in one partition, forwards or back. */
export const seekGroup = ({ group, topic, partition }: GroupPlace, offset: number) =>
  post(`/broker/groups/${part(group)}/seek`, { topic, partition, to: { offset } });
export const deleteBefore = (topic: string, partition: number, beforeOffset: number) =>
  post("/broker/delete-before", { topic, partition, before_offset: beforeOffset });

export const listRetention = get("/broker/retention");
export const setRetention = (topic: string, ttlMs: number | null, maxBytes: number | null) =>
  post("/broker/retention", {
    topic,
    ...(ttlMs === null ? {} : { ttl_ms: ttlMs }),
    ...(maxBytes === null ? {} : { max_bytes: maxBytes }),
  });
/** Removes both limits, so that those of the next level apply. */
export const unsetRetention = (topic: string, partition: number | null) =>
  post("/broker/retention", {
    topic,
    ...(partition === null ? {} : { partition }),
    ttl_ms: null,
    max_bytes: null,
  });

export const listNamespaces = get("/kv");
export const deleteNamespace = (namespace: string): ApiRequest => ({
  method: "DELETE",
  path: `/kv/${part(namespace)}`,
});
export const listKeys = (namespace: string, prefix: string, after: string | null): ApiRequest =>
  get(withQuery(`/kv/${part(namespace)}`, { prefix: prefix || null, after, limit: 200 }));
// Slashes are escaped, so that no segment can be "..", which a browser would resolve.
const keyPath = (namespace: string, key: string): string => `/kv/${part(namespace)}/${part(key)}`;
export const getKey = (namespace: string, key: string) => get(keyPath(namespace, key));
export const getKeyMeta = (namespace: string, key: string) =>
  get(`${keyPath(namespace, key)}/meta`);
export type PutKey = {
  readonly namespace: string;
  readonly key: string;
  readonly value: string | Uint8Array<ArrayBuffer>;
  readonly cas: number | null;
  readonly ttlMs: number | null;
};
export const putKey = ({ namespace, key, value, cas, ttlMs }: PutKey): ApiRequest => ({
  method: "POST",
  path: withQuery(keyPath(namespace, key), { cas, ttl_ms: ttlMs }),
  body: value,
});
export const deleteKey = (namespace: string, key: string, cas: number | null): ApiRequest => ({
  method: "DELETE",
  path: withQuery(keyPath(namespace, key), { cas }),
});

export const query = (kind: "query" | "join", text: string): ApiRequest => ({
  method: "POST",
  path: `/broker/${kind}`,
  body: text,
});
export const listQueues = get("/broker/queues");
const queuePath = (queue: string): string => `/broker/queues/${part(queue)}`;
export const describeQueue = (queue: string) => get(queuePath(queue));
export const redriveQueue = (queue: string) => post(`${queuePath(queue)}/redrive`, {});
export const purgeQueue = (queue: string) => post(`${queuePath(queue)}/purge`, {});
export const deleteQueue = (queue: string): ApiRequest => ({
  method: "DELETE",
  path: queuePath(queue),
});
export const listExports = get("/broker/exports");
const exportPath = (name: string): string => `/broker/exports/${part(name)}`;
export const describeExport = (name: string) => get(exportPath(name));
export const flushExport = (name: string) => post(`${exportPath(name)}/flush`, {});
export const pauseExport = (name: string, paused: boolean) =>
  post(`${exportPath(name)}/${paused ? "pause" : "resume"}`, {});
export const deleteExport = (name: string): ApiRequest => ({
  method: "DELETE",
  path: exportPath(name),
});
export const listWebhooks = get("/broker/webhooks");
const webhookPath = (webhook: string): string => `/broker/webhooks/${part(webhook)}`;
export const webhookDeliveries = (webhook: string) => get(`${webhookPath(webhook)}/deliveries`);
export const testWebhook = (webhook: string) => post(`${webhookPath(webhook)}/test`, {});
export const pauseWebhook = (webhook: string, pauses: boolean) =>
  post(`${webhookPath(webhook)}/${pauses ? "pause" : "resume"}`, {});
export const redriveWebhook = (webhook: string) => post(`${webhookPath(webhook)}/redrive`, {});
export const purgeWebhook = (webhook: string) => post(`${webhookPath(webhook)}/purge`, {});
export const deleteWebhook = (webhook: string): ApiRequest => ({
  method: "DELETE",
  path: webhookPath(webhook),
});
export const listSchedules = get("/broker/schedules");
export const deleteSchedule = (name: string): ApiRequest => ({
  method: "DELETE",
  path: `/broker/schedules/${part(name)}`,
});

// The slashes of a path are those of the URL. No segment can be empty, "." or "..".
const streamParts = (stream: string): string => stream.split("/").map(part).join("/");
const streamPath = (stream: string): string => `/v1/stream/${streamParts(stream)}`;
const CLOSE = { "Stream-Closed": "true" };
export const listStreams = (prefix: string, after: string | null, limit: number): ApiRequest =>
  get(withQuery("/v1/stream/__ds/streams", { prefix: prefix || null, after, limit }));
export const describeStream = (stream: string) =>
  get(`/v1/stream/__ds/streams/${streamParts(stream)}`);
export const readStream = (stream: string, offset: string) =>
  get(withQuery(streamPath(stream), { offset }));
export const followStream = (stream: string, offset: string): ApiRequest => ({
  method: "GET",
  path: withQuery(streamPath(stream), { offset, live: "sse" }),
  accept: "text/event-stream",
});
export type NewStream = {
  readonly stream: string;
  readonly contentType: string;
  readonly ttlSeconds: number | null;
  readonly body: string;
};
export const createStream = ({ stream, contentType, ttlSeconds, body }: NewStream): ApiRequest => ({
  method: "PUT",
  path: streamPath(stream),
  headers: { "Content-Type": contentType, ...ttlHeader(ttlSeconds) },
  ...(body === "" ? {} : { body }),
});
export type NewFork = {
  readonly stream: string;
  readonly from: string;
  /** Null: the end of the source. */
  readonly offset: string | null;
  readonly ttlSeconds: number | null;
};
export const forkStream = ({ stream, from, offset, ttlSeconds }: NewFork): ApiRequest => ({
  method: "PUT",
  path: streamPath(stream),
  headers: {
    "Stream-Forked-From": streamPath(from),
    ...(offset === null ? {} : { "Stream-Fork-Offset": offset }),
    ...ttlHeader(ttlSeconds),
  },
});
const ttlHeader = (ttlSeconds: number | null): Record<string, string> =>
  ttlSeconds === null ? {} : { "Stream-TTL": String(ttlSeconds) };
export type StreamAppend = {
  readonly stream: string;
  readonly contentType: string;
  readonly body: string | Uint8Array<ArrayBuffer>;
  /** The stream is closed with it. */
  readonly last: boolean;
};
export const appendToStream = ({ stream, contentType, body, last }: StreamAppend): ApiRequest => ({
  method: "POST",
  path: streamPath(stream),
  headers: { "Content-Type": contentType, ...(last ? CLOSE : {}) },
  body,
});
export const closeStream = (stream: string): ApiRequest => ({
  method: "POST",
  path: streamPath(stream),
  headers: CLOSE,
});
export const deleteStream = (stream: string): ApiRequest => ({
  method: "DELETE",
  path: streamPath(stream),
});

export const listViews = get("/broker/views");
export const getView = (name: string) => get(`/broker/views/${part(name)}`);
export const putView = (name: string, text: string): ApiRequest => ({
  method: "PUT",
  path: `/broker/views/${part(name)}`,
  body: text,
});
export const deleteView = (name: string): ApiRequest => ({
  method: "DELETE",
  path: `/broker/views/${part(name)}`,
});

export const membership = get("/ha/membership");
export const addMember = (nodeId: string, address: string, httpAddress: string | null) =>
  post("/ha/membership/add", {
    node_id: nodeId,
    advertise_addr: address,
    ...(httpAddress === null ? {} : { http_addr: httpAddress }),
  });
export const changeMember = (change: "promote" | "remove", nodeId: string) =>
  post(`/ha/membership/${change}`, { node_id: nodeId });
export const transferLeadership = (nodeId: string) =>
  post("/ha/leader/transfer", { node_id: nodeId });
