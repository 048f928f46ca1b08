import { feature as faultPoint } from "bun:bundle";
import {
  batchBaseOffset,
  batchCount,
  batchLength,
  batchLogicalBytes,
  batchTimestamp,
  checkBatch,
  checkBatchHeader,
} from "../../record/batch-header.ts";
import { BATCH_HEADER_BYTES } from "../../record/format.ts";
import { PartitionDamaged } from "./damaged.ts";

/**
 * A run of stored batches, from memory or from a file, that is walked batch by batch. Bytes from a
 * file are checked on the way: checksums, and that offsets go on without a gap.
 */
export class PartitionWindow {
  readonly bytes: Uint8Array;
  readonly #seed: number;
  /** Null for memory, which is trusted. */
  readonly file: string | null;
  /** Of `bytes[0]` in the file. */
  readonly #filePosition: number;
  readonly #end: number;
  /** Start of the batch that the window stands on. */
  at: number;
  /** Its base offset. */
  offset: number;
  /** Its length; 0 before the first `step`. */
  length = 0;
  count = 0;
  #payloadChecked = false;

  constructor(bytes: Uint8Array, from: number, end: number, offset: number, source: Source) {
    this.bytes = bytes;
    this.at = from;
    this.#end = end;
    this.offset = offset;
    this.#seed = source.seed;
    this.file = source.file;
    this.#filePosition = source.position;
  }

  /** Moves to the next whole batch. False where the window ends or holds only part of the next. */
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

  /** Moves before the batch that holds `offset`, so that `step` enters it. False if it is cut off. */
  seek(offset: number): boolean {
    while (this.step()) {
      if (this.offset + this.count <= offset) continue;
      this.length = 0;
      this.count = 0;
      return true;
    }
    return false;
  }

  get logicalBytes(): number {
    return batchLogicalBytes(this.bytes, this.at);
  }

  get timestampMs(): number {
    return batchTimestamp(this.bytes, this.at);
  }

  /** Of the batch that the window stands on, in the file. */
  get filePosition(): number {
    return this.#filePosition + this.at;
  }

  /** Length of the first batch, which may be longer than the window. Only before the first step. */
  firstLength(): number {
    if (this.#end - this.at < BATCH_HEADER_BYTES) throw this.damaged("batch header is cut off");
    this.#checkHeader();
    return batchLength(this.bytes, this.at);
  }

  /** To be called before the payload is used. */
  checkPayload(): void {
    if (this.file === null || this.#payloadChecked) return;
    const wrong = checkBatch(this.bytes, this.at, this.#seed);
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

  /** What to throw about the batch that the window stands on. */
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

/** What a read collects: whole batches that hold the page, perhaps more at both ends. */
export class PartitionPage {
  readonly slices: Uint8Array[] = [];
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** The next offset that is wanted. */
  next: number;
  /** Records and logical bytes from the start on; the bytes may be too few, never too many. */
  records = 0;
  bytes = 0;

  constructor(startOffset: number, maxRecords: number, maxBytes: number) {
    this.next = startOffset;
    this.maxRecords = maxRecords;
    this.maxBytes = maxBytes;
  }

  /** Empty records add nothing, so a page is full by bytes only when it has more than it may. */
  get full(): boolean {
    return this.records >= this.maxRecords || this.bytes > this.maxBytes;
  }

  /** Takes what the window has of the page, as one slice. */
  take(window: PartitionWindow): void {
    let from = -1;
    let to = 0;
    while (!this.full && window.step()) {
      const endOffset = window.offset + window.count;
      if (endOffset <= this.next) continue;
      window.checkPayload();
      if (from < 0) from = window.at;
      to = window.at + window.length;
      this.records += endOffset - this.next;
      // Of a batch that begins before the page, an unknown part of the bytes belongs to it.
      if (window.offset === this.next) this.bytes += window.logicalBytes;
      this.next = endOffset;
    }
    if (from >= 0) this.slices.push(window.bytes.subarray(from, to));
  }
}
