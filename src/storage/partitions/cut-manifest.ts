import type { ByteWriter } from "../../lib/bytes.ts";

/** Parked partitions whose bytes are joined in one event-loop iteration. */
const JOINED_AT_ONCE = 8192;

/**
 * The manifest of a consistent point. The bytes of parked partitions never change, so at the point
 * itself only references to them are taken.
 */
export class CutManifest {
  readonly #writer: ByteWriter;
  #parked: readonly Uint8Array[];
  /** The number of those that are joined. */
  #joined = 0;
  #bytes: Uint8Array | null = null;

  /** @param writer has the head and the partitions that are not parked. */
  constructor(writer: ByteWriter, parked: readonly Uint8Array[]) {
    this.#writer = writer;
    this.#parked = parked;
  }

  get bytes(): Uint8Array {
    while (this.#bytes === null) this.#join();
    return this.#bytes;
  }

  /** Resolves when `bytes` does not take long any more. */
  async prepare(nextTurn: () => Promise<void>): Promise<void> {
    for (this.#join(); this.#bytes === null; this.#join()) await nextTurn();
  }

  #join(): void {
    if (this.#bytes !== null) return;
    const end = Math.min(this.#joined + JOINED_AT_ONCE, this.#parked.length);
    while (this.#joined < end) this.#writer.raw(this.#parked[this.#joined++] as Uint8Array);
    if (end < this.#parked.length) return;
    this.#bytes = this.#writer.view();
    this.#parked = [];
  }
}
