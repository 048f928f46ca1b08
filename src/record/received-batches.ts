/** Batches that a client encoded: checked in every byte before they are taken for its own. */
import { fromUtf8 } from "../lib/bytes.ts";
import type { EncodedRecords } from "./batch-builder.ts";
import {
  batchCount,
  batchHasHeaders,
  batchLength,
  batchLogicalBytes,
  checkBatchPayload,
} from "./batch-header.ts";
import {
  AT_COUNT,
  AT_FLAGS,
  AT_HEADER_CRC,
  AT_RESERVED,
  AT_VERSION,
  BATCH_BYTES_TARGET,
  BATCH_HEADER_BYTES,
  BATCH_VERSION,
  BATCH_VERSION_FLAGS,
  HAS_HEADERS,
} from "./format.ts";
import { HEADER_BYTES_MAX, HEADER_NAME_BYTES_MAX, HEADERS_MAX } from "./headers.ts";

/** A record without key and value: both lengths. */
const RECORD_BYTES_MIN = 2;

export type ReceiveLimits = {
  readonly records: number;
  readonly valueBytes: number;
};

export type Received = {
  readonly ok: true;
  readonly records: EncodedRecords;
  readonly firstKey: Uint8Array | null;
};
export type NotReceived = {
  readonly ok: false;
  readonly code: "malformed" | "too_many_records" | "value_too_large";
  /** The part that is wrong, for a message. */
  readonly what: string;
};

/** Thrown and caught in this file. */
class Wrong extends Error {
  readonly code: NotReceived["code"];

  constructor(code: NotReceived["code"], what: string) {
    super(what);
    this.code = code;
  }
}

/**
 * Checks batches back to back as `BatchBuilder` makes them. Base offsets, timestamps and header
 * checksums are set to zero: the leader assigns them.
 *
 * @param bytes is changed, and used for the records.
 */
export function receiveBatches(bytes: Uint8Array, limits: ReceiveLimits): Received | NotReceived {
  const total = new Totals(bytes, limits);
  let at = 0;
  try {
    do at = total.take(at);
    while (at < bytes.length);
    return { ok: true, records: total.records, firstKey: total.firstKey };
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    const { code } = error;
    return { ok: false, code, what: `the batch at byte ${at}: ${error.message}` };
  }
}

class Totals {
  readonly #bytes: Uint8Array;
  readonly #limits: ReceiveLimits;
  firstKey: Uint8Array | null = null;
  #count = 0;
  #logicalBytes = 0;
  #hasHeaders = false;

