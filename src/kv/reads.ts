import { fromUtf8, utf8 } from "../lib/bytes.ts";
import type { Millis } from "../lib/ids.ts";
import type { KeyPlace } from "./key-index.ts";
import { EXPIRED_MEMORY_MS, isExpired, type KvState } from "./state.ts";

/** `expired` is true if the key existed within the last minute. */
export type KvMissing = { readonly status: "absent" } | { readonly status: "expired" };

export type KvFound = {
  readonly status: "found";
  /** A view of a page with many other values; do not change or retain it. */
  readonly value: Uint8Array;
  readonly cas: number;
  /** Milliseconds left; 0 means no expiry. */
  readonly ttlMs: number;
};

export type KvMeta = {
  readonly status: "found";
  readonly cas: number;
  readonly ttlMs: number;
  /** Length of the value. */
  readonly bytes: number;
};

export type KvListing = {
  readonly keys: readonly {
    readonly key: string;
    readonly cas: number;
    readonly bytes: number;
    readonly ttlMs: number;
  }[];
  /** Pass it as `after` for the next page; null at the end. */
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

/**
 * @param now the time of the read. It is called only for a key that expires, because reading the
 *   clocks costs more than finding the key.
 */
export function getValue(
  state: KvState,
  namespace: string,
  key: string,
  now: () => Millis,
): KvFound | KvMissing {
  const place = find(state, namespace, key);
  if (place === null) return ABSENT;
  const { page, at } = place;
  let ttlMs = 0;
  if (page.expiresAt(at) !== 0) {
    const nowMs = now();
    if (isExpired(place, nowMs)) return missing(place, nowMs);
    ttlMs = ttlLeft(place, nowMs);
  }
  return { status: "found", value: page.value(at), cas: page.revision(at), ttlMs };
}

export function getMeta(
  state: KvState,
  namespace: string,
  key: string,
  now: Millis,
): KvMeta | KvMissing {
  const place = find(state, namespace, key);
  if (place === null) return ABSENT;
  if (isExpired(place, now)) return missing(place, now);
  const { page, at } = place;
  const bytes = page.valueLength(at);
  return { status: "found", cas: page.revision(at), ttlMs: ttlLeft(place, now), bytes };
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
  for (const place of index.from(isBefore(prefix, after) ? after : prefix)) {
    const { page, at } = place;
    if (!page.hasPrefix(at, prefix)) break;
    if (isExpired(place, now)) continue;
    if (query.after !== "" && page.compare(at, after) <= 0) continue;
    if (keys.length >= query.limit) return { keys, next: keys.at(-1)?.key ?? query.after };
    keys.push({
      key: fromUtf8(page.key(at)),
      cas: page.revision(at),
      bytes: page.valueLength(at),
      ttlMs: ttlLeft(place, now),
    });
  }
  return { keys, next: null };
}

export type NamespaceSummary = {
  readonly namespace: string;
  /** The last revision that was used in it. */
  readonly revision: number;
  /** Keys that have not expired, and the bytes of their keys and values. */
  readonly keys: number;
  readonly bytes: number;
};

/** All namespaces by name, also those without keys. */
export const listNamespaces = (state: KvState, now: Millis): readonly NamespaceSummary[] =>
  [...state.namespaces.values()]
    .map(({ name, revision, keys }) => ({ namespace: name, revision, ...keys.live(now) }))
    .sort((a, b) => (a.namespace < b.namespace ? -1 : 1));

const find = (state: KvState, namespace: string, key: string): KeyPlace | null =>
  state.namespaces.get(namespace)?.keys.find(utf8(key)) ?? null;

/** Returns what a reader is told of a key that has expired. */
const missing = ({ page, at }: KeyPlace, now: Millis): KvMissing =>
  now - page.expiresAt(at) < EXPIRED_MEMORY_MS ? EXPIRED : ABSENT;

function ttlLeft({ page, at }: KeyPlace, now: Millis): number {
  const expiresAt = page.expiresAt(at);
  return expiresAt === 0 ? 0 : expiresAt - now;
}

function isBefore(a: Uint8Array, b: Uint8Array): boolean {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference < 0;
  }
  return a.length < b.length;
}
