import { DecodeError } from "../lib/bytes.ts";
import { DueIndex } from "../lib/due-index.ts";
import { KeyPage, type NewEntry, type PageCapture } from "./key-page.ts";

/** Not replicated: what was last changed in an older epoch may be shared with a snapshot. */
export type KvEpoch = { value: number };

/** An entry: number `at` of `page`. Valid until the next change of the index. */
export type KeyPlace = { page: KeyPage; at: number };

/**
 * The entries of a namespace in the byte order of their keys, in pages: look-ups are two binary
 * searches, a change touches one page, a listing starts anywhere. A hash map would have to be
 * rehashed as a whole now and then, which stops the loop when it is big.
 */
export class KeyIndex {
  readonly #epoch: KvEpoch;
  readonly #pages: KeyPage[] = [];
  /** The pages of all namespaces that have entries that expire. */
  readonly #expiries: DueIndex<KeyPage>;
  readonly #owner: number;
  #lastPage = 0;
  /** Number of entries, and bytes of their keys and values. */
  size = 0;
  bytes = 0;

  /** @param owner the namespace, a number of its own in the index of what expires. */
  constructor(epoch: KvEpoch, expiries = new DueIndex<KeyPage>(), owner = 0) {
    this.#epoch = epoch;
    this.#expiries = expiries;
    this.#owner = owner;
  }

  find(key: Uint8Array): KeyPlace | null {
    const page = this.#pages[this.#pageFor(key)];
    if (page === undefined) return null;
    const at = page.lowerBound(key);
    return at < page.count && page.compare(at, key) === 0 ? { page, at } : null;
  }

