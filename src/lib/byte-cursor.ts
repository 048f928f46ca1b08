import { assert } from "./assert.ts";
import { DecodeError } from "./bytes.ts";

/** Largest number of bytes of a UTF-16 code unit in UTF-8. */
const UTF8_BYTES_MAX = 3;
/** Bytes before a text or a blob. */
const LENGTH_BYTES = 4;
const NULL_LENGTH = 0xffff_ffff;
const NOT_ASCII = 0x80;

/**
 * Writes or reads fields at a position of existing bytes, which may be shared with another thread.
 * Nothing is allocated for a number. A field never leaves the range that `range` has set: reading
 * beyond it throws `DecodeError`, and writing beyond it fails an assertion.
 */
export class ByteCursor {
  readonly #bytes: Uint8Array;
  /** The same bytes, for texts. */
  readonly #texts: Buffer;
  readonly #view: DataView;
  #at = 0;
  #end = 0;
  /** The text that was read last. */
  #last = "";

  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset, byteLength } = bytes;
    this.#bytes = bytes;
    this.#texts = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
    this.#view = new DataView(buffer, byteOffset, byteLength);
    this.#end = byteLength;
  }

  /** The position of the next field. */
  get at(): number {
    return this.#at;
  }

  range(start: number, end: number): void {
    this.#at = start;
    this.#end = end;
  }

  putU8(value: number): void {
    this.#view.setUint8(this.#room(1), value);
  }

  putU32(value: number): void {
    this.#view.setUint32(this.#room(4), value, true);
  }

  /** Any number but NaN, which stands for null. */
  putNumber(value: number | null): void {
    this.#view.setFloat64(this.#room(8), value ?? Number.NaN, true);
  }

  putText(text: string): void {
    const lengthAt = this.#room(LENGTH_BYTES);
    const length = this.#texts.write(text, this.#at, "utf8");
    this.#view.setUint32(lengthAt, length, true);
    this.#room(length);
  }

  putBlob(bytes: Uint8Array | null): void {
    this.putU32(bytes === null ? NULL_LENGTH : bytes.length);
    if (bytes !== null) this.#bytes.set(bytes, this.#room(bytes.length));
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** @throws DecodeError if it is null. */
  number(): number {
    const value = this.#view.getFloat64(this.#take(8), true);
    if (Number.isNaN(value)) throw new DecodeError("a number is missing");
    return value;
  }

  numberOrNull(): number | null {
    const value = this.#view.getFloat64(this.#take(8), true);
    return Number.isNaN(value) ? null : value;
  }

  /** Calls mostly name the topic of the call before, so a text that is read again is not decoded. */
  text(): string {
    const length = this.u32();
    const start = this.#take(length);
    if (!this.#isLast(start, length)) {
      this.#last = this.#texts.toString("utf8", start, start + length);
    }
    return this.#last;
  }

  /** A view, which is valid as long as the range is. */
  blobOrNull(): Uint8Array | null {
    const length = this.u32();
    if (length === NULL_LENGTH) return null;
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** @throws DecodeError if the blob is null. */
  blob(): Uint8Array {
    const bytes = this.blobOrNull();
    if (bytes === null) throw new DecodeError("bytes are missing");
    return bytes;
  }

  /** @throws DecodeError if the range has more than what was read. */
  checkEnd(): void {
    if (this.#at !== this.#end) throw new DecodeError(`${this.#end - this.#at} bytes too many`);
  }

  /** True if the bytes are ASCII and those of the last text. */
  #isLast(start: number, length: number): boolean {
    const last = this.#last;
    if (last.length !== length) return false;
    for (let i = 0; i < length; i++) {
      const byte = this.#bytes[start + i] as number;
      if (byte >= NOT_ASCII || byte !== last.charCodeAt(i)) return false;
    }
    return true;
  }

  #room(count: number): number {
    const at = this.#at;
    assert(at + count <= this.#end, "an entry must not be longer than announced");
    this.#at = at + count;
    return at;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#end - at) throw new DecodeError("bytes end early");
    this.#at = at + count;
    return at;
  }
}

/** Upper bound of the bytes that `putText` writes. */
export const textBytesMax = (text: string): number => LENGTH_BYTES + text.length * UTF8_BYTES_MAX;
/** Bytes that `putBlob` writes. */
export const blobBytes = (bytes: Uint8Array | null): number =>
  LENGTH_BYTES + (bytes === null ? 0 : bytes.length);
