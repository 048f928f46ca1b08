/** Encodes stored batches as messages of the API, in one pass over the bytes. */
import type { Instruments } from "../metrics/instruments.ts";
import type { ConsumePage } from "../node/api.ts";
import { RecordCursor } from "../record/batch-reader.ts";
import { ADDED_HEADERS_MAX, HEADERS_MAX, HeaderCursor } from "../record/headers.ts";
import {
  ESCAPED_BYTES_MAX,
  Phrase,
  writeBase64,
  writeDecimal,
  writeJsonText,
} from "./json-bytes.ts";

export type PageLimits = {
  readonly partition: number;
  readonly limit: number;
  /** Limit of the encoded page. A single larger record is returned alone. */
  readonly maxBytes: number;
  readonly base64: boolean;
};

/** The state of a page before its next piece. */
export type PageProgress = {
  readonly count: number;
  readonly nextOffset: number;
  readonly writtenBytes: number;
};

/**
 * The reason why the writer stopped:
 *
 * - `limit`, `bytes`, `end`: the page is complete.
 * - `piece`: the piece is full, and the same slices may contain more records.
 * - `drained`: the slices do not contain more records.
 */
export type PageStop = "limit" | "bytes" | "end" | "piece" | "drained";

/** How messages are framed: the bytes around and between them. */
export type Framing = {
  /** Begins a message, up to its offset. */
  readonly open: Phrase;
  /** Between two messages. */
  readonly separator: Uint8Array;
  /** Written before a message, followed by the offset and `afterId`; null if absent. */
  readonly id: Uint8Array | null;
  readonly afterId: Uint8Array;
  /** After each message. */
  readonly end: Uint8Array;
};

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const NOTHING = bytesOf("");
export const ARRAY_FRAMING: Framing = {
  open: Phrase.of('{"offset":'),
  separator: bytesOf(","),
  id: null,
  afterId: NOTHING,
  end: NOTHING,
};
export const LINES_FRAMING: Framing = { ...ARRAY_FRAMING, separator: NOTHING, end: bytesOf("\n") };
/** Messages of several topics. The name of a topic is ASCII without special characters. */
export const topicFraming = (topic: string): Framing => ({
  ...ARRAY_FRAMING,
  open: Phrase.of(`{"topic":"${topic}","offset":`),
});
export const EVENTS_FRAMING: Framing = {
  ...ARRAY_FRAMING,
  separator: NOTHING,
  id: bytesOf("id: "),
  afterId: bytesOf("\ndata: "),
  end: bytesOf("\n\n"),
};

const PARTITION = bytesOf(',"partition":');
const TIMESTAMP = bytesOf(',"timestamp_ms":');
/** Room for both members with the largest numbers. */
const STAMP_BYTES_MAX = 64;
const VALUE = Phrase.of(',"value":"');
const VALUE_B64 = Phrase.of(',"value_b64":"');
const KEY = Phrase.of(',"key":"');
const KEY_B64 = Phrase.of(',"key_b64":"');
const HEADERS = bytesOf(',"headers":{');
const COLON_QUOTE = bytesOf(':"');
/** Bytes around the name and value of a header: quotes, a colon and a comma. */
export const HEADER_FRAMING_BYTES_MAX = 16 + 6 * (HEADERS_MAX + ADDED_HEADERS_MAX);
const COMMA = 44;
const QUOTE = 34;
const CLOSING_BRACE = 125;
/** Upper bound of the length of a message without key and value, with framing. */
const MESSAGE_BYTES_MAX = 192;
/** A larger buffer is released after use. */
const KEPT_BYTES_MAX = 1024 * 1024;
const FIRST_BYTES = 256 * 1024;

/**
 * Writes pages into a buffer that the next page reuses. `written` must be copied (as `Response`
 * does) before the next page begins. One writer per event loop.
 */
export class PageWriter {
  #out = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#out.buffer);
  #at = 0;
  #stampedMs = -1;
  #stampedPartition = -1;
  readonly #stamp = new Phrase(STAMP_BYTES_MAX);
  #timestampAt = 0;
  /** Number of messages of the page, including earlier pieces. */
  count = 0;
  nextOffset = 0;
  /** Bytes of the page, including earlier pieces. */
  writtenBytes = 0;
  stop: PageStop = "drained";
  /** Messages, and their keys and values as they are stored, since `begin`. */
  newRecords = 0;
  logicalBytes = 0;

  get written(): Uint8Array<ArrayBuffer> {
    return this.#out.subarray(0, this.#at);
  }

