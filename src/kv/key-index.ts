import { assert } from "../lib/assert.ts";
import { DecodeError } from "../lib/bytes.ts";
import type { KvEntry, KvEpoch } from "./state.ts";

const BUCKET_ENTRIES_MAX = 512;
/** Neighbours that together have no more than this become one. */
const BUCKET_ENTRIES_JOINED = 192;

type Bucket = {
  /** Sorted by key, never empty. Shared with a snapshot while the epochs differ. */
  entries: KvEntry[];
  epoch: number;
};

/** Where the next entry is: see `seek` and `entryAt`. */
export type KeyPosition = { bucket: number; entry: number };

/**
 * The entries of a namespace in the byte order of their keys, in sorted buckets: look-ups are two
 * binary searches, a change moves at most one bucket's references, a listing starts anywhere. A
 * hash map beside it would have to be rehashed as a whole, which stops the loop when it is big.
 */
export class KeyIndex {
  readonly #epoch: KvEpoch;
  readonly #buckets: Bucket[] = [];

  constructor(epoch: KvEpoch) {
    this.#epoch = epoch;
  }

  find(key: Uint8Array): KvEntry | undefined {
    const bucket = this.#buckets[this.#bucketFor(key, key.length)];
    if (bucket === undefined) return undefined;
    const entry = bucket.entries[lowerBound(bucket.entries, key, key.length)];
    return entry !== undefined && compareKey(entry, key, key.length) === 0 ? entry : undefined;
  }

  /** @returns the entry with the same key that it takes the place of. */
  put(entry: KvEntry): KvEntry | undefined {
    const at = this.#bucketFor(entry.blob, entry.keyLength);
    const bucket = this.#buckets[at];
    if (bucket === undefined) {
      this.#buckets.push({ entries: [entry], epoch: this.#epoch.value });
      return undefined;
    }
    this.#own(bucket);
    const { entries } = bucket;
    const place = lowerBound(entries, entry.blob, entry.keyLength);
    const present = entries[place];
    if (present !== undefined && compareKey(present, entry.blob, entry.keyLength) === 0) {
      entries[place] = entry;
      return present;
    }
    entries.splice(place, 0, entry);
    if (entries.length > BUCKET_ENTRIES_MAX) this.#split(at, bucket);
    return undefined;
  }

  /** The entry must be in the index. */
  remove(entry: KvEntry): void {
    const at = this.#bucketFor(entry.blob, entry.keyLength);
    const bucket = this.#buckets[at] as Bucket;
    this.#own(bucket);
    const place = lowerBound(bucket.entries, entry.blob, entry.keyLength);
    assert(bucket.entries[place] === entry, "an entry to remove is in the index");
    bucket.entries.splice(place, 1);
    if (bucket.entries.length === 0) this.#buckets.splice(at, 1);
    else this.#join(at, bucket);
  }

  /** The place of the first key that is at or after `key`. */
  seek(key: Uint8Array): KeyPosition {
    const at = this.#bucketFor(key, key.length);
    const bucket = this.#buckets[at];
    if (bucket === undefined) return { bucket: 0, entry: 0 };
    return { bucket: at, entry: lowerBound(bucket.entries, key, key.length) };
  }

  /** The entry at `position`, which then moves on; undefined at the end. */
  next(position: KeyPosition): KvEntry | undefined {
    let bucket = this.#buckets[position.bucket];
    if (bucket !== undefined && position.entry >= bucket.entries.length) {
      position.bucket++;
      position.entry = 0;
      bucket = this.#buckets[position.bucket];
    }
    return bucket?.entries[position.entry++];
  }

  /** Adds the sorted entries of each bucket to `to`. They stay as they are: copied before a change. */
  capture(to: (readonly KvEntry[])[]): void {
    for (const bucket of this.#buckets) to.push(bucket.entries);
  }

  /**
   * Adds entries behind all others, as `capture` gave them.
   *
   * @throws DecodeError if there are none or their keys are not in order.
   */
  append(added: KvEntry[]): void {
    if (added.length === 0) throw new DecodeError("a bucket of keys is empty");
    const last = this.#buckets[this.#buckets.length - 1];
    let before = last?.entries[last.entries.length - 1];
    for (const entry of added) {
      if (before !== undefined && compareEntries(before, entry) >= 0) {
        throw new DecodeError("keys are not in order");
      }
      before = entry;
    }
    if (last !== undefined && last.entries.length + added.length <= BUCKET_ENTRIES_MAX) {
      this.#own(last);
      for (const entry of added) last.entries.push(entry);
    } else {
      this.#buckets.push({ entries: added, epoch: this.#epoch.value });
    }
  }

  /** The last bucket that begins at or before the key, or the first one. */
  #bucketFor(key: Uint8Array, keyLength: number): number {
    const buckets = this.#buckets;
    let low = 0;
    let high = buckets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = (buckets[middle] as Bucket).entries[0] as KvEntry;
      if (compareKey(first, key, keyLength) <= 0) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }

  #own(bucket: Bucket): void {
    if (bucket.epoch === this.#epoch.value) return;
    bucket.entries = bucket.entries.slice();
    bucket.epoch = this.#epoch.value;
  }

  /** Keys often come in order: a bucket at the end is cut late, so that it is left nearly full. */
  #split(at: number, bucket: Bucket): void {
    const isLast = at === this.#buckets.length - 1;
    const cut = Math.floor((bucket.entries.length * (isLast ? 7 : 4)) / 8);
    const entries = bucket.entries.splice(cut);
    this.#buckets.splice(at + 1, 0, { entries, epoch: this.#epoch.value });
  }

  #join(at: number, bucket: Bucket): void {
    const following = this.#buckets[at + 1];
    if (following === undefined) return;
    if (bucket.entries.length + following.entries.length > BUCKET_ENTRIES_JOINED) return;
    bucket.entries = bucket.entries.concat(following.entries);
    this.#buckets.splice(at + 1, 1);
  }
}

/** Order of an entry's key against `keyLength` bytes of `key`: negative, 0 or positive. */
export function compareKey(entry: KvEntry, key: Uint8Array, keyLength: number): number {
  const { blob } = entry;
  const shared = Math.min(entry.keyLength, keyLength);
  for (let i = 0; i < shared; i++) {
    const difference = (blob[i] as number) - (key[i] as number);
    if (difference !== 0) return difference;
  }
  return entry.keyLength - keyLength;
}

const compareEntries = (a: KvEntry, b: KvEntry): number => compareKey(a, b.blob, b.keyLength);

/** The first place whose key is not before `key`. */
function lowerBound(entries: readonly KvEntry[], key: Uint8Array, keyLength: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKey(entries[middle] as KvEntry, key, keyLength) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