  constructor(bytes: Uint8Array, limits: ReceiveLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  get records(): EncodedRecords {
    return {
      bytes: this.#bytes,
      count: this.#count,
      logicalBytes: this.#logicalBytes,
      hasHeaders: this.#hasHeaders,
    };
  }

  /** Takes the batch at `at`. @returns the position after it. */
  take(at: number): number {
    const bytes = this.#bytes;
    checkHeader(bytes, at);
    const count = batchCount(bytes, at);
    if (this.#count + count > this.#limits.records) {
      throw new Wrong("too_many_records", `there are ${this.#count + count} records`);
    }
    const wrong = checkBatchPayload(bytes, at);
    if (wrong !== null) throw malformed(wrong);
    const payload = new Payload(bytes, at, this.#limits.valueBytes);
    for (let i = 0; i < count; i++) payload.record(i);
    payload.finish();
    if (this.#count === 0) this.firstKey = payload.firstKey;
    bytes.fill(0, at + AT_HEADER_CRC, at + AT_COUNT);
    this.#count += count;
    this.#logicalBytes += payload.logicalBytes;
    this.#hasHeaders ||= batchHasHeaders(bytes, at);
    return at + batchLength(bytes, at);
  }
}

function checkHeader(bytes: Uint8Array, at: number): void {
  const left = bytes.length - at;
  if (left < BATCH_HEADER_BYTES) throw malformed(`a header has 40 bytes, ${left} are left`);
  const version = bytes[at + AT_VERSION];
  const flags = bytes[at + AT_FLAGS];
  const isKnown =
    (version === BATCH_VERSION && flags === 0) ||
    (version === BATCH_VERSION_FLAGS && flags === HAS_HEADERS);
  if (!isKnown) throw malformed(`version ${version} with flags ${flags} is not known`);
  if (bytes[at + AT_RESERVED] !== 0 || bytes[at + AT_RESERVED + 1] !== 0) {
    throw malformed("bytes 38 and 39 must be zero");
  }
  const length = batchLength(bytes, at);
  if (length <= BATCH_HEADER_BYTES || length > left) {
    throw malformed(`its length is ${length}, ${left} bytes are left`);
  }
  const count = batchCount(bytes, at);
  if (count === 0) throw malformed("it has no record");
  if (count * RECORD_BYTES_MIN > length - BATCH_HEADER_BYTES) {
    throw malformed(`it has ${length} bytes, which are too few for ${count} records`);
  }
  if (count > 1 && length > BATCH_BYTES_TARGET) {
    throw malformed(
      `it has ${length} bytes and ${count} records: a batch of several records has at most ${BATCH_BYTES_TARGET} bytes`,
    );
  }
}

/** The records of one batch, walked with a check of every length. */
class Payload {
  readonly #bytes: Uint8Array;
  readonly #batch: number;
  readonly #end: number;
  readonly #hasHeaders: boolean;
  readonly #valueBytesMax: number;
  #at: number;
  logicalBytes = 0;
  firstKey: Uint8Array | null = null;

  constructor(bytes: Uint8Array, batch: number, valueBytesMax: number) {
    this.#bytes = bytes;
    this.#batch = batch;
    this.#end = batch + batchLength(bytes, batch);
    this.#hasHeaders = batchHasHeaders(bytes, batch);
    this.#valueBytesMax = valueBytesMax;
    this.#at = batch + BATCH_HEADER_BYTES;
  }

  record(number: number): void {
    const keyLength = this.#varint() - 1;
    const key = this.#at;
    if (keyLength > 0) this.#skip(keyLength);
    if (number === 0 && keyLength >= 0) this.firstKey = this.#bytes.slice(key, this.#at);
    const valueLength = this.#varint();
    if (valueLength > this.#valueBytesMax) {
      throw new Wrong("value_too_large", `the value of record ${number} has ${valueLength} bytes`);
    }
    this.#skip(valueLength);
    this.logicalBytes += valueLength + Math.max(0, keyLength);
    if (this.#hasHeaders) this.#headers(number);
  }

  finish(): void {
    if (this.#at !== this.#end) throw malformed("its records do not end where it ends");
    const claimed = batchLogicalBytes(this.#bytes, this.#batch);
    if (claimed !== this.logicalBytes) {
      throw malformed(`its logical bytes are ${this.logicalBytes}, not ${claimed}`);
    }
  }

  #headers(number: number): void {
    const length = this.#varint();
    const end = this.#at + length;
    if (end > this.#end) throw cutOff();
    const before = this.logicalBytes;
    let previous = "";
    for (let count = 1; this.#at < end; count++) {
      const name = this.#text(end);
      const isName = NAME.test(name) && name > previous;
      if (!isName) throw malformed(`record ${number} has a header name that is not allowed there`);
      previous = name;
      this.#text(end);
      if (count > HEADERS_MAX || this.logicalBytes - before > HEADER_BYTES_MAX) {
        throw malformed(
          `record ${number} has more than ${HEADERS_MAX} headers, or ${HEADER_BYTES_MAX} bytes of them`,
        );
      }
    }
  }

  /** A name or value of a header, which ends by `end`. */
  #text(end: number): string {
    const length = this.#varint();
    const start = this.#at;
    if (start + length > end) throw cutOff();
    this.#at += length;
    this.logicalBytes += length;
    try {
      return fromUtf8(this.#bytes.subarray(start, this.#at));
    } catch {
      throw malformed("a header is not valid UTF-8");
    }
  }

  #skip(length: number): void {
    this.#at += length;
    if (this.#at > this.#end) throw cutOff();
  }

  /** A varint of at most 32 bits in its shortest form. */
  #varint(): number {
    let value = 0;
    for (let factor = 1; factor <= VARINT_FACTOR_MAX; factor *= 128) {
      if (this.#at >= this.#end) throw cutOff();
      const byte = this.#bytes[this.#at++] as number;
      value += (byte & 127) * factor;
      if (byte >= 128) continue;
      if ((byte === 0 && factor > 1) || value > VARINT_MAX) break;
      return value;
    }
    throw malformed("a length is not written in its shortest form");
  }
}

const VARINT_MAX = 2 ** 32 - 1;
const VARINT_FACTOR_MAX = 128 ** 4;
/** In the order of their names, so each is greater than the one before. */
const NAME = new RegExp(`^[a-z0-9._-]{1,${HEADER_NAME_BYTES_MAX}}$`);

const malformed = (what: string): Wrong => new Wrong("malformed", what);
const cutOff = (): Wrong => malformed("a record does not end within it");
