import { assert } from "../lib/assert.ts";
import type { KvEntry } from "./state.ts";

/**
 * Entries that expire, soonest first; equal times in the order of namespace and revision, which is
 * a total order, so that every node removes the same ones first. A binary heap whose entries know
 * their place, so that a key that is written over and over leaves nothing behind.
 */
export class ExpiryHeap {
  readonly #entries: KvEntry[] = [];

  get size(): number {
    return this.#entries.length;
  }

  first(): KvEntry | undefined {
    return this.#entries[0];
  }

  push(entry: KvEntry): void {
    this.#entries.push(entry);
    this.#rise(entry, this.#entries.length - 1);
  }

  remove(entry: KvEntry): void {
    const at = entry.heapIndex;
    assert(this.#entries[at] === entry, "an entry knows its place in the heap");
    entry.heapIndex = -1;
    const last = this.#entries.pop();
    if (last === undefined || last === entry) return;
    this.#rise(last, at);
    this.#sink(last, last.heapIndex);
  }

  #rise(entry: KvEntry, from: number): void {
    const entries = this.#entries;
    let at = from;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = entries[up] as KvEntry;
      if (!isSooner(entry, parent)) break;
      entries[at] = parent;
      parent.heapIndex = at;
      at = up;
    }
    entries[at] = entry;
    entry.heapIndex = at;
  }

  #sink(entry: KvEntry, from: number): void {
    const entries = this.#entries;
    let at = from;
    for (;;) {
      const left = at * 2 + 1;
      if (left >= entries.length) break;
      const right = left + 1;
      const useRight =
        right < entries.length && isSooner(entries[right] as KvEntry, entries[left] as KvEntry);
      const down = useRight ? right : left;
      const child = entries[down] as KvEntry;
      if (!isSooner(child, entry)) break;
      entries[at] = child;
      child.heapIndex = at;
      at = down;
    }
    entries[at] = entry;
    entry.heapIndex = at;
  }
}

function isSooner(a: KvEntry, b: KvEntry): boolean {
  if (a.expiresAt !== b.expiresAt) return a.expiresAt < b.expiresAt;
  if (a.namespace !== b.namespace) return a.namespace.id < b.namespace.id;
  return a.revision < b.revision;
}
