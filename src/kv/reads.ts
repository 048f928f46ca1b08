import { fromUtf8, utf8 } from "../lib/bytes.ts";
import type { Millis } from "../lib/ids.ts";
import { compareKey } from "./key-index.ts";
import { EXPIRED_MEMORY_MS, isExpired, type KvEntry, type KvState } from "./state.ts";

/** `expired`: it was there within the last minute. */
export type KvMissing = { readonly status: "absent" } | { readonly status: "expired" };

export type KvFound = {
  readonly status: "found";
  /** Not to be changed. */
  readonly value: Uint8Array;
  readonly cas: number;
  /** Milliseconds left; 0: lives for ever. */
  readonly ttlMs: number;
};

export type KvMeta = {
  readonly status: "found";
  readonly cas: number;
  readonly ttlMs: number;
  /** Of the value. */
  readonly bytes: number;
};

export type KvListing = {
  readonly keys: readonly {
    readonly key: string;
    readonly cas: number;
    readonly bytes: number;
    readonly ttlMs: number;
  }[];
  /** Pass it as `after` to go on; null at the end. */
  readonly next: string | null;
};

export type KvListQuery = {
  readonly prefix: string;
  /** Keys after this one, in byte order; empty: from the start. */
  readonly after: string;
  readonly limit: number;
};

const ABSENT: KvMissing = { status: "absent" };
const EXPIRED: KvMissing = { status: "expired" };

/** Up to here the engine keeps a typed array in one piece, and a view would make it grow for good. */
const COPIED_BYTES_MAX = 1000;

export function getValue(
  state: KvState,
  namespace: string,
  key: string,
  now: Millis,
): KvFound | KvMissing {
  const found = lookUp(state, namespace, key, now);
  if ("status" in found) return found;
  const { blob, keyLength, revision } = found;
  const value = blob.length > COPIED_BYTES_MAX ? blob.subarray(keyLength) : blob.slice(keyLength);
  return { status: "found", value, cas: revision, ttlMs: ttlLeft(found, now) };
}

export function getMeta(
  state: KvState,
  namespace: string,
  key: string,
  now: Millis,
): KvMeta | KvMissing {
  const found = lookUp(state, namespace, key, now);
  if ("status" in found) return found;
  const bytes = found.blob.length - found.keyLength;
  return { status: "found", cas: found.revision, ttlMs: ttlLeft(found, now), bytes };
}

/** The keys of a namespace in the byte order of their UTF-8, without expired ones. */
export function listKeys(
  state: KvState,
  namespace: string,
  query: KvListQuery,
  now: Millis,
): KvListing {
  const index = state.namespaces.get(namespace)?.keys;
  const keys: KvListing["keys"][number][] = [];
  if (index === undefined) return { keys, next: null };
  const prefix = utf8(query.prefix);
  const after = utf8(query.after);
  const position = index.seek(isBefore(prefix, after) ? after : prefix);
  for (;;) {
    const entry = index.next(position);
    if (entry === undefined || !hasPrefix(entry, prefix)) return { keys, next: null };
    if (isExpired(entry, now)) continue;
    if (query.after !== "" && compareKey(entry, after, after.length) <= 0) continue;
    if (keys.length >= query.limit) return { keys, next: keys.at(-1)?.key ?? query.after };
    keys.push({
      key: fromUtf8(entry.blob.slice(0, entry.keyLength)),
      cas: entry.revision,
      bytes: entry.blob.length - entry.keyLength,
      ttlMs: ttlLeft(entry, now),
    });
  }
}

function lookUp(state: KvState, namespace: string, key: string, now: Millis): KvEntry | KvMissing {
  const entry = state.namespaces.get(namespace)?.keys.find(utf8(key));
  if (entry === undefined) return ABSENT;
  if (!isExpired(entry, now)) return entry;
  return now - entry.expiresAt < EXPIRED_MEMORY_MS ? EXPIRED : ABSENT;
}

const ttlLeft = (entry: KvEntry, now: Millis): number =>
  entry.expiresAt === 0 ? 0 : entry.expiresAt - now;

function hasPrefix(entry: KvEntry, prefix: Uint8Array): boolean {
  if (entry.keyLength < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (entry.blob[i] !== prefix[i]) return false;
  return true;
}

function isBefore(a: Uint8Array, b: Uint8Array): boolean {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference < 0;
  }
  return a.length < b.length;
}