  /** @returns the bytes of the entry that it takes the place of, or -1. */
  put(entry: NewEntry): number {
    const number = this.#pageFor(entry.key);
    const page = this.#pages[number] ?? this.#addPage();
    page.own(this.#epoch.value);
    const at = page.lowerBound(entry.key);
    const isPresent = at < page.count && page.compare(at, entry.key) === 0;
    const replaced = isPresent ? page.entryLength(at) : -1;
    if (isPresent) this.bytes -= replaced;
    else this.size++;
    this.bytes += entry.key.length + entry.value.length;
    if (isPresent) page.replace(at, entry);
    else page.insert(at, entry);
    while (page.isTooLarge) this.#split(number, page);
    this.#noteExpiry(page);
    return replaced;
  }

  /** @returns the bytes of the entry that was there, or -1. */
  remove(key: Uint8Array): number {
    const number = this.#pageFor(key);
    const place = this.find(key);
    if (place === null) return -1;
    const { page, at } = place;
    const removed = page.entryLength(at);
    this.size--;
    this.bytes -= removed;
    page.own(this.#epoch.value);
    page.remove(at);
    if (page.count === 0) this.#dropPage(number);
    else if (!this.#join(number)) this.#join(number - 1);
    return removed;
  }

  /**
   * Removes entries with an expiry of at most `until`, in the order of their keys: what is removed
   * must not depend on how keys are spread over pages.
   *
   * @param pages those that are due, in any order.
   * @returns how many of at most `max`, and their bytes.
   */
  removeExpired(
    until: number,
    max: number,
    pages: readonly KeyPage[],
  ): { count: number; bytes: number } {
    const removed = { count: 0, bytes: 0 };
    const numbers = pages.map((page) => this.#pageFor(page.key(0)));
    const inOrder = numbers.sort((a, b) => a - b).map((number) => this.#pages[number] as KeyPage);
    for (const page of inOrder) {
      if (removed.count >= max) break;
      const number = this.#pageFor(page.key(0));
      page.own(this.#epoch.value);
      removeFromPage(page, until, max, removed);
      if (page.count === 0) this.#dropPage(number);
      else if (!this.#join(number - 1)) this.#noteExpiry(page);
    }
    this.size -= removed.count;
    this.bytes -= removed.bytes;
    return removed;
  }

  /** Takes its pages out of the index of what expires: the namespace was deleted. */
  release(): void {
    for (const page of this.#pages) this.#expiries.remove(page);
  }

  /** Entries that have not expired, and the bytes of their keys and values. */
  live(now: number): { readonly keys: number; readonly bytes: number } {
    let keys = this.size;
    let bytes = this.bytes;
    for (const page of this.#pages) {
      if (page.soonest > now) continue;
      for (let at = 0; at < page.count; at++) {
        const expiresAt = page.expiresAt(at);
        if (expiresAt === 0 || expiresAt > now) continue;
        keys--;
        bytes -= page.entryLength(at);
      }
    }
    return { keys, bytes };
  }

  /** Walks the entries from the first whose key is not before `key`. */
  *from(key: Uint8Array): Generator<KeyPlace, void> {
    let number = this.#pageFor(key);
    let at = this.#pages[number]?.lowerBound(key) ?? 0;
    for (; number < this.#pages.length; number++) {
      const page = this.#pages[number] as KeyPage;
      for (; at < page.count; at++) yield { page, at };
      at = 0;
    }
  }

  /** The pages as they are now: a page is copied before it is changed. */
  capture(): PageCapture[] {
    return this.#pages.map((page) => page.capture());
  }

  /**
   * Adds an entry behind all others.
   *
   * @throws DecodeError if its key does not belong there.
   */
  append(entry: NewEntry): void {
    let last = this.#pages[this.#pages.length - 1] ?? this.#addPage();
    if (last.count > 0 && last.compare(last.count - 1, entry.key) >= 0) {
      throw new DecodeError("keys are not in order");
    }
    if (!last.hasRoomFor(entry.key.length + entry.value.length)) last = this.#addPage();
    last.own(this.#epoch.value);
    last.insert(last.count, entry);
    this.#noteExpiry(last);
    this.size++;
    this.bytes += entry.key.length + entry.value.length;
  }

  /** The last page that begins at or before the key, or the first one. */
  #pageFor(key: Uint8Array): number {
    const pages = this.#pages;
    let low = 0;
    let high = pages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((pages[middle] as KeyPage).compare(0, key) <= 0) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }

  #addPage(): KeyPage {
    const page = new KeyPage(this.#epoch.value, this.#owner, ++this.#lastPage);
    this.#pages.push(page);
    return page;
  }

  #dropPage(number: number): void {
    const [page] = this.#pages.splice(number, 1);
    if (page !== undefined) this.#expiries.remove(page);
  }

  /** A page whose first expiry was put off keeps its place: it falls due too early, and moves then. */
  #noteExpiry(page: KeyPage): void {
    if (page.soonest === page.dueAt) return;
    if (page.soonest !== Number.POSITIVE_INFINITY) this.#expiries.set(page, page.soonest);
    else {
      this.#expiries.remove(page);
      page.dueAt = page.soonest;
    }
  }

  #split(number: number, page: KeyPage): void {
    const later = page.split(number === this.#pages.length - 1, ++this.#lastPage);
    this.#pages.splice(number + 1, 0, later);
    this.#noteExpiry(later);
    this.#join(number + 1);
  }

  /** @returns whether the page has taken over the following one. */
  #join(number: number): boolean {
    const page = this.#pages[number];
    const following = this.#pages[number + 1];
    if (page === undefined || following === undefined || !page.canJoin(following)) return false;
    page.own(this.#epoch.value);
    page.join(following);
    this.#dropPage(number + 1);
    this.#noteExpiry(page);
    return true;
  }
}

function removeFromPage(
  page: KeyPage,
  until: number,
  max: number,
  removed: { count: number; bytes: number },
): void {
  let soonest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < page.count; ) {
    const expiresAt = page.expiresAt(i);
    if (expiresAt !== 0 && expiresAt <= until && removed.count < max) {
      removed.count++;
      removed.bytes += page.entryLength(i);
      page.remove(i);
    } else {
      if (expiresAt !== 0 && expiresAt < soonest) soonest = expiresAt;
      i++;
    }
  }
  page.soonest = soonest;
}
