import {
  batchBaseOffset,
  batchCount,
  batchHasHeaders,
  batchLength,
  batchTimestamp,
} from "./batch-header.ts";
import { BATCH_HEADER_BYTES } from "./format.ts";
import { headerLogicalBytes } from "./headers.ts";

/** A record, and its position in bytes. */
export type RecordPlace = { readonly offset: number; readonly at: number };

/**
 * Walks stored batches record by record without copying or allocating: the fields of the cursor
 * are those of the record it stands on. Checksums are the business of who read the bytes.
 *
 *     const cursor = new RecordCursor(slice);
 *     while (cursor.next()) use(cursor.offset, cursor.bytes, cursor.valueStart, cursor.valueEnd);
 */
export class RecordCursor {
  readonly bytes: Uint8Array;
  offset = -1;
  timestampMs = 0;
  /** -1 where the record has no key. */
  keyStart = -1;
  keyEnd = -1;
  valueStart = 0;
  valueEnd = 0;
  /** Equal where the record has no headers. `HeaderCursor` walks what lies between. */
  headersStart = 0;
  headersEnd = 0;
  #hasHeaders = false;
  #batchEnd: number;
  #left = 0;
  #at: number;

  /** @param bytes whole batches back to back, beginning at `start`. */
  constructor(bytes: Uint8Array, start = 0) {
    this.bytes = bytes;
    this.#at = start;
    this.#batchEnd = start;
  }

  /** The position after the current record. */
  get position(): number {
    return this.#at;
  }

  /** Moves to before a record of the first batch, whose position in `bytes` is known. */
  startAt({ offset, at }: RecordPlace): void {
    if (!this.#openBatch()) return;
    this.#left -= offset - 1 - this.offset;
    this.offset = offset - 1;
    this.#at = at;
  }

  /** Moves to the next record. False at the end of the bytes. */
  next(): boolean {
    if (this.#left === 0 && !this.#openBatch()) return false;
    this.#left--;
    this.offset++;
    const keyLength = this.#varint() - 1;
    if (keyLength < 0) {
      this.keyStart = -1;
      this.keyEnd = -1;
    } else {
      this.keyStart = this.#at;
      this.#at += keyLength;
      this.keyEnd = this.#at;
    }
    const valueLength = this.#varint();
    this.valueStart = this.#at;
    this.#at += valueLength;
    this.valueEnd = this.#at;
    if (this.#hasHeaders) this.#headers();
    return true;
  }

  /** Moves to the record with `offset` or the first after it, skipping whole batches by header. */
  seek(offset: number): boolean {
    while (this.#left === 0 && this.#batchEnd < this.bytes.length) {
      const at = this.#batchEnd;
      if (batchBaseOffset(this.bytes, at) + batchCount(this.bytes, at) > offset) break;
      this.#batchEnd = at + batchLength(this.bytes, at);
    }
    while (this.next()) if (this.offset >= offset) return true;
    return false;
  }

  /** Key, value and headers of the present record, as retention counts them. */
  get logicalBytes(): number {
    const bare = this.valueEnd - this.valueStart + (this.keyEnd - this.keyStart);
    if (!this.#hasHeaders) return bare;
    return bare + headerLogicalBytes(this.bytes, this.headersStart, this.headersEnd);
  }

  #headers(): void {
    const length = this.#varint();
    this.headersStart = this.#at;
    this.#at += length;
    this.headersEnd = this.#at;
  }

  #openBatch(): boolean {
    const at = this.#batchEnd;
    if (at >= this.bytes.length) return false;
    this.#batchEnd = at + batchLength(this.bytes, at);
    this.#left = batchCount(this.bytes, at);
    this.offset = batchBaseOffset(this.bytes, at) - 1;
    this.timestampMs = batchTimestamp(this.bytes, at);
    this.#at = at + BATCH_HEADER_BYTES;
    this.#hasHeaders = batchHasHeaders(this.bytes, at);
    this.headersStart = 0;
    this.headersEnd = 0;
    return true;
  }

  #varint(): number {
    const { bytes } = this;
    let byte = bytes[this.#at++]!;
    if (byte < 128) return byte;
    let value = byte & 127;
    for (let shift = 7; ; shift += 7) {
      byte = bytes[this.#at++]!;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
}
