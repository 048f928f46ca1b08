/** Taken items at the front that are kept before the array is cut. */
const TAKEN_MAX = 1024;

/**
 * A queue. A map or set is none: its first entry is found by a walk over those that were deleted before
 * it, so taking entries from its front one by one takes quadratic time.
 */
export class Fifo<T> {
  #items: T[] = [];
  /** The number of items at the front that were taken. */
  #taken = 0;

  get size(): number {
    return this.#items.length - this.#taken;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Removes the items that are not wanted. */
  retain(isWanted: (item: T) => boolean): void {
    this.#items = this.#items.slice(this.#taken).filter(isWanted);
    this.#taken = 0;
  }

  /** Removes and returns the oldest item; undefined if there is none. */
  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#taken++];
    if (this.#taken > TAKEN_MAX && this.#taken * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    return item;
  }
}
