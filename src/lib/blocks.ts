/** Memory of stored batches. */
export interface Blocks {
  allocate(bytes: number): Uint8Array;
  /** Returns `bytes` in memory of these blocks: a copy, or the same array if it is in a block. */
  own(bytes: Uint8Array): Uint8Array;
  /** The memory is not found by readers any more. Readers that have it may go on. */
  free(bytes: Uint8Array): void;
}

/** Memory of this thread alone. */
export const LOCAL_BLOCKS: Blocks = {
  allocate: (bytes) => new Uint8Array(bytes),
  own: (bytes) => bytes,
  free: () => undefined,
};

/**
 * Memory that other threads read. A block is given to a thread once, and named by its number from then
 * on. Bytes that were named do not change.
 */
export class SharedBlocks implements Blocks {
  readonly #numbers = new Map<ArrayBufferLike, number>();
  readonly #watchers: ((number: number) => void)[] = [];
  #last = 0;

  allocate(bytes: number): Uint8Array {
    const memory = new SharedArrayBuffer(bytes);
    this.#numbers.set(memory, ++this.#last);
    return new Uint8Array(memory);
  }

  own(bytes: Uint8Array): Uint8Array {
    if (this.#numbers.has(bytes.buffer)) return bytes;
    const copy = this.allocate(bytes.length);
    copy.set(bytes);
    return copy;
  }

  free({ buffer }: Uint8Array): void {
    const number = this.#numbers.get(buffer);
    if (number === undefined) return;
    this.#numbers.delete(buffer);
    for (const watcher of this.#watchers) watcher(number);
  }

  /** Returns the number of the block that `bytes` are in, or null if they are in none. */
  numberOf({ buffer }: Uint8Array): number | null {
    return this.#numbers.get(buffer) ?? null;
  }

  /** Number of blocks in use. */
  get size(): number {
    return this.#numbers.size;
  }

  /** @param watcher is called with the number of each block that is freed. */
  watch(watcher: (number: number) => void): void {
    this.#watchers.push(watcher);
  }
}
