import { ByteReader, DecodeError } from "../lib/bytes.ts";
import type { Section } from "../lib/state-part.ts";
import {
  PREAMBLE_BYTES,
  SECTION_HEADER_BYTES,
  SNAPSHOT_MAGIC,
  SNAPSHOT_VERSION,
} from "./snapshot-format.ts";

const NONE = new Uint8Array(0);

/** Splits a snapshot, which arrives in chunks of any size, into its sections. */
export class SectionSplitter {
  /** The bytes that `next` reads. */
  #bytes: Uint8Array = NONE;
  #at = 0;
  /** Copies of the chunks of an incomplete section; joined when the section is complete. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Total length of the current section, as far as it is known. */
  #needed = PREAMBLE_BYTES;
  #isOpen = false;

  get hasRest(): boolean {
    return this.#waitingBytes > 0 || !this.#isOpen;
  }

  push(chunk: Uint8Array): void {
    if (this.#waitingBytes === 0) {
      this.#bytes = chunk;
      this.#at = 0;
      return;
    }
    this.#keep(chunk);
    if (this.#waitingBytes >= this.#needed) this.#joinWaiting();
  }

  /** The next section, as a view that is valid until the next `push`; null if more bytes must come. */
  next(): Section | null {
    if (this.#waitingBytes > 0) return null;
    if (!this.#isOpen && !this.#openSnapshot()) return null;
    const left = this.#bytes.length - this.#at;
    if (left < SECTION_HEADER_BYTES) return this.#wait(SECTION_HEADER_BYTES);
    const reader = new ByteReader(this.#bytes, this.#at);
    const tag = reader.u8();
    const length = reader.u32();
    if (left < SECTION_HEADER_BYTES + length) return this.#wait(SECTION_HEADER_BYTES + length);
    this.#at += SECTION_HEADER_BYTES + length;
    return { tag, body: reader.raw(length) };
  }

  #openSnapshot(): boolean {
    if (this.#bytes.length - this.#at < PREAMBLE_BYTES) {
      this.#wait(PREAMBLE_BYTES);
      return false;
    }
    const reader = new ByteReader(this.#bytes, this.#at);
    if (reader.u32() !== SNAPSHOT_MAGIC) throw new DecodeError("not a snapshot");
    const version = reader.u8();
    if (version !== SNAPSHOT_VERSION) throw new DecodeError(`snapshot version ${version}`);
    this.#at = reader.position;
    this.#isOpen = true;
    return true;
  }

  #wait(needed: number): null {
    const rest = this.#bytes.subarray(this.#at);
    this.#bytes = NONE;
    this.#at = 0;
    this.#needed = needed;
    if (rest.length > 0) this.#keep(rest);
    return null;
  }

  #keep(bytes: Uint8Array): void {
    this.#waiting.push(bytes.slice());
    this.#waitingBytes += bytes.length;
  }

  #joinWaiting(): void {
    const joined = new Uint8Array(this.#waitingBytes);
    let at = 0;
    for (const piece of this.#waiting) {
      joined.set(piece, at);
      at += piece.length;
    }
    this.#bytes = joined;
    this.#at = 0;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}
