const WORDS_MIN = 2;
/** An empty ring of at most this size is kept: acknowledgements out of order need it again. */
const WORDS_KEPT = 16;
const WORD_BITS = 32;

/**
 * The finished records above the low offset of a partition: a ring of bits that grows with the span
 * between the low offset and the highest finished record. 100,000 records take 16 KiB.
 */
export class DoneSet {
  #words = new Uint32Array(WORDS_MIN);
  #size = 0;

  /** Number of finished records in the set. */
  get size(): number {
    return this.#size;
  }

  /** @param offset at or above the low offset. */
  has(offset: number, low: number): boolean {
    if (offset - low >= this.#bits) return false;
    const bit = offset % this.#bits;
    return (((this.#words[bit >>> 5] as number) >>> (bit & 31)) & 1) === 1;
  }

  /** Adds a record that is not in the set. */
  add(offset: number, low: number): void {
    if (offset - low >= this.#bits) this.#grow(offset, low);
    const bit = offset % this.#bits;
    this.#words[bit >>> 5] = (this.#words[bit >>> 5] as number) | (1 << (bit & 31));
    this.#size++;
  }

  /**
   * Removes everything below `to` and then the run of finished records from `to` on.
   *
   * @returns the new low offset, and the number of removed records below `to`.
   */
  raise(low: number, to: number): { low: number; removed: number } {
    let removed = 0;
    const end = Math.min(to, low + this.#bits);
    if (this.#size > 0) {
      for (let offset = low; offset < end; offset++) if (this.#take(offset)) removed++;
    }
    let next = to;
    // The ring holds offsets up to this one. Beyond it, a position belongs to a lower offset.
    const limit = low + this.#bits;
    while (this.#size > 0 && next < limit && this.#take(next)) next++;
    if (this.#size === 0 && this.#words.length > WORDS_KEPT)
      this.#words = new Uint32Array(WORDS_MIN);
    return { low: next, removed };
  }

  /** Yields the runs of finished records in order: first offset and length. */
  *runs(low: number): Generator<[first: number, length: number]> {
    let left = this.#size;
    for (let offset = low; left > 0; offset++) {
      if (!this.has(offset, low)) continue;
      const first = offset;
      while (this.has(offset, low)) offset++;
      left -= offset - first;
      yield [first, offset - first];
    }
  }

  get #bits(): number {
    return this.#words.length * WORD_BITS;
  }

  #take(offset: number): boolean {
    const bit = offset % this.#bits;
    const mask = 1 << (bit & 31);
    const word = this.#words[bit >>> 5] as number;
    if ((word & mask) === 0) return false;
    this.#words[bit >>> 5] = word & ~mask;
    this.#size--;
    return true;
  }

  #grow(offset: number, low: number): void {
    const runs = [...this.runs(low)];
    let words = this.#words.length;
    while (words * WORD_BITS <= offset - low) words *= 2;
    this.#words = new Uint32Array(words);
    this.#size = 0;
    for (const [first, length] of runs) {
      for (let at = first; at < first + length; at++) this.add(at, low);
    }
  }
}
