import { DUE_KIND, Due } from "../lib/due-index.ts";

/** Limits of a page; a single larger entry has a page of its own. */
const PAGE_ENTRIES_MAX = 256;
const PAGE_BYTES_MAX = 32 * 1024;
/** Neighbouring pages that together have at most this many bytes are merged. */
const JOINED_ENTRIES_MAX = 96;

/** Fields of an entry in the table. */
const AT = 0;
const KEY_LENGTH = 1;
const VALUE_LENGTH = 2;
const REVISION = 3;
const EXPIRES_AT = 4;
const STRIDE = 5;

/** Fewer dead bytes than this are not compacted. */
const DEAD_BYTES_KEPT = 1024;

/** A captured page for a snapshot; it never changes. */
export type PageCapture = {
  readonly count: number;
  readonly table: Float64Array;
  readonly bytes: Uint8Array;
};

/** An entry to be written to a page. */
export type NewEntry = {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly revision: number;
  /** Machine time at which the key expires; 0 means no expiry. */
  readonly expiresAt: number;
};

/**
 * Neighbouring keys with their values, sorted by key: a table of numbers, and one piece of memory
 * that is only appended to. An object for each key would take three times the memory, and a
 * million of them would stop the loop at each garbage collection. Falls due when one of its entries
 * expires, so that an index of what expires has one item for each page and none for each key.
 */
export class KeyPage extends Due {
  count = 0;
  /** No entry of the page expires before this. */
  soonest = Number.POSITIVE_INFINITY;
  /** Number of entries that expire. */
  expiring = 0;
  epoch: number;
  #table = new Float64Array(4 * STRIDE);
  #bytes = new Uint8Array(0);
  #used = 0;
  #dead = 0;

  /** @param owner the namespace. @param id unique within it. */
  constructor(epoch: number, owner: number, id: number) {
    super(DUE_KIND.keyExpiry, owner, id);
    this.epoch = epoch;
  }

  revision(i: number): number {
    return this.#field(i, REVISION);
  }

  /** 0 means no expiry. */
  expiresAt(i: number): number {
    return this.#field(i, EXPIRES_AT);
  }

  valueLength(i: number): number {
    return this.#field(i, VALUE_LENGTH);
  }

  /** Key and value together. */
  entryLength(i: number): number {
    return this.#field(i, KEY_LENGTH) + this.#field(i, VALUE_LENGTH);
  }

  /** A copy. */
  key(i: number): Uint8Array {
    const at = this.#field(i, AT);
    return this.#bytes.slice(at, at + this.#field(i, KEY_LENGTH));
  }

  /** A view that stays valid, because written bytes are never overwritten. */
  value(i: number): Uint8Array {
    const at = this.#field(i, AT) + this.#field(i, KEY_LENGTH);
    return this.#bytes.subarray(at, at + this.#field(i, VALUE_LENGTH));
  }

  /** Compares an entry's key with `key`: negative, 0 or positive. */
  compare(i: number, key: Uint8Array): number {
    const bytes = this.#bytes;
    const at = this.#field(i, AT);
    const length = this.#field(i, KEY_LENGTH);
    const shared = Math.min(length, key.length);
    for (let k = 0; k < shared; k++) {
      const difference = (bytes[at + k] as number) - (key[k] as number);
      if (difference !== 0) return difference;
    }
    return length - key.length;
  }

