import type { CapturedRuns } from "./packed-runs.ts";

/** Parked partitions whose bytes are joined in one event-loop iteration. */
const JOINED_AT_ONCE = 8192;

/**
 * The manifest of a consistent point. The bytes of parked partitions never change, so at the point
 * itself only references to them are taken. The manifest of very many partitions is large, so it is not
 * retained as a whole: see `forget`.
 */
export class CutManifest {
  readonly #first: Uint8Array;
  readonly #parked: CapturedRuns;
  #bytes: Uint8Array | null = null;
  /** The number of parked partitions whose bytes are joined, and the end of these bytes. */
  #joined = 0;
  #end = 0;

  /** @param first the head and the partitions that are not parked. */
  constructor(first: Uint8Array, parked: CapturedRuns) {
    this.#first = first;
    this.#parked = parked;
  }

  get bytes(): Uint8Array {
    let bytes = this.#join();
    while (bytes === null) bytes = this.#join();
    return bytes;
  }

  /** Resolves when `bytes` does not take long any more. */
  async prepare(nextTurn: () => Promise<void>): Promise<void> {
    while (this.#join() === null) await nextTurn();
  }

  /** Frees the memory of `bytes`. They are joined again when they are needed. */
  forget(): void {
    this.#bytes = null;
  }

  /** @returns null until all are joined. */
  #join(): Uint8Array | null {
    const bytes = this.#bytes ?? this.#begin();
    const parked = this.#parked;
    const last = Math.min(this.#joined + JOINED_AT_ONCE, parked.length);
    for (; this.#joined < last; this.#joined++) {
      const one = parked.at(this.#joined);
      bytes.set(one, this.#end);
      this.#end += one.length;
    }
    return last < parked.length ? null : bytes;
  }

  #begin(): Uint8Array {
    const bytes = new Uint8Array(this.#first.length + this.#parked.bytes);
    bytes.set(this.#first);
    this.#bytes = bytes;
    this.#joined = 0;
    this.#end = this.#first.length;
    return bytes;
  }
}
