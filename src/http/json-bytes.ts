/**
 * Text, base64 and numbers as JSON, written straight into a byte buffer. Pages of records are the
 * bulk of what the server says; going through strings costs several times as much.
 */
const QUOTE = 34;
const BACKSLASH = 92;
const BASE64 = Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
/** Two digits at once: the low byte is the first one. */
const BASE64_PAIRS = Uint16Array.from(
  { length: 64 * 64 },
  (_, pair) => (BASE64[pair >> 6] as number) | ((BASE64[pair & 63] as number) << 8),
);
const PADDING = 61;
const HEX = Buffer.from("0123456789abcdef");
/** Most bytes that one byte of text takes: `\u00XX`. */
export const ESCAPED_BYTES_MAX = 6;
/** Values from this size go through the native encoder, which costs a string. */
const NATIVE_BASE64_BYTES_MIN = 512;

/** The short escapes of control characters: \b \t \n \f \r; 0 where there is none. */
const SHORT_ESCAPES = Buffer.alloc(32);
SHORT_ESCAPES[8] = 98;
SHORT_ESCAPES[9] = 116;
SHORT_ESCAPES[10] = 110;
SHORT_ESCAPES[12] = 102;
SHORT_ESCAPES[13] = 114;

/** ASCII text that is written four bytes at a time, which takes a third of the time of single bytes. */
export class Phrase {
  readonly bytes: Uint8Array;
  readonly #words: Int32Array;
  length = 0;

  /** @param capacity the largest length that will be set. */
  constructor(capacity: number) {
    this.#words = new Int32Array(Math.ceil(capacity / 4));
    this.bytes = new Uint8Array(this.#words.buffer);
  }

  static of(text: string): Phrase {
    const phrase = new Phrase(text.length);
    phrase.bytes.set(Buffer.from(text, "latin1"));
    phrase.length = text.length;
    return phrase;
  }

  /**
   * Writes up to three bytes more than the phrase has. `out` must have room for them.
   *
   * @returns the position after the phrase.
   */
  write(out: DataView, at: number): number {
    const words = this.#words;
    const { length } = this;
    for (let i = 0; i < length; i += 4) out.setInt32(at + i, words[i >> 2] as number, true);
    return at + length;
  }
}

/** @returns position after the digits of a non-negative safe integer. */
export function writeDecimal(out: Uint8Array, at: number, value: number): number {
  let length = 1;
  for (let limit = 10; value >= limit; limit *= 10) length++;
  let rest = value;
  let position = at + length;
  while (rest > 0x7fffffff) {
    const tenth = Math.floor(rest / 10);
    out[--position] = 48 + (rest - tenth * 10);
    rest = tenth;
  }
  let small = rest | 0;
  while (position > at) {
    const tenth = (small / 10) | 0;
    out[--position] = 48 + (small - tenth * 10);
    small = tenth;
  }
  return at + length;
}

/** @returns position after the base64 of `bytes[start, end)`. */
export function writeBase64(
  out: DataView,
  at: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  if (end - start >= NATIVE_BASE64_BYTES_MIN) return writeNativeBase64(out, at, bytes, start, end);
  let to = at;
  let from = start;
  for (; from + 2 < end; from += 3, to += 4) {
    const group =
      ((bytes[from] as number) << 16) |
      ((bytes[from + 1] as number) << 8) |
      (bytes[from + 2] as number);
    const first = BASE64_PAIRS[group >> 12] as number;
    const second = BASE64_PAIRS[group & 4095] as number;
    out.setInt32(to, first | (second << 16), true);
  }
  if (from === end) return to;
  const two = from + 2 === end;
  const group = ((bytes[from] as number) << 16) | (two ? (bytes[from + 1] as number) << 8 : 0);
  out.setUint16(to, BASE64_PAIRS[group >> 12] as number, true);
  out.setUint8(to + 2, two ? (BASE64[(group >> 6) & 63] as number) : PADDING);
  out.setUint8(to + 3, PADDING);
  return to + 4;
}

function writeNativeBase64(
  out: DataView,
  at: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("base64");
  return at + Buffer.from(out.buffer, out.byteOffset, out.byteLength).write(text, at, "latin1");
}

/**
 * Writes the inside of a JSON string.
 *
 * @returns position after it; -1 if `bytes[start, end)` is not valid UTF-8.
 */
export function writeJsonText(
  out: Uint8Array,
  at: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): number {
  let to = at;
  let from = start;
  while (from < end) {
    const byte = bytes[from] as number;
    if (byte >= 0x80) {
      const length = sequenceLength(bytes, from, end, byte);
      if (length === 0) return -1;
      for (const stop = from + length; from < stop; from++) out[to++] = bytes[from] as number;
      continue;
    }
    if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) out[to++] = byte;
    else to = writeEscape(out, to, byte);
    from++;
  }
  return to;
}

function writeEscape(out: Uint8Array, at: number, byte: number): number {
  out[at] = BACKSLASH;
  const short = byte < 0x20 ? (SHORT_ESCAPES[byte] as number) : byte;
  if (short !== 0) {
    out[at + 1] = short;
    return at + 2;
  }
  out[at + 1] = 117;
  out[at + 2] = 48;
  out[at + 3] = 48;
  out[at + 4] = HEX[byte >> 4] as number;
  out[at + 5] = HEX[byte & 15] as number;
  return at + 6;
}

/** Length of the well-formed UTF-8 sequence that begins at `at`; 0 if there is none (RFC 3629). */
function sequenceLength(bytes: Uint8Array, at: number, end: number, lead: number): number {
  const length = announcedLength(lead);
  if (length === 0 || at + length > end) return 0;
  const second = bytes[at + 1] as number;
  if (second < lowestSecond(lead) || second > highestSecond(lead)) return 0;
  for (let i = at + 2; i < at + length; i++) {
    if (((bytes[i] as number) & 0xc0) !== 0x80) return 0;
  }
  return length;
}

function announcedLength(lead: number): number {
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

/** Only the shortest form is allowed. */
function lowestSecond(lead: number): number {
  if (lead === 0xe0) return 0xa0;
  return lead === 0xf0 ? 0x90 : 0x80;
}

/** No surrogates, nothing above U+10FFFF. */
function highestSecond(lead: number): number {
  if (lead === 0xed) return 0x9f;
  return lead === 0xf4 ? 0x8f : 0xbf;
}
