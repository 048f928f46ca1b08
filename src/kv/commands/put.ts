import type { Millis } from "../../lib/ids.ts";
import {
  casMismatch,
  type KvEntry,
  KvNamespace,
  type KvRejected,
  type KvState,
  liveEntry,
  putEntry,
} from "../state.ts";

export type KvPut = {
  readonly type: "kv_put";
  readonly namespace: string;
  /** UTF-8. */
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Expected revision; 0: only if absent; null: whatever is there. */
  readonly cas: number | null;
  /** Null and 0: lives for ever. */
  readonly ttlMs: number | null;
};

export type KvPutResult =
  | { readonly ok: true; readonly type: "kv_put"; readonly cas: number }
  | KvRejected;

/**
 * Revisions count the puts of a namespace from 1. A delete takes none; since the count outlives
 * the keys, a revision still never comes twice, and a stale `cas` can never match by accident.
 */
export function applyKvPut(state: KvState, command: KvPut, now: Millis): KvPutResult {
  const { key, value, cas, ttlMs } = command;
  const known = state.namespaces.get(command.namespace);
  if (cas !== null) {
    const current = liveEntry(known, key, now)?.revision ?? 0;
    if (cas !== current) return casMismatch(cas, current);
  }
  const namespace = known ?? addNamespace(state, command.namespace);
  namespace.revision++;
  const entry: KvEntry = {
    namespace,
    blob: joined(key, value),
    keyLength: key.length,
    revision: namespace.revision,
    expiresAt: ttlMs === null || ttlMs === 0 ? 0 : Math.min(now + ttlMs, Number.MAX_SAFE_INTEGER),
    heapIndex: -1,
  };
  putEntry(state, entry);
  return { ok: true, type: "kv_put", cas: entry.revision };
}

function addNamespace(state: KvState, name: string): KvNamespace {
  const namespace = new KvNamespace(state.nextNamespaceId++, name, state.epoch);
  state.namespaces.set(name, namespace);
  return namespace;
}

/** A copy: the command's bytes are views of an entry that goes away. */
function joined(key: Uint8Array, value: Uint8Array): Uint8Array {
  const blob = new Uint8Array(key.length + value.length);
  blob.set(key);
  blob.set(value, key.length);
  return blob;
}
