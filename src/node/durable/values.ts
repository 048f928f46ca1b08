import { ByteWriter } from "../../lib/bytes.ts";
import { RecordCursor } from "../../record/batch-reader.ts";

const BRACKET_OPEN = 91;
const BRACKET_CLOSE = 93;
const COMMA = 44;

/** Collects the values of records: one after the other, or as a JSON array. */
export class ValueWriter {
  readonly #writer: ByteWriter;
  readonly #isJson: boolean;
  readonly #maxBytes: number;
  count = 0;
  #bytes = 0;

  /** @param maxBytes bytes of values. A single larger value is taken alone. */
  constructor(isJson: boolean, maxBytes: number) {
    this.#writer = new ByteWriter(4096);
    this.#isJson = isJson;
    this.#maxBytes = maxBytes;
    if (isJson) this.#writer.u8(BRACKET_OPEN);
  }

  /** Bytes that may still be added. */
  get room(): number {
    return this.#maxBytes - this.#bytes;
  }

  /**
   * Adds records from a run of batches.
   *
   * @param from first offset.
   * @param to offset after the last one.
   * @returns the offset of the first record that was not added.
   */
  addFrom(slices: readonly Uint8Array[], from: number, to: number): number {
    let next = from;
    for (const slice of slices) {
      const cursor = new RecordCursor(slice);
      if (!cursor.seek(next)) continue;
      do {
        if (cursor.offset >= to) return next;
        const { bytes, valueStart, valueEnd } = cursor;
        if (this.count > 0 && valueEnd - valueStart > this.room) return next;
        this.#add(bytes.subarray(valueStart, valueEnd));
        next = cursor.offset + 1;
      } while (cursor.next());
    }
    return next;
  }

  #add(value: Uint8Array): void {
    if (this.#isJson && this.count > 0) this.#writer.u8(COMMA);
    this.#writer.raw(value);
    this.#bytes += value.length;
    this.count++;
  }

  /** The writer must not be used afterwards. */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#isJson) this.#writer.u8(BRACKET_CLOSE);
    return this.#writer.take();
  }
}
