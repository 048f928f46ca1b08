import { assert } from "../lib/assert.ts";
import { varintLength, writeVarint } from "../lib/bytes.ts";
import { crc32, crc32Range } from "../lib/crc32.ts";
import { setU32 } from "./batch-header.ts";
import {
  AT_COUNT,
  AT_FLAGS,
  AT_LENGTH,
  AT_LOGICAL_BYTES,
  AT_PAYLOAD_CRC,
  AT_VERSION,
  BATCH_BYTES_TARGET,
  BATCH_HEADER_BYTES,
  BATCH_VERSION,
  BATCH_VERSION_FLAGS,
  HAS_HEADERS,
} from "./format.ts";
import { type EncodedHeaders, NO_HEADERS } from "./headers.ts";

/** Batches of one produce, back to back. Base offsets, timestamps and header checksums are zero. */
export type EncodedRecords = {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Keys, values and headers, without any framing. */
  readonly logicalBytes: number;
  /** At least one record has headers. */
  readonly hasHeaders: boolean;
};

const NO_KEY = new Uint8Array(0);

/** One record in a batch of its own: the shape of a single produce. */
export function encodeRecord(
  key: Uint8Array | null,
  value: Uint8Array,
  headers: EncodedHeaders = NO_HEADERS,
): EncodedRecords {
  if (headers.bytes.length > 0) {
    const length = bareLength(key, value) + blobLength(headers.bytes);
    const builder = new BatchBuilder(BATCH_HEADER_BYTES + length);
    builder.add(key, value, headers);
    return builder.finish();
  }
  const length = BATCH_HEADER_BYTES + bareLength(key, value);
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
  return { bytes, count: 1, logicalBytes, hasHeaders: false };
}

/**
 * Collects the records of one produce, in batches of about `BATCH_BYTES_TARGET`. A batch without
 * headers has version 1. The first record with headers begins a batch of version 2.
 */
export class BatchBuilder {
  #bytes: Uint8Array;
  #length = 0;
  #batchStart = 0;
  #batchCount = 0;
  #batchLogicalBytes = 0;
  #batchHasHeaders = false;
  #hasHeaders = false;
  #count = 0;
  #logicalBytes = 0;

  /** @param capacity bytes to begin with; it grows as needed. */
  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  add(key: Uint8Array | null, value: Uint8Array, headers: EncodedHeaders = NO_HEADERS): void {
    const hasHeaders = headers.bytes.length > 0;
    const needed =
      bareLength(key, value) +
      (hasHeaders || this.#batchHasHeaders ? blobLength(headers.bytes) : 0);
    const batchLength = this.#length - this.#batchStart;
    const isOver =
      batchLength + needed > BATCH_BYTES_TARGET || (hasHeaders && !this.#batchHasHeaders);
    if (this.#batchCount > 0 && isOver) this.#closeBatch();
    if (this.#batchCount === 0) {
      this.#batchStart = this.#length;
      this.#batchHasHeaders = hasHeaders;
      this.#ensure(BATCH_HEADER_BYTES);
      this.#length += BATCH_HEADER_BYTES;
    }
    this.#ensure(needed);
    this.#length = writeRecord(this.#bytes, this.#length, key, value);
    if (this.#batchHasHeaders) this.#length = writeBlob(this.#bytes, this.#length, headers.bytes);
    this.#batchCount++;
    this.#batchLogicalBytes +=
      value.length + (key === null ? 0 : key.length) + headers.logicalBytes;
  }

  /** Ends the last batch. The builder must not be used afterwards. */
  finish(): EncodedRecords {
    if (this.#batchCount > 0) this.#closeBatch();
    assert(this.#count > 0, "a produce has at least one record");
    const bytes = this.#bytes.subarray(0, this.#length);
    const hasHeaders = this.#hasHeaders;
    return { bytes, count: this.#count, logicalBytes: this.#logicalBytes, hasHeaders };
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
    if (this.#batchHasHeaders) {
      this.#bytes[this.#batchStart + AT_VERSION] = BATCH_VERSION_FLAGS;
      this.#bytes[this.#batchStart + AT_FLAGS] = HAS_HEADERS;
      this.#hasHeaders = true;
    }
    this.#count += this.#batchCount;
    this.#logicalBytes += this.#batchLogicalBytes;
    this.#batchCount = 0;
    this.#batchLogicalBytes = 0;
    this.#batchHasHeaders = false;
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

const bareLength = (key: Uint8Array | null, value: Uint8Array): number =>
  (key === null ? 1 : varintLength(key.length + 1) + key.length) + blobLength(value);

const blobLength = ({ length }: Uint8Array): number => varintLength(length) + length;

function writeRecord(
  to: Uint8Array,
  position: number,
  key: Uint8Array | null,
  value: Uint8Array,
): number {
  const at = writeVarint(to, position, key === null ? 0 : key.length + 1);
  const keyBytes = key ?? NO_KEY;
  if (keyBytes.length > 0) to.set(keyBytes, at);
  return writeBlob(to, at + keyBytes.length, value);
}

function writeBlob(to: Uint8Array, position: number, bytes: Uint8Array): number {
  const at = writeVarint(to, position, bytes.length);
  to.set(bytes, at);
  return at + bytes.length;
}

type Header = { length: number; count: number; crc: number; logicalBytes: number };

function finishHeader(bytes: Uint8Array, start: number, header: Header): void {
  setU32(bytes, start + AT_LENGTH, header.length);
  setU32(bytes, start + AT_COUNT, header.count);
  setU32(bytes, start + AT_PAYLOAD_CRC, header.crc);
  setU32(bytes, start + AT_LOGICAL_BYTES, header.logicalBytes);
  bytes[start + AT_VERSION] = BATCH_VERSION;
}
