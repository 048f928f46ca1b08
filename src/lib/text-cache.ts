import { type ByteReader, utf8 } from "./bytes.ts";

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
    const length = reader.varint();
    const slot = (length + 31 * reader.peek(length - 1)) % SLOTS;
    const known = this.#bytes[slot];
    // Compared where they lie: a view of them would be an object for each text.
    if (known !== undefined && known.length === length && reader.skip(known)) {
      return this.#texts[slot] as string;
    }
    reader.position = start;
    const text = reader.text();
    if (length <= BYTES_MAX) {
      this.#bytes[slot] = utf8(text);
      this.#texts[slot] = text;
    }
    return text;
  }
}
