import { DueIndex } from "../lib/due-index.ts";
import type { Millis } from "../lib/ids.ts";
import { KeyIndex, type KeyPlace, type KvEpoch } from "./key-index.ts";
import type { KeyPage } from "./key-page.ts";

/** Time for which an expired key is distinguished from a key that never existed. */
export const EXPIRED_MEMORY_MS = 60_000;

export class KvNamespace {
  readonly id: number;
  readonly name: string;
  /** The last revision that was used. It outlives the keys, so that no revision is used twice. */
  revision: number;
  readonly keys: KeyIndex;

  /** @param revision that no key of the namespace has: of an earlier namespace of any name. */
  constructor(
    id: number,
    name: string,
    { epoch, expiries }: Pick<KvState, "epoch" | "expiries">,
    revision: number,
  ) {
    this.id = id;
    this.name = name;
    this.revision = revision;
    this.keys = new KeyIndex(epoch, expiries, id);
  }
}

export class KvState {
  readonly epoch: KvEpoch = { value: 0 };
  /** In the order of their ids. */
  readonly namespaces = new Map<string, KvNamespace>();
  nextNamespaceId = 1;
  /** The highest revision of all deleted namespaces. New namespaces begin above it. */
  deletedRevision = 0;
  /** Number of keys, including keys that expired within the last minute. */
  size = 0;
  /** Bytes of keys and values. */
  bytes = 0;
  /** Not replicated as such: pages of all namespaces, by the time at which their first key expires. */
  readonly expiries = new DueIndex<KeyPage>();

  /** Number of keys that expire, including keys that expired within the last minute. */
  get expiring(): number {
    let count = 0;
    for (const page of this.expiries.due(Number.POSITIVE_INFINITY)) count += page.expiring;
    return count;
  }
}

/** Memory of a key in the index, measured with 1,000,000 keys of 16 bytes. */
export const KEY_OVERHEAD_BYTES = 256;

/** Bytes of memory that keys and values take. */
export const memoryOf = ({ bytes, size }: KvState): number => bytes + size * KEY_OVERHEAD_BYTES;

export type KvRejectCode = "cas_mismatch" | "namespace_not_empty";

/** `details` holds the fields of the error, as the HTTP contract names them. */
export type KvRejected<C extends KvRejectCode = "cas_mismatch"> = {
  readonly ok: false;
  readonly code: C;
  readonly details: Readonly<Record<string, number>>;
};

/** A revision of 0 means "absent". */
export const casMismatch = (expected: number, current: number): KvRejected => ({
  ok: false,
  code: "cas_mismatch",
  details: { expected, current },
});

export function isExpired(place: KeyPlace, now: Millis): boolean {
  const expiresAt = place.page.expiresAt(place.at);
  return expiresAt !== 0 && expiresAt <= now;
}

/** @returns 0 if there is no such key or it has expired. */
export function currentRevision(
  namespace: KvNamespace | undefined,
  key: Uint8Array,
  now: Millis,
): number {
  const place = namespace?.keys.find(key) ?? null;
  return place === null || isExpired(place, now) ? 0 : place.page.revision(place.at);
}

/** The part of the replicated state that commands of this folder need. */
export type HasKv = { readonly kv: KvState; readonly now: Millis };
