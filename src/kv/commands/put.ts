import { feature as faultPoint } from "bun:bundle";
import { varintLength } from "../../lib/bytes.ts";
import {
  type CommandKind,
  knownFlags,
  rest,
  textBytes,
  textLength,
} from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import type { HasKv } from "../state.ts";
import {
  casMismatch,
  currentRevision,
  KvNamespace,
  type KvRejected,
  type KvState,
} from "../state.ts";

export type KvPut = {
  readonly type: "kv_put";
  readonly namespace: string;
  /** UTF-8. */
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Expected revision; 0 if the key must not exist; null for any. */
  readonly cas: number | null;
  /** Null and 0 mean no expiry. */
  readonly ttlMs: number | null;
};

export type KvPutResult =
  | { readonly ok: true; readonly type: "kv_put"; readonly cas: number }
  | KvRejected;

/**
 * Writes a key. Revisions count the puts of a namespace; a delete uses none. The counter outlives
 * the keys, and a namespace that is created again begins above it, so a revision is never used twice
 * and a stale `cas` never matches by accident.
 */
export function applyKvPut(state: KvState, command: KvPut, now: Millis): KvPutResult {
  const { key, value, cas, ttlMs } = command;
  const known = state.namespaces.get(command.namespace);
  if (cas !== null) {
    const current = currentRevision(known, key, now);
    if (cas !== current && !faultPoint("cas-not-checked")) return casMismatch(cas, current);
  }
  const namespace = known ?? addNamespace(state, command.namespace);
  const revision = ++namespace.revision;
  const lives = ttlMs === null || ttlMs === 0;
  // The last moment that has a number is in the year 287396.
  const expiresAt = lives ? 0 : Math.min(now + ttlMs, Number.MAX_SAFE_INTEGER);
  const replaced = namespace.keys.put({ key, value, revision, expiresAt });
  if (replaced < 0) state.size++;
  else state.bytes -= replaced;
  state.bytes += key.length + value.length;
  return { ok: true, type: "kv_put", cas: revision };
}

function addNamespace(state: KvState, name: string): KvNamespace {
  const namespace = new KvNamespace(state.nextNamespaceId++, name, state, state.deletedRevision);
  state.namespaces.set(name, namespace);
  return namespace;
}

const HAS_CAS = 1;

export const kvPut: CommandKind<KvPut, KvPutResult, HasKv> = {
  type: "kv_put",
  tag: 9,
  summaryId: 3,
  length({ namespace, key, value, cas, ttlMs }) {
    return (
      textLength(namespace) +
      varintLength(key.length) +
      key.length +
      1 +
      (cas === null ? 0 : varintLength(cas)) +
      varintLength(ttlMs ?? 0) +
      value.length
    );
  },
  encode(body, { namespace, key, value, cas, ttlMs }) {
    body.text(namespace);
    body.blob(key);
    body.u8(cas === null ? 0 : HAS_CAS);
    if (cas !== null) body.varint(cas);
    body.varint(ttlMs ?? 0);
    body.raw(value);
  },
  decode(body, end) {
    const namespace = body.text();
    const key = textBytes(body.blob());
    const cas = knownFlags(body.u8(), HAS_CAS) === 0 ? null : body.varint();
    const ttlMs = body.varint();
    const value = rest(body, end);
    return { type: "kv_put", namespace, key, value, cas, ttlMs: ttlMs === 0 ? null : ttlMs };
  },
  apply: ({ kv, now }, command) => applyKvPut(kv, command, now),
  summarize: ({ cas }, summary) => summary.numbers(cas, 0),
};
