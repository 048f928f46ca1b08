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
const [COMMA, DASH] = [44, 45];
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

  /** @returns the answer, which must be copied (as `Response` does) before the next call. */
  write(received: Received, base64: boolean, instruments: Instruments): Uint8Array<ArrayBuffer> {
    const { topic, messages, visibleAtMs, blocked } = received;
    if (this.#out.length > KEPT_BYTES_MAX) this.#use(new Uint8Array(FIRST_BYTES));
    this.#at = 0;
    this.#text('{"ok":true,"messages":[');
    // The name of a topic and a receipt have no character that JSON escapes.
    const open = Phrase.of(`{"topic":"${topic}","partition":`);
    const close = Phrase.of(`","visible_at_ms":${visibleAtMs}}`);
    let bytes = 0;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i] as ReceivedMessage;
      bytes += this.#message(message, open, close, base64, i === 0);
    }
    const why = blocked === null ? "" : `,"blocked":"${blocked}"`;
    this.#text(`],"count":${messages.length}${why}}`);
    instruments.consumedRecords.value += messages.length;
    instruments.consumedBytes.value += bytes;
    return this.#out.subarray(0, this.#at);
  }

  /** @returns the bytes of key, value and headers. */
  #message(
    message: ReceivedMessage,
    open: Phrase,
    close: Phrase,
    base64: boolean,
    isFirst: boolean,
  ): number {
    const { partition, offset, timestampMs, record, queueId, attempt } = message;
    const { source, keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = record;
    const keyBytes = keyStart < 0 ? 0 : keyEnd - keyStart;
    const logicalBytes = valueEnd - valueStart + keyBytes + (headersEnd - headersStart);
    const framingBytes = MESSAGE_BYTES_MAX + open.length + close.length;
    this.#ensure(framingBytes + HEADER_FRAMING_BYTES_MAX + logicalBytes * ESCAPED_BYTES_MAX);
    const out = this.#out;
    const view = this.#view;
    let at = this.#at;
    if (!isFirst) out[at++] = COMMA;
    at = writeDecimal(out, open.write(view, at), partition);
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
    this.#at = close.write(view, at);
    return logicalBytes;
  }

  /** ASCII only. */
  #text(text: string): void {
    this.#ensure(text.length);
    this.#at += Buffer.from(this.#out.buffer).write(text, this.#at, "latin1");
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
