import { feature as faultPoint } from "bun:bundle";
import {
  batchBaseOffset,
  batchCount,
  batchLength,
  batchLogicalBytes,
  batchTimestamp,
  checkBatchHeader,
  checkBatchPayload,
} from "../../record/batch-header.ts";
import type { RecordPlace } from "../../record/batch-reader.ts";
import { BATCH_HEADER_BYTES } from "../../record/format.ts";
import { PartitionDamaged } from "./damaged.ts";
import type { Marks } from "./marks.ts";

/**
 * A run of stored batches from memory or from a file, which is walked batch by batch. Bytes from a
 * file are verified on the way: checksums, and offsets without gaps.
 */
export class PartitionWindow {
  readonly bytes: Uint8Array;
  readonly #seed: number;
  /** Null for memory, which is trusted. */
  readonly file: string | null;
  /** The position of `bytes[0]` in the file. */
  readonly #filePosition: number;
  readonly #end: number;
  /** Marks of the bytes, which were all verified; null for bytes that are verified on the way. */
  readonly marks: Marks | null;
  /** The start of the current batch. */
  at: number;
  /** The base offset of the current batch. */
  offset: number;
  /** The length of the current batch; 0 before the first `step`. */
  length = 0;
  count = 0;
  #payloadChecked = false;

  constructor(
    bytes: Uint8Array,
    from: number,
    end: number,
    offset: number,
    source: Source,
    marks: Marks | null = null,
  ) {
    this.bytes = bytes;
    this.marks = marks;
    this.at = from;
    this.#end = end;
    this.offset = offset;
    this.#seed = source.seed;
    this.file = source.file;
    this.#filePosition = source.position;
  }

  /**
   * Moves to the next whole batch. Returns false at the end of the window or of its last whole
   * batch.
   */
  step(): boolean {
    const at = this.at + this.length;
    const offset = this.offset + this.count;
    this.at = at;
    this.offset = offset;
    this.length = 0;
    this.count = 0;
    this.#payloadChecked = false;
    if (this.#end - at < BATCH_HEADER_BYTES) return false;
    if (this.file !== null) this.#checkHeader();
    const length = batchLength(this.bytes, at);
    if (length > this.#end - at) return false;
    this.length = length;
    this.count = batchCount(this.bytes, at);
    return true;
  }

  /**
   * Moves to before the batch that contains `offset`, so that `step` enters it. Returns false if
   * the window does not contain it completely.
   */
  seek(offset: number): boolean {
    while (this.step()) {
      if (this.offset + this.count <= offset) continue;
      this.length = 0;
      this.count = 0;
      return true;
    }
    return false;
  }

  /** Returns a record of the current batch at or before `offset`; null: its first one. */
  recordNear(offset: number): RecordPlace | null {
    return this.marks === null ? null : this.marks.recordNear(this.bytes, this.at, offset);
  }

  get logicalBytes(): number {
    return batchLogicalBytes(this.bytes, this.at);
  }

  get timestampMs(): number {
    return batchTimestamp(this.bytes, this.at);
  }

  /** The position of the current batch in the file. */
  get filePosition(): number {
    return this.#filePosition + this.at;
  }

  /**
   * Returns the length of the first batch, which may exceed the window. Call it only before the
   * first step.
   */
  firstLength(): number {
    if (this.#end - this.at < BATCH_HEADER_BYTES) throw this.damaged("batch header is cut off");
    this.#checkHeader();
    return batchLength(this.bytes, this.at);
  }

  /** Must be called before the payload is used. `step` has checked the header. */
  checkPayload(): void {
    if (this.file === null || this.#payloadChecked) return;
    const wrong = checkBatchPayload(this.bytes, this.at);
    if (wrong !== null && !faultPoint("damaged-payload-is-served")) throw this.damaged(wrong);
    this.#payloadChecked = true;
  }

  #checkHeader(): void {
    const wrong = checkBatchHeader(this.bytes, this.at, this.#seed);
    if (wrong !== null) throw this.damaged(wrong);
    const found = batchBaseOffset(this.bytes, this.at);
    if (found !== this.offset) throw this.damaged(`offset ${found} where ${this.offset} belongs`);
    if (batchCount(this.bytes, this.at) === 0) throw this.damaged("batch without records");
  }

  /** Returns the error to throw for the current batch. */
  damaged(reason: string): PartitionDamaged {
    const position = this.#filePosition + this.at;
    return new PartitionDamaged(this.file ?? "memory", position, reason, this.offset);
  }
}

export type Source = {
  readonly seed: number;
  readonly file: string | null;
  readonly position: number;
};

/** The result of a read: whole batches that contain the page, perhaps more at both ends. */
export class PartitionPage {
  readonly slices: Uint8Array[] = [];
  /** A record at the start of the page or shortly before it, by its position in the first slice. */
  first: RecordPlace | null = null;
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** The next wanted offset. */
  next: number;
  /** Records and logical bytes from the start on. The bytes may be too few, never too many. */
  records = 0;
  bytes = 0;

  constructor(startOffset: number, maxRecords: number, maxBytes: number) {
    this.next = startOffset;
    this.maxRecords = maxRecords;
    this.maxBytes = maxBytes;
  }

  /** Empty records add no bytes, so a page is full only when it has more bytes than allowed. */
  get full(): boolean {
    return this.records >= this.maxRecords || this.bytes > this.maxBytes;
  }

  get recordsLeft(): number {
    return this.maxRecords - this.records;
  }

  get bytesLeft(): number {
    return this.maxBytes - this.bytes;
  }

  /** Takes the part of the page that the window has, as one slice. */
  take(window: PartitionWindow): void {
    let from = -1;
    let to = 0;
    while (!this.full && window.step()) {
      const endOffset = window.offset + window.count;
      if (endOffset <= this.next) continue;
      window.checkPayload();
      if (from < 0) {
        from = window.at;
        if (this.slices.length === 0) this.first = window.recordNear(this.next);
      }
      to = window.at + window.length;
      this.records += endOffset - this.next;
      // Only an unknown part of the bytes of a batch that begins before the page belongs to the
      // page.
      if (window.offset === this.next) this.bytes += window.logicalBytes;
      this.next = endOffset;
    }
    if (from >= 0) this.slices.push(window.bytes.subarray(from, to));
    window.marks?.stoppedAt(window.offset, window.at);
  }
}
