/** The answer of a receive. */
import type { Instruments } from "../metrics/instruments.ts";
import type { Received, ReceivedMessage } from "../node/api.ts";
import { ESCAPED_BYTES_MAX, Phrase, writeDecimal } from "./json-bytes.ts";
import { HEADER_FRAMING_BYTES_MAX, writeField, writeHeaders } from "./page-writer.ts";

const VALUE = Phrase.of(',"value":"');
const VALUE_B64 = Phrase.of(',"value_b64":"');
const KEY = Phrase.of(',"key":"');
const KEY_B64 = Phrase.of(',"key_b64":"');
const OFFSET = Phrase.of(',"offset":');
const TIMESTAMP = Phrase.of(',"timestamp_ms":');
const ATTEMPT = Phrase.of(',"attempt":');
/** The beginning of a receipt: see `node/queues/receipts.ts`. */
const RECEIPT = Phrase.of(',"receipt":"q');
const VISIBLE_AT = Phrase.of('","visible_at_ms":');
const MESSAGES = Phrase.of('{"ok":true,"messages":[');
const COUNT = Phrase.of('],"count":');
const BLOCKED = Phrase.of(',"blocked":"');
const WHY: Readonly<Record<NonNullable<Received["blocked"]>, Phrase>> = {
  max_in_flight: Phrase.of("max_in_flight"),
  oldest_unacknowledged: Phrase.of("oldest_unacknowledged"),
};
const [QUOTE, COMMA, DASH, CLOSING_BRACE] = [34, 44, 45, 125];
/** Upper bound of the length of a message without topic, key, value and headers. */
const MESSAGE_BYTES_MAX = 400;
const FIRST_BYTES = 64 * 1024;
/** A larger buffer is released after use. */
const KEPT_BYTES_MAX = 1024 * 1024;

/**
 * Writes answers into a buffer that the next one reuses, because strings of a hundred messages cost
 * more than all else. One writer per event loop.
 */
export class ReceivedWriter {
  #out = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#out.buffer);
  #at = 0;
  /** The beginning of each message of a topic: that of the last answer, because most are the same. */
  #topic = "";
  #open = Phrase.of("");

  /** @returns the answer, which must be copied (as `Response` does) before the next call. */
  write(received: Received, base64: boolean, instruments: Instruments): Uint8Array<ArrayBuffer> {
    const { topic, messages, visibleAtMs, blocked } = received;
    if (this.#out.length > KEPT_BYTES_MAX) this.#use(new Uint8Array(FIRST_BYTES));
    if (topic !== this.#topic) {
      this.#topic = topic;
      // The name of a topic has no character that JSON escapes.
      this.#open = Phrase.of(`{"topic":"${topic}","partition":`);
    }
    this.#at = MESSAGES.write(this.#view, 0);
    let bytes = 0;
    for (let i = 0; i < messages.length; i++) {
      bytes += this.#message(messages[i] as ReceivedMessage, visibleAtMs, base64, i === 0);
    }
    this.#ensure(MESSAGE_BYTES_MAX);
    const out = this.#out;
    const view = this.#view;
    let at = writeDecimal(out, COUNT.write(view, this.#at), messages.length);
    if (blocked !== null) {
      at = WHY[blocked].write(view, BLOCKED.write(view, at));
      out[at++] = QUOTE;
    }
    out[at++] = CLOSING_BRACE;
    instruments.consumedRecords.value += messages.length;
    instruments.consumedBytes.value += bytes;
    return out.subarray(0, at);
  }

  /** @returns the bytes of key, value and headers. */
  #message(
    message: ReceivedMessage,
    visibleAtMs: number,
    base64: boolean,
    isFirst: boolean,
  ): number {
    const { partition, offset, timestampMs, record, queueId, attempt } = message;
    const { source, keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = record;
    const keyBytes = keyStart < 0 ? 0 : keyEnd - keyStart;
    const logicalBytes = valueEnd - valueStart + keyBytes + (headersEnd - headersStart);
    const framingBytes = MESSAGE_BYTES_MAX + this.#open.length;
    this.#ensure(framingBytes + HEADER_FRAMING_BYTES_MAX + logicalBytes * ESCAPED_BYTES_MAX);
    const out = this.#out;
    const view = this.#view;
    let at = this.#at;
    if (!isFirst) out[at++] = COMMA;
    at = writeDecimal(out, this.#open.write(view, at), partition);
    at = writeDecimal(out, OFFSET.write(view, at), offset);
    at = writeDecimal(out, TIMESTAMP.write(view, at), timestampMs);
    if (keyStart >= 0) {
      at = writeField(out, view, at, KEY, KEY_B64, base64, source, keyStart, keyEnd);
    }
    at = writeField(out, view, at, VALUE, VALUE_B64, base64, source, valueStart, valueEnd);
    if (headersEnd > headersStart) at = writeHeaders(out, at, source, headersStart, headersEnd);
    at = writeDecimal(out, ATTEMPT.write(view, at), attempt);
    at = writeDecimal(out, RECEIPT.write(view, at), queueId);
    out[at++] = DASH;
    at = writeDecimal(out, at, partition);
    out[at++] = DASH;
    at = writeDecimal(out, at, offset);
    out[at++] = DASH;
    at = writeDecimal(out, at, attempt);
    at = writeDecimal(out, VISIBLE_AT.write(view, at), visibleAtMs);
    out[at++] = CLOSING_BRACE;
    this.#at = at;
    return logicalBytes;
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