  hasPrefix(i: number, prefix: Uint8Array): boolean {
    if (this.#field(i, KEY_LENGTH) < prefix.length) return false;
    const at = this.#field(i, AT);
    for (let k = 0; k < prefix.length; k++) if (this.#bytes[at + k] !== prefix[k]) return false;
    return true;
  }

  /** The first entry whose key is not before `key`. */
  lowerBound(key: Uint8Array): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.compare(middle, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  insert(i: number, entry: NewEntry): void {
    const { count } = this;
    if ((count + 1) * STRIDE > this.#table.length) {
      const bigger = new Float64Array(this.#table.length * 2);
      bigger.set(this.#table);
      this.#table = bigger;
    }
    this.#table.copyWithin((i + 1) * STRIDE, i * STRIDE, count * STRIDE);
    // Before `#write`, which may move all entries that count.
    this.#table.fill(0, i * STRIDE, (i + 1) * STRIDE);
    this.count++;
    this.#write(i, entry);
  }

  replace(i: number, entry: NewEntry): void {
    this.#dead += this.entryLength(i);
    if (this.expiresAt(i) !== 0) this.expiring--;
    this.#table.fill(0, i * STRIDE, (i + 1) * STRIDE);
    this.#write(i, entry);
  }

  remove(i: number): void {
    this.#dead += this.entryLength(i);
    if (this.expiresAt(i) !== 0) this.expiring--;
    this.#table.copyWithin(i * STRIDE, (i + 1) * STRIDE, this.count * STRIDE);
    this.count--;
    if (this.#dead > DEAD_BYTES_KEPT && this.#dead * 2 > this.#used) this.#makeRoom(0);
  }

  /** Call it before a change when a snapshot may have captured the page. */
  own(epoch: number): void {
    if (this.epoch === epoch) return;
    this.#table = this.#table.slice();
    this.epoch = epoch;
  }

  capture(): PageCapture {
    return { count: this.count, table: this.#table, bytes: this.#bytes };
  }

  get isTooLarge(): boolean {
    return this.count > PAGE_ENTRIES_MAX || (this.count > 1 && this.#live > PAGE_BYTES_MAX);
  }

  /** True if an entry of this length can be appended without exceeding the limits. */
  hasRoomFor(length: number): boolean {
    return (
      this.count < PAGE_ENTRIES_MAX && (this.count === 0 || this.#live + length <= PAGE_BYTES_MAX)
    );
  }

  canJoin(following: KeyPage): boolean {
    if (this.count + following.count > JOINED_ENTRIES_MAX) return false;
    return this.#live + following.#live <= PAGE_BYTES_MAX / 2;
  }

  /** Appends all entries of the following page. */
  join(following: KeyPage): void {
    for (let i = 0; i < following.count; i++) this.insert(this.count, following.#take(i));
  }

  /**
   * Moves the later entries to a new page.
   *
   * @param isLast splits near the end, because keys often arrive in order and leave a full page.
   * @param id of the new page.
   */
  split(isLast: boolean, id: number): KeyPage {
    const cut = this.count > PAGE_ENTRIES_MAX ? this.#middle(isLast) : this.#middleByBytes();
    const later = new KeyPage(this.epoch, this.owner, id);
    for (let i = cut; i < this.count; i++) later.insert(later.count, this.#take(i));
    for (let i = cut; i < this.count; i++) this.#dead += this.entryLength(i);
    this.expiring -= later.expiring;
    this.count = cut;
    this.#table = this.#table.slice(0, (isLast ? cut : cut + 32) * STRIDE);
    this.#makeRoom(0);
    return later;
  }

  get #live(): number {
    return this.#used - this.#dead;
  }

  #field(i: number, field: number): number {
    return this.#table[i * STRIDE + field] as number;
  }

  #take(i: number): NewEntry {
    const at = this.#field(i, AT);
    const valueAt = at + this.#field(i, KEY_LENGTH);
    return {
      key: this.#bytes.subarray(at, valueAt),
      value: this.#bytes.subarray(valueAt, valueAt + this.#field(i, VALUE_LENGTH)),
      revision: this.revision(i),
      expiresAt: this.expiresAt(i),
    };
  }

  #write(i: number, { key, value, revision, expiresAt }: NewEntry): void {
    const length = key.length + value.length;
    if (this.#used + length > this.#bytes.length) this.#makeRoom(length);
    const at = this.#used;
    this.#bytes.set(key, at);
    this.#bytes.set(value, at + key.length);
    this.#used += length;
    const table = this.#table;
    table[i * STRIDE + AT] = at;
    table[i * STRIDE + KEY_LENGTH] = key.length;
    table[i * STRIDE + VALUE_LENGTH] = value.length;
    table[i * STRIDE + REVISION] = revision;
    table[i * STRIDE + EXPIRES_AT] = expiresAt;
    if (expiresAt === 0) return;
    this.expiring++;
    if (expiresAt < this.soonest) this.soonest = expiresAt;
  }

  /** Moves the live entries into new memory with room for `more` bytes: the old may be shared. */
  #makeRoom(more: number): void {
    const needed = this.#live + more;
    const spare = needed > PAGE_BYTES_MAX ? 0 : needed >> 2;
    const bytes = new Uint8Array(needed + spare);
    if (this.#dead === 0) {
      bytes.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = bytes;
      return;
    }
    let to = 0;
    for (let i = 0; i < this.count; i++) {
      const at = this.#field(i, AT);
      const length = this.entryLength(i);
      bytes.set(this.#bytes.subarray(at, at + length), to);
      this.#table[i * STRIDE + AT] = to;
      to += length;
    }
    this.#bytes = bytes;
    this.#used = to;
    this.#dead = 0;
  }

  #middle(isLast: boolean): number {
    return Math.floor((this.count * (isLast ? 7 : 4)) / 8);
  }

  #middleByBytes(): number {
    let before = 0;
    let i = 0;
    while (i < this.count - 1 && before < this.#live / 2) before += this.entryLength(i++);
    const hasPassed = before - this.entryLength(i - 1) > 0 && before > PAGE_BYTES_MAX;
    return hasPassed ? i - 1 : i;
  }
}

/** An entry of a captured page: `length` bytes from `at` are its key, then its value. */
export function captured(
  page: PageCapture,
  i: number,
): { at: number; keyLength: number; length: number; revision: number; expiresAt: number } {
  const from = i * STRIDE;
  const { table } = page;
  const keyLength = table[from + KEY_LENGTH] as number;
  return {
    at: table[from + AT] as number,
    keyLength,
    length: keyLength + (table[from + VALUE_LENGTH] as number),
    revision: table[from + REVISION] as number,
    expiresAt: table[from + EXPIRES_AT] as number,
  };
}
