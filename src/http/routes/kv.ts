import { NO_QUERY } from "../../api/common.ts";
import {
  KV_DELETE_QUERY,
  KV_DELETED,
  KV_GET_QUERY,
  KV_LIST,
  KV_LIST_QUERY,
  KV_META,
  KV_NAMESPACE_DELETE_QUERY,
  KV_NAMESPACE_DELETED,
  KV_NAMESPACES,
  KV_PUT_QUERY,
  KV_VALUE,
  KV_WRITTEN,
  type KvList,
  type KvMeta,
  type KvNamespaces,
} from "../../api/kv.ts";
import type { KvGetOutcome, KvValue, WriteAck } from "../../node/api.ts";
import { takeBytes } from "../body.ts";
import { matchesTag } from "../conditional.ts";
import { ApiError, shown } from "../errors.ts";
import { checkKey, KEY_BYTES_MAX } from "../names.ts";
import { LONG_TIMEOUT_MS, withinTimers } from "../produce-request.ts";
import { queryReader } from "../query.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { acceptedText, bodyAnswer, hotJson, json, jsonText } from "../responses.ts";
import type { Services } from "../services.ts";

const META = "/meta";
/** Media types of a value, the default first. */
const VALUE_OFFERS = ["application/json", "application/octet-stream"] as const;
const LIST_LIMIT_DEFAULT = 100;
const LIST_LIMIT_MAX = 1000;

const readPutQuery = queryReader(KV_PUT_QUERY);
const readDeleteQuery = queryReader(KV_DELETE_QUERY);
const readDeleteNamespaceQuery = queryReader(KV_NAMESPACE_DELETE_QUERY);
const readGetQuery = queryReader(KV_GET_QUERY);
const readListQuery = queryReader(KV_LIST_QUERY);

export const kvEndpoints = (services: Services): readonly Endpoint[] => [
  put(services, "POST"),
  put(services, "PUT"),
  get(services),
  remove(services),
  list(services),
  listNamespaces(services),
  removeNamespace(services),
];

const put = (services: Services, method: "POST" | "PUT"): Endpoint => ({
  method,
  path: "/kv/:namespace/*",
  access: { kind: "path", scope: "write" },
  leaderOnly: true,
  byLink: true,
  isHot: true,
  query: KV_PUT_QUERY,
  docs: {
    summary: "Store the body under a key",
    tag: "kv",
    body: "bytes",
    answer: KV_WRITTEN,
    errors: ["invalid_key", "reserved_key", "cas_mismatch", "message_too_large", "commit_timeout"],
  },
  bodyLimit: () => ({ bytes: services.options.limits.messageBytesMax, code: "message_too_large" }),
  handle: (context) => {
    const namespace = context.path("namespace");
    const key = context.path("*");
    if (key.endsWith(META)) throw new ApiError("reserved_key");
    const { cas, ttl_ms: ttlMs, timeout_ms } = readPutQuery(context);
    const timeoutMs = withinTimers(timeout_ms);
    if (timeoutMs !== null && timeoutMs > LONG_TIMEOUT_MS) services.allowLong(context.request);
    const limit = services.options.limits.messageBytesMax;
    return takeBytes(context, limit, "message_too_large", (value) => {
      const put = { namespace, key, value, cas, ttlMs: ttlMs || null, timeoutMs };
      services.node.kvPut(put, (outcome) =>
        context.answer(() =>
          outcome.ok
            ? written(`{"ok":true,"cas":${outcome.cas}`, outcome)
            : services.errorMapper.answer(context, outcome, shown(key)),
        ),
      );
    });
  },
});

const remove = ({ node, errorMapper, allowLong }: Services): Endpoint => ({
  method: "DELETE",
  path: "/kv/:namespace/*",
  access: { kind: "path", scope: "write" },
  leaderOnly: true,
  byLink: true,
  query: KV_DELETE_QUERY,
  docs: {
    summary: "Delete a key",
    tag: "kv",
    answer: KV_DELETED,
    errors: ["invalid_key", "cas_mismatch", "commit_timeout"],
  },
  handle: async (context) => {
    const namespace = context.path("namespace");
    const key = context.path("*");
    const { cas, timeout_ms } = readDeleteQuery(context);
    const timeoutMs = withinTimers(timeout_ms);
    if (timeoutMs !== null && timeoutMs > LONG_TIMEOUT_MS) allowLong(context.request);
    const result = await node.kvDelete({ namespace, key, cas, timeoutMs });
    if (!result.ok) return errorMapper.answer(context, result, shown(key));
    return written(`{"ok":true,"deleted":${result.deleted}`, result);
  },
});

function written(start: string, { batchId, synced }: WriteAck): Response {
  const proven = synced !== false;
  const ack = `,"sealed":true,"durable":${proven},"mode":"sealed","synced":${proven},"batch_id":${batchId}}`;
  return proven ? jsonText(start + ack) : acceptedText(start + ack);
}

