import { type ByteReader, sameBytes } from "./bytes.ts";

/** A power of two. */
const SLOTS = 16;
const BYTES_MAX = 64;

/** Reads short texts that repeat, such as names of topics: comparing them costs less than decoding. */
export class TextCache {
  readonly #bytes: (Uint8Array | undefined)[] = [];
  readonly #texts: string[] = [];

  /** The same as `reader.text()`. @throws DecodeError */
  read(reader: ByteReader): string {
    const start = reader.position;
    const bytes = reader.blob();
    const { length } = bytes;
    const slot = (length + 31 * (bytes[length - 1] ?? 0)) % SLOTS;
    const known = this.#bytes[slot];
    if (known !== undefined && sameBytes(known, bytes)) return this.#texts[slot] as string;
    reader.position = start;
    const text = reader.text();
    if (length <= BYTES_MAX) {
      this.#bytes[slot] = bytes.slice();
      this.#texts[slot] = text;
    }
    return text;
  }
}
