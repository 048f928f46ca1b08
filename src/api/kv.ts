/** Keys and namespaces. */
import { Type as t } from "@sinclair/typebox";
import { ack, natural, ok, switchOf, timeoutMs, type Wire } from "./common.ts";

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
const cas = natural("Revision; grows within the namespace, never used again");
export const KV_WRITTEN = t.Object({ ok, cas, ...ack });
export type KvWritten = Wire<typeof KV_WRITTEN>;
export const KV_VALUE = t.Object({ value: t.String({ description: "base64" }), cas });
export type KvValue = Wire<typeof KV_VALUE>;
export const KV_META = t.Object({
  cas,
  ttl_ms: natural("Milliseconds left; 0: lives for ever"),
  bytes: natural("Length of the value"),
});
export type KvMeta = Wire<typeof KV_META>;
export const KV_DELETED = t.Object({ ok, deleted: t.Boolean(), ...ack });
export type KvDeleted = Wire<typeof KV_DELETED>;
const KV_LISTED = t.Object({
  key: t.String(),
  cas,
  bytes: natural("Length of the value"),
  ttl_ms: natural("Milliseconds left; 0: lives for ever"),
});
export type KvListed = Wire<typeof KV_LISTED>;
export const KV_LIST = t.Object({
  ok,
  keys: t.Array(KV_LISTED),
  count: natural("Keys on this page"),
  next: t.Union([t.String({ description: "Pass it as after to go on" }), t.Null()]),
});
export type KvList = Wire<typeof KV_LIST>;
const liveKeys = natural("Keys that have not expired");
const liveBytes = natural("Bytes of these keys and their values");
export const KV_NAMESPACES = t.Object({
  ok,
  namespaces: t.Array(
    t.Object({
      namespace: t.String(),
      revision: natural("Latest revision of the namespace"),
      keys: liveKeys,
      bytes: liveBytes,
    }),
  ),
});
export type KvNamespaces = Wire<typeof KV_NAMESPACES>;
export const KV_NAMESPACE_DELETE_QUERY = t.Object({
  if_empty: t.Optional(switchOf("1: only if it has no keys")),
  timeout_ms: timeoutMs,
});
export const KV_NAMESPACE_DELETED = t.Object({
  ok,
  deleted: t.Boolean({ description: "False: there was no such namespace" }),
  keys: liveKeys,
  bytes: liveBytes,
  ...ack,
});
export type KvNamespaceDeleted = Wire<typeof KV_NAMESPACE_DELETED>;
