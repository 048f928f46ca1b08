import { assert } from "../lib/assert.ts";
import { varintLength } from "../lib/bytes.ts";
import { crc32, crc32Range } from "../lib/crc32.ts";
import { setU32 } from "./batch-header.ts";
import {
  AT_COUNT,
  AT_LENGTH,
  AT_LOGICAL_BYTES,
  AT_PAYLOAD_CRC,
  AT_VERSION,
  BATCH_BYTES_TARGET,
  BATCH_HEADER_BYTES,
  BATCH_VERSION,
} from "./format.ts";

/** Batches of one produce, back to back. Base offsets, timestamps and header checksums are zero. */
export type EncodedRecords = {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Keys and values, without any framing. */
  readonly logicalBytes: number;
};

const NO_KEY = new Uint8Array(0);

/** One record in a batch of its own: the shape of a single produce. */
export function encodeRecord(key: Uint8Array | null, value: Uint8Array): EncodedRecords {
  const length = BATCH_HEADER_BYTES + recordLength(key, value);
  const bytes = new Uint8Array(length);
  writeRecord(bytes, BATCH_HEADER_BYTES, key, value);
  const logicalBytes = value.length + (key === null ? 0 : key.length);
  // Piece by piece, since key and value are arrays of their own: no view of the small new one.
  let at = BATCH_HEADER_BYTES;
  let crc = 0;
  if (key !== null && key.length > 0) {
    const keyAt = at + varintLength(key.length + 1);
    crc = crc32(key, crc32Range(bytes, at, keyAt));
    at = keyAt + key.length;
  }
  const valueAt = length - value.length;
  crc = crc32Range(bytes, at, valueAt, crc);
  if (value.length > 0) crc = crc32(value, crc);
  finishHeader(bytes, 0, { length, count: 1, crc, logicalBytes });
  return { bytes, count: 1, logicalBytes };
}

/** Collects the records of one produce, in batches of about `BATCH_BYTES_TARGET`. */
export class BatchBuilder {
  #bytes: Uint8Array;
  #length = 0;
  #batchStart = 0;
  #batchCount = 0;
  #batchLogicalBytes = 0;
  #count = 0;
  #logicalBytes = 0;

  /** @param capacity bytes to begin with; it grows as needed. */
  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  add(key: Uint8Array | null, value: Uint8Array): void {
    const needed = recordLength(key, value);
    const batchLength = this.#length - this.#batchStart;
    if (this.#batchCount > 0 && batchLength + needed > BATCH_BYTES_TARGET) this.#closeBatch();
    if (this.#batchCount === 0) {
      this.#batchStart = this.#length;
      this.#ensure(BATCH_HEADER_BYTES);
      this.#length += BATCH_HEADER_BYTES;
    }
    this.#ensure(needed);
    this.#length = writeRecord(this.#bytes, this.#length, key, value);
    this.#batchCount++;
    this.#batchLogicalBytes += value.length + (key === null ? 0 : key.length);
  }

  /** Ends the last batch. The builder must not be used afterwards. */
  finish(): EncodedRecords {
    if (this.#batchCount > 0) this.#closeBatch();
    assert(this.#count > 0, "a produce has at least one record");
    const bytes = this.#bytes.subarray(0, this.#length);
    return { bytes, count: this.#count, logicalBytes: this.#logicalBytes };
  }

  #closeBatch(): void {
    const { length } = this;
    const payload = this.#bytes.subarray(this.#batchStart + BATCH_HEADER_BYTES, this.#length);
    finishHeader(this.#bytes, this.#batchStart, {
      length,
      count: this.#batchCount,
      crc: crc32(payload),
      logicalBytes: this.#batchLogicalBytes,
    });
    this.#count += this.#batchCount;
    this.#logicalBytes += this.#batchLogicalBytes;
    this.#batchCount = 0;
    this.#batchLogicalBytes = 0;
  }

  private get length(): number {
    return this.#length - this.#batchStart;
  }

  #ensure(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const bigger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    bigger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bigger;
  }
}

const recordLength = (key: Uint8Array | null, value: Uint8Array): number =>
  (key === null ? 1 : varintLength(key.length + 1) + key.length) +
  varintLength(value.length) +
  value.length;

function writeRecord(
  to: Uint8Array,
  position: number,
  key: Uint8Array | null,
  value: Uint8Array,
): number {
  let at = writeVarint(to, position, key === null ? 0 : key.length + 1);
  const keyBytes = key ?? NO_KEY;
  if (keyBytes.length > 0) to.set(keyBytes, at);
  at = writeVarint(to, at + keyBytes.length, value.length);
  to.set(value, at);
  return at + value.length;
}

function writeVarint(to: Uint8Array, position: number, value: number): number {
  let at = position;
  let rest = value;
  while (rest >= 128) {
    to[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  to[at++] = rest;
  return at;
}

type Header = { length: number; count: number; crc: number; logicalBytes: number };

function finishHeader(bytes: Uint8Array, start: number, header: Header): void {
  setU32(bytes, start + AT_LENGTH, header.length);
  setU32(bytes, start + AT_COUNT, header.count);
  setU32(bytes, start + AT_PAYLOAD_CRC, header.crc);
  setU32(bytes, start + AT_LOGICAL_BYTES, header.logicalBytes);
  bytes[start + AT_VERSION] = BATCH_VERSION;
}
