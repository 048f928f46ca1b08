import type { Millis } from "../lib/ids.ts";
import { ExpiryHeap } from "./expiry-heap.ts";
import { KeyIndex } from "./key-index.ts";

/** How long a key that expired is told apart from one that never was. */
export const EXPIRED_MEMORY_MS = 60_000;

/** A key and its value. Never changed once written (but for its place in the heap): replaced. */
export type KvEntry = {
  readonly namespace: KvNamespace;
  /** The key's UTF-8, then the value: one allocation for both. */
  readonly blob: Uint8Array;
  readonly keyLength: number;
  readonly revision: number;
  /** Machine time from which on the key counts as absent; 0: lives for ever. */
  readonly expiresAt: number;
  /** Place in `KvState.expiries`, -1 if it has none. */
  heapIndex: number;
};

export class KvNamespace {
  readonly id: number;
  readonly name: string;
  /** The last revision given out. Outlives every key, so that none is used twice. */
  revision = 0;
  readonly keys: KeyIndex;

  constructor(id: number, name: string, epoch: KvEpoch) {
    this.id = id;
    this.name = name;
    this.keys = new KeyIndex(epoch);
  }
}

/** Not replicated: what was last changed in an older epoch may be shared with a snapshot. */
export type KvEpoch = { value: number };

export class KvState {
  readonly epoch: KvEpoch = { value: 0 };
  /** In the order of their ids. */
  readonly namespaces = new Map<string, KvNamespace>();
  nextNamespaceId = 1;
  readonly expiries = new ExpiryHeap();
  /** Keys that are held, with those that expired within the last minute. */
  size = 0;
  /** Keys and values that are held, in bytes. */
  bytes = 0;
}

export type KvRejectCode = "cas_mismatch";

/** `details` holds `expected` and `current`, as the HTTP contract names them; 0 is "absent". */
export type KvRejected = {
  readonly ok: false;
  readonly code: KvRejectCode;
  readonly details: Readonly<Record<string, number>>;
};

export const casMismatch = (expected: number, current: number): KvRejected => ({
  ok: false,
  code: "cas_mismatch",
  details: { expected, current },
});

export const isExpired = (entry: KvEntry, now: Millis): boolean =>
  entry.expiresAt !== 0 && entry.expiresAt <= now;

/** @returns undefined also where the key has expired. */
export function liveEntry(
  namespace: KvNamespace | undefined,
  key: Uint8Array,
  now: Millis,
): KvEntry | undefined {
  const entry = namespace?.keys.find(key);
  return entry === undefined || isExpired(entry, now) ? undefined : entry;
}

/** Adds the entry or puts it in the place of the one with its key. */
export function putEntry(state: KvState, entry: KvEntry): void {
  const replaced = entry.namespace.keys.put(entry);
  if (replaced !== undefined) forget(state, replaced);
  state.size++;
  state.bytes += entry.blob.length;
  if (entry.expiresAt !== 0) state.expiries.push(entry);
}

export function removeEntry(state: KvState, entry: KvEntry): void {
  entry.namespace.keys.remove(entry);
  forget(state, entry);
}

function forget(state: KvState, entry: KvEntry): void {
  state.size--;
  state.bytes -= entry.blob.length;
  if (entry.heapIndex >= 0) state.expiries.remove(entry);
}
