import type { ByteWriter } from "../lib/bytes.ts";

/**
 * Entries of a full chunk: 48 KiB. A chunk is released as a whole, so a table of few keys may waste
 * this much. With larger chunks, many small tables would take several times the memory of their keys.
 */
export const DEDUPE_CHUNK_ENTRIES = 1024;
export const KEY_DIGEST_BYTES = 16;
export const PAYLOAD_DIGEST_BYTES = 8;

/** Bytes of both digests, one after the other. */
export const DIGESTS_BYTES = KEY_DIGEST_BYTES + PAYLOAD_DIGEST_BYTES;

/** Four words of the key's digest, two of the payload's. */
const WORDS = DIGESTS_BYTES / 4;

/** Four bytes as an unsigned little-endian number. */
export const digestWord = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0;

/** Columns of idempotency keys, append-only: a snapshot may read what was there when it began. */
export class DedupeChunk {
  length = 0;
  digests: Uint32Array;
  at: Float64Array;
  firstOffset: Float64Array;
  count: Uint32Array;
  /** Chains of the index; 0 ends one. */
  next: Uint32Array;

  constructor(capacity: number) {
    this.digests = new Uint32Array(capacity * WORDS);
    this.at = new Float64Array(capacity);
    this.firstOffset = new Float64Array(capacity);
    this.count = new Uint32Array(capacity);
    this.next = new Uint32Array(capacity);
  }

  hashOf(slot: number): number {
    return this.digests[slot * WORDS] as number;
  }

  hasKey(slot: number, key: Uint8Array): boolean {
    const { digests } = this;
    const at = slot * WORDS;
    return (
      digests[at] === digestWord(key, 0) &&
      digests[at + 1] === digestWord(key, 4) &&
      digests[at + 2] === digestWord(key, 8) &&
      digests[at + 3] === digestWord(key, 12)
    );
  }

  hasPayload(slot: number, payload: Uint8Array): boolean {
    const at = slot * WORDS + 4;
    return (
      this.digests[at] === digestWord(payload, 0) && this.digests[at + 1] === digestWord(payload, 4)
    );
  }

  /**
   * Adds an entry; its digests are still to be set.
   *
   * @returns its slot.
   */
  push(at: number, firstOffset: number, count: number): number {
    if (this.length === this.at.length) this.#grow();
    const slot = this.length++;
    this.at[slot] = at;
    this.firstOffset[slot] = firstOffset;
    this.count[slot] = count;
    return slot;
  }

  setKey(slot: number, key: Uint8Array): void {
    const word = slot * WORDS;
    for (let i = 0; i < 4; i++) this.digests[word + i] = digestWord(key, i * 4);
  }

  setPayload(slot: number, payload: Uint8Array): void {
    const word = slot * WORDS + 4;
    for (let i = 0; i < 2; i++) this.digests[word + i] = digestWord(payload, i * 4);
  }

  /** Both digests, as `writeEntry` wrote them. */
  readDigests(slot: number, digests: Uint8Array): void {
    const word = slot * WORDS;
    for (let i = 0; i < WORDS; i++) this.digests[word + i] = digestWord(digests, i * 4);
  }

  /** Digests, time, first offset, count: a fixed number of bytes. */
  writeEntry(slot: number, writer: ByteWriter): void {
    const word = slot * WORDS;
    for (let i = 0; i < WORDS; i++) writer.u32(this.digests[word + i] as number);
    writer.u64(this.at[slot] as number);
    writer.u64(this.firstOffset[slot] as number);
    writer.u32(this.count[slot] as number);
  }

  #grow(): void {
    const capacity = Math.min(this.at.length * 2, DEDUPE_CHUNK_ENTRIES);
    this.digests = grown(this.digests, new Uint32Array(capacity * WORDS));
    this.at = grown(this.at, new Float64Array(capacity));
    this.firstOffset = grown(this.firstOffset, new Float64Array(capacity));
    this.count = grown(this.count, new Uint32Array(capacity));
    this.next = grown(this.next, new Uint32Array(capacity));
  }
}

function grown<T extends Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
