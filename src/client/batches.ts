/**
 * Decodes a page of batches, the form in which a server stores records: src/docs/batches.md has the
 * format. Every checksum and length is verified before a record is returned.
 */
import { crc32Range } from "../lib/crc32-range.ts";
import { decodeText, Message, type RecordHeaders } from "./values.ts";

export const BATCHES_TYPE = "application/vnd.ayder.batches";

/** The page as the headers of the answer describe it. */
export type BatchesPage = {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: number;
  readonly startOffset: number;
  readonly nextOffset: number;
};

/** A page as the server sent it, for programs that convert many records. */
export type RawPage = {
  /** Whole batches back to back. The first and the last one may hold records of other pages. */
  readonly bytes: Uint8Array;
  readonly startOffset: number;
  readonly nextOffset: number;
  readonly endOffset: number;
  readonly topicId: number;
};

const HEADER_BYTES = 40;
const BARE = 1;
const WITH_HEADERS = 2;

/**
 * Returns the messages from `startOffset` to before `nextOffset`.
 *
 * @throws RangeError that says what is wrong with the bytes.
 */
export function decodeBatches(bytes: Uint8Array, page: BatchesPage): Message[] {
  const messages: Message[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let next = -1;
  for (let at = 0; at < bytes.length; ) {
    const batch = batchAt(view, bytes, at, seedOf(page));
    if (next >= 0 && batch.baseOffset !== next) {
      throw new RangeError(`a batch begins at offset ${batch.baseOffset} instead of ${next}`);
    }
    const records = new Records(bytes, at + HEADER_BYTES, batch);
    for (let i = 0; i < batch.count; i++) records.take(batch.baseOffset + i, page, messages);
    if (records.at !== batch.end) throw new RangeError("the records of a batch end elsewhere");
    next = batch.baseOffset + batch.count;
    at = batch.end;
  }
  if (messages.length !== page.nextOffset - page.startOffset) {
    throw new RangeError(
      `there are ${messages.length} messages from offset ${page.startOffset} to ${page.nextOffset}`,
    );
  }
  return messages;
}

type Batch = {
  readonly end: number;
  readonly baseOffset: number;
  readonly timestampMs: number;
  readonly count: number;
  readonly hasHeaders: boolean;
};

const seedOf = ({ topicId, partition }: BatchesPage): number =>
  (Math.imul(topicId, 0x9e3779b1) + Math.imul(partition, 0x85ebca77) + 0x6179) >>> 0;

function batchAt(view: DataView, bytes: Uint8Array, at: number, seed: number): Batch {
  const left = bytes.length - at;
  if (left < HEADER_BYTES) throw new RangeError("a batch header is cut off");
  const u32 = (field: number) => view.getUint32(at + field, true);
  const u64 = (field: number) => u32(field) + u32(field + 4) * 2 ** 32;
  const length = u32(0);
  if (length <= HEADER_BYTES || length > left) throw new RangeError("a batch is cut off");
  if (crc32Range(bytes, at + 8, at + HEADER_BYTES, (seed ^ length) >>> 0) !== u32(4)) {
    throw new RangeError("a header checksum differs");
  }
  if (crc32Range(bytes, at + HEADER_BYTES, at + length) !== u32(28)) {
    throw new RangeError("a payload checksum differs");
  }
  const version = bytes[at + 36];
  if (version !== BARE && version !== WITH_HEADERS) {
    throw new RangeError(`batches of version ${version} are not known`);
  }
  return {
    end: at + length,
    baseOffset: u64(8),
    timestampMs: u64(16),
    count: u32(24),
    hasHeaders: version === WITH_HEADERS,
  };
}

/** A walk over the records of a batch. */
class Records {
  readonly #bytes: Uint8Array;
  readonly #batch: Batch;
  at: number;

  constructor(bytes: Uint8Array, at: number, batch: Batch) {
    this.#bytes = bytes;
    this.at = at;
    this.#batch = batch;
  }

  /** Moves over the next record, and adds it if it belongs to the page. */
  take(offset: number, page: BatchesPage, messages: Message[]): void {
    const { hasHeaders, timestampMs } = this.#batch;
    const keyLength = this.#varint() - 1;
    const key = keyLength < 0 ? null : this.#part(keyLength);
    const value = this.#part(this.#varint());
    const headers = hasHeaders ? this.#headers() : undefined;
    if (offset < page.startOffset || offset >= page.nextOffset) return;
    const { topic, partition } = page;
    // A copy, so that a message that is kept does not keep the whole page.
    const content = value.slice();
    const text = key === null ? null : decodeText(key);
    messages.push(
      new Message(topic, { partition, offset, timestampMs, key: text, content, headers }),
    );
  }

  #headers(): RecordHeaders | undefined {
    const length = this.#varint();
    if (length === 0) return undefined;
    const end = this.at + length;
    const headers: [string, string][] = [];
    while (this.at < end) {
      const name = decodeText(this.#part(this.#varint()));
      headers.push([name, decodeText(this.#part(this.#varint()))]);
    }
    if (this.at !== end) throw new RangeError("the headers of a record end elsewhere");
    return Object.fromEntries(headers);
  }

  #part(length: number): Uint8Array {
    const start = this.at;
    this.at += length;
    if (this.at > this.#batch.end) throw new RangeError("a record is longer than its batch");
    return this.#bytes.subarray(start, this.at);
  }

  #varint(): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 35; factor *= 128) {
      const byte = this.at < this.#batch.end ? (this.#bytes[this.at++] as number) : 128;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new RangeError("a length in a batch has no end");
  }
}