const get = (services: Services): Endpoint => ({
  method: "GET",
  path: "/kv/:namespace/*",
  access: { kind: "path", scope: "read" },
  leaderOnly: false,
  isHot: true,
  query: KV_GET_QUERY,
  docs: {
    summary: "The value of a key, in base64 or as it is",
    tag: "kv",
    answer: KV_VALUE,
    mediaTypes: ["application/octet-stream"],
    answerHeaders: { ETag: "The revision in quotes, with bytes or after If-None-Match" },
    conditional: true,
    below: { path: "/meta", summary: "Revision, time left and size of a key", answer: KV_META },
    errors: ["invalid_key", "not_found"],
  },
  handle: (context) => {
    const namespace = context.path("namespace");
    const path = context.pathText("*");
    const meta = path.endsWith(META);
    const key = checkKey(meta ? path.slice(0, -META.length) : path);
    const linearizable = readGetQuery(context).consistency === "linearizable";
    const answer = (outcome: KvGetOutcome): Response => {
      if (!outcome.ok) return services.errorMapper.answer(context, outcome, shown(key));
      return meta ? metaAnswer(outcome) : valueAnswer(context, outcome);
    };
    const outcome = services.node.kvGet({ namespace, key, linearizable });
    return outcome instanceof Promise ? outcome.then(answer) : answer(outcome);
  },
});

const metaAnswer = ({ cas, ttlMs, value }: KvValue): Response =>
  json<KvMeta>({ cas, ttl_ms: ttlMs, bytes: value.length });

function valueAnswer(context: RequestContext, { value, cas }: KvValue): Response {
  const mediaType = context.preferred(VALUE_OFFERS);
  const ifNoneMatch = context.request.headers.get("if-none-match");
  // The body contains the revision. A separate header would cost a tenth of the CPU time.
  if (ifNoneMatch === null && mediaType === "application/json")
    return hotJson(context.request, valueText(value, cas));
  const headers = { "content-type": mediaType, etag: `"${cas}"`, vary: "accept" };
  if (matchesTag(ifNoneMatch, String(cas))) {
    return new Response(null, { status: 304, headers: { etag: headers.etag, vary: headers.vary } });
  }
  return mediaType === "application/json"
    ? bodyAnswer(valueText(value, cas), { headers })
    : bodyAnswer(Buffer.from(value), { headers });
}

const valueText = (value: Uint8Array, cas: number): string =>
  `{"value":"${value.toBase64()}","cas":${cas}}`;

const list = ({ node }: Services): Endpoint => ({
  method: "GET",
  path: "/kv/:namespace",
  access: { kind: "path", scope: "read" },
  leaderOnly: false,
  query: KV_LIST_QUERY,
  docs: {
    summary: "Keys in byte order",
    tag: "kv",
    answer: KV_LIST,
    errors: ["invalid_namespace", "invalid_key"],
  },
  handle: async (context) => {
    const namespace = context.path("namespace");
    const { prefix, after, limit } = readListQuery(context);
    const page = await node.kvList({
      namespace,
      prefix: shortEnough(prefix ?? ""),
      after: shortEnough(after ?? ""),
      limit: Math.min(limit ?? LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX),
    });
    const keys = page.keys.map(({ key, cas, bytes, ttlMs }) => ({
      key,
      cas,
      bytes,
      ttl_ms: ttlMs,
    }));
    return json<KvList>({ ok: true, keys, count: keys.length, next: page.next });
  },
});

const listNamespaces = ({ node }: Services): Endpoint => ({
  method: "GET",
  path: "/kv",
  access: { kind: "list", scope: "read" },
  leaderOnly: false,
  query: NO_QUERY,
  docs: {
    summary: "The namespaces that the token may read, also those without keys",
    tag: "kv",
    answer: KV_NAMESPACES,
    errors: [],
  },
  handle: async ({ principal }) => {
    const all = await node.kvNamespaces();
    const namespaces = all.filter((each) => principal.may("read", each.namespace));
    return json<KvNamespaces>({ ok: true, namespaces });
  },
});

const removeNamespace = ({ node, errorMapper, allowLong }: Services): Endpoint => ({
  method: "DELETE",
  path: "/kv/:namespace",
  access: { kind: "path", scope: "admin" },
  leaderOnly: true,
  byLink: true,
  query: KV_NAMESPACE_DELETE_QUERY,
  docs: {
    summary: "Delete a namespace with its keys",
    tag: "kv",
    answer: KV_NAMESPACE_DELETED,
    errors: ["invalid_namespace", "namespace_not_empty", "cluster_not_upgraded", "commit_timeout"],
  },
  handle: async (context) => {
    const namespace = context.path("namespace");
    const { if_empty, timeout_ms } = readDeleteNamespaceQuery(context);
    const timeoutMs = withinTimers(timeout_ms);
    if (timeoutMs !== null && timeoutMs > LONG_TIMEOUT_MS) allowLong(context.request);
    const request = { namespace, ifEmpty: if_empty === "1", timeoutMs };
    const result = await node.kvDeleteNamespace(request);
    if (!result.ok) return errorMapper.answer(context, result, shown(namespace));
    const { deleted, keys, bytes } = result;
    return written(`{"ok":true,"deleted":${deleted},"keys":${keys},"bytes":${bytes}`, result);
  },
});

function shortEnough(text: string): string {
  if (Buffer.byteLength(text) <= KEY_BYTES_MAX) return text;
  throw new ApiError("invalid_key", `prefix and after have at most ${KEY_BYTES_MAX} bytes`);
}