  begin(): void {
    if (this.#out.length > KEPT_BYTES_MAX) this.#use(new Uint8Array(FIRST_BYTES));
    this.#at = 0;
    this.newRecords = 0;
    this.logicalBytes = 0;
  }

  /** True if the byte limit ended the page before the record limit and before the end. */
  get truncated(): boolean {
    return this.stop === "bytes";
  }

  /** ASCII only. */
  text(text: string): void {
    this.#ensure(text.length);
    this.#at += Buffer.from(this.#out.buffer).write(text, this.#at, "latin1");
  }

  /**
   * Writes the messages of `page` from `progress` on, within `limits`, and updates the public
   * fields.
   *
   * @param pieceBytes the writer stops after this many bytes and at least one message.
   */
  messages(
    page: ConsumePage,
    limits: PageLimits,
    framing: Framing,
    pieceBytes: number,
    progress: PageProgress | null = null,
  ): void {
    this.count = progress?.count ?? 0;
    this.nextOffset = progress?.nextOffset ?? page.startOffset;
    const before = progress?.writtenBytes ?? 0;
    this.stop = "drained";
    for (const slice of page.slices) {
      this.stop = this.#slice(slice, page, limits, framing, pieceBytes, before);
      if (this.stop !== "drained") break;
    }
    if (this.stop === "drained" && this.nextOffset >= page.endOffset) this.stop = "end";
    this.writtenBytes = before + this.#at;
  }

  #slice(
    slice: Uint8Array,
    page: ConsumePage,
    limits: PageLimits,
    framing: Framing,
    pieceBytes: number,
    before: number,
  ): PageStop {
    const cursor = new RecordCursor(slice);
    if (page.first !== null && slice === page.slices[0]) cursor.startAt(page.first);
    let more = cursor.seek(this.nextOffset);
    while (more) {
      if (cursor.offset >= page.endOffset) return "end";
      if (this.count >= limits.limit) return "limit";
      if (this.newRecords > 0 && this.#at >= pieceBytes) return "piece";
      const mark = this.#at;
      this.#message(cursor, limits, framing);
      if (this.count > 0 && before + this.#at > limits.maxBytes) {
        this.#at = mark;
        return "bytes";
      }
      this.logicalBytes += cursor.logicalBytes;
      this.newRecords++;
      this.count++;
      this.nextOffset = cursor.offset + 1;
      more = cursor.next();
    }
    return this.count >= limits.limit ? "limit" : "drained";
  }

  #message(cursor: RecordCursor, limits: PageLimits, framing: Framing): void {
    const { headersStart, headersEnd } = cursor;
    const hasHeaders = headersEnd > headersStart;
    const framingBytes =
      MESSAGE_BYTES_MAX + framing.open.length + (hasHeaders ? HEADER_FRAMING_BYTES_MAX : 0);
    this.#ensure(framingBytes + cursor.logicalBytes * ESCAPED_BYTES_MAX);
    const out = this.#out;
    const view = this.#view;
    let at = this.#at;
    if (this.count > 0) at = copy(out, at, framing.separator);
    if (framing.id !== null) {
      at = writeDecimal(out, copy(out, at, framing.id), cursor.offset);
      at = copy(out, at, framing.afterId);
    }
    at = writeDecimal(out, framing.open.write(view, at), cursor.offset);
    const { timestampMs } = cursor;
    const { partition } = limits;
    if (timestampMs !== this.#stampedMs || partition !== this.#stampedPartition) {
      this.#restamp(partition, timestampMs);
    }
    at = this.#stamp.write(view, at);
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
    const { base64 } = limits;
    if (keyStart >= 0)
      at = writeField(out, view, at, KEY, KEY_B64, base64, bytes, keyStart, keyEnd);
    at = writeField(out, view, at, VALUE, VALUE_B64, base64, bytes, valueStart, valueEnd);
    if (hasHeaders) at = writeHeaders(out, at, bytes, headersStart, headersEnd);
    out[at++] = CLOSING_BRACE;
    this.#at = copy(out, at, framing.end);
  }

  /**
   * Writes the members that are the same for all records of a batch. Nothing is allocated, because
   * each batch has its own timestamp, and a batch may hold one record.
   */
  #restamp(partition: number, timestampMs: number): void {
    const { bytes } = this.#stamp;
    if (partition !== this.#stampedPartition) {
      const at = writeDecimal(bytes, copy(bytes, 0, PARTITION), partition);
      this.#timestampAt = copy(bytes, at, TIMESTAMP);
    }
    this.#stamp.length = writeDecimal(bytes, this.#timestampAt, timestampMs);
    this.#stampedMs = timestampMs;
    this.#stampedPartition = partition;
  }

  #ensure(more: number): void {
    const needed = this.#at + more;
    if (needed <= this.#out.length) return;
    const bigger = new Uint8Array(Math.max(needed, this.#out.length * 2));
    bigger.set(this.#out.subarray(0, this.#at));
    this.#use(bigger);
  }

  #use(out: Uint8Array<ArrayBuffer>): void {
    this.#out = out;
    this.#view = new DataView(out.buffer);
  }
}

function copy(out: Uint8Array, at: number, bytes: Uint8Array): number {
  const { length } = bytes;
  for (let i = 0; i < length; i++) out[at + i] = bytes[i] as number;
  return at + length;
}

/** Writes a field as text, or in base64 if that is requested or the bytes are not valid UTF-8. */
export function writeField(
  out: Uint8Array,
  view: DataView,
  at: number,
  name: Phrase,
  base64Name: Phrase,
  base64: boolean,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  let after = -1;
  if (!base64) after = writeJsonText(out, name.write(view, at), bytes, start, end);
  if (after < 0) after = writeBase64(view, base64Name.write(view, at), bytes, start, end);
  out[after] = QUOTE;
  return after + 1;
}

/**
 * Writes headers. Names and values are valid UTF-8, because it was checked before they were stored.
 */
export function writeHeaders(
  out: Uint8Array,
  start: number,
  bytes: Uint8Array,
  headersStart: number,
  headersEnd: number,
): number {
  let at = copy(out, start, HEADERS);
  const cursor = new HeaderCursor(bytes, headersStart, headersEnd);
  for (let isFirst = true; cursor.next(); isFirst = false) {
    if (!isFirst) out[at++] = COMMA;
    out[at++] = QUOTE;
    at = writeJsonText(out, at, bytes, cursor.nameStart, cursor.nameEnd);
    out[at++] = QUOTE;
    at = writeJsonText(out, copy(out, at, COLON_QUOTE), bytes, cursor.valueStart, cursor.valueEnd);
    out[at++] = QUOTE;
  }
  out[at] = CLOSING_BRACE;
  return at + 1;
}

/** Counts the records and bytes that the writer has just written as consumed. */
export function countConsumed(
  instruments: Instruments,
  { newRecords, logicalBytes }: PageWriter,
): void {
  instruments.consumedRecords.value += newRecords;
  instruments.consumedBytes.value += logicalBytes;
}
