import { assert } from "./assert.ts";

/** Thrown by `ByteReader` when bytes end early or a length makes no sense; never for valid data. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

const encoder = new TextEncoder();
/** Its length is a varint of one byte. */
const SHORT_TEXT = 64;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const utf8 = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text);
/** Bytes of `utf8(text)`, without making them. */
export function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    // A surrogate pair has four bytes, and half a pair becomes U+FFFD, which has three.
    if (code < 0x800) length += 1;
    else if (isPair(code, text.charCodeAt(i + 1))) {
      length += 2;
      i++;
    } else length += 2;
  }
  return length;
}

const isPair = (high: number, low: number): boolean =>
  (high & 0xfc00) === 0xd800 && (low & 0xfc00) === 0xdc00;

/** @throws TypeError if `bytes` is not valid UTF-8. */
export const fromUtf8 = (bytes: Uint8Array): string => decoder.decode(bytes);

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Number of bytes of `value` (0 … 2^53−1) as an unsigned LEB128 varint. */
export function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Writes an unsigned LEB128 varint of at most 32 bits. @returns the position after it. */
export function writeVarint(to: Uint8Array, position: number, value: number): number {
  let at = position;
  let rest = value;
  while (rest >= 128) {
    to[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  to[at++] = rest;
  return at;
}

/** Growable little-endian writer. Numbers are unsigned integers up to 2^53−1. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes so far; valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of the bytes so far. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** Reserves `count` bytes and returns their position. */
  reserve(count: number): number {
    const at = this.#length;
    const end = at + count;
    if (end > this.#bytes.length) this.#grow(end);
    this.#length = end;
    return at;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.#bytes[at] = value;
  }

  u32(value: number): void {
    const at = this.reserve(4);
    this.#view.setUint32(at, value, true);
  }

  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  /** 8 bytes; `value` must be a safe integer. */
  u64(value: number): void {
    assert(value >= 0 && value <= Number.MAX_SAFE_INTEGER, "u64 must be a safe integer");
    const at = this.reserve(8);
    this.#view.setUint32(at, value >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.u8((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    this.u8(rest);
  }

  raw(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Varint length, then the bytes. */
  blob(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** Varint length, then UTF-8. */
  text(value: string): void {
    if (value.length > SHORT_TEXT || !this.#ascii(value)) this.blob(encoder.encode(value));
  }

  /** Writes a short text without an encoder. @returns false, and writes nothing, unless it is ASCII. */
  #ascii(value: string): boolean {
    const { length } = value;
    const at = this.reserve(1 + length);
    const bytes = this.#bytes;
    bytes[at] = length;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 128) {
        this.#length = at;
        return false;
      }
      bytes[at + 1 + i] = code;
    }
    return true;
  }

  #grow(needed: number): void {
    const bigger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    bigger.set(this.#bytes);
    this.#bytes = bigger;
    this.#view = new DataView(bigger.buffer);
  }
}

/** Bounds-checked reader for the format of `ByteWriter`. Methods throw `DecodeError` at the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
  }

  get remaining(): number {
    return this.#bytes.length - this.position;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): number {
    const at = this.#take(8);
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
    if (value > Number.MAX_SAFE_INTEGER) throw new DecodeError("integer above 2^53-1");
    return value;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw new DecodeError("varint above 2^53-1");
  }

  /** A view, not a copy. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** A view, not a copy. */
  blob(): Uint8Array {
    return this.raw(this.varint());
  }

  /** The byte this far after the position; 0 if the bytes end before. */
  peek(ahead: number): number {
    return this.#bytes[this.position + ahead] ?? 0;
  }

  /** Passes over `bytes` if they come next. @returns false, at the same position, if they do not. */
  skip(bytes: Uint8Array): boolean {
    const { length } = bytes;
    if (length > this.remaining) return false;
    const all = this.#bytes;
    const at = this.position;
    for (let i = 0; i < length; i++) if (all[at + i] !== bytes[i]) return false;
    this.position = at + length;
    return true;
  }

  text(): string {
    try {
      return decoder.decode(this.blob());
    } catch (cause) {
      if (cause instanceof DecodeError) throw cause;
      throw new DecodeError("text is not UTF-8", { cause });
    }
  }

  #take(count: number): number {
    const at = this.position;
    if (count > this.#bytes.length - at) throw new DecodeError("bytes end early");
    this.position = at + count;
    return at;
  }
}
