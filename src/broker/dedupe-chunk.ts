/** Entries of a full chunk: 192 KiB. */
export const DEDUPE_CHUNK_ENTRIES = 4096;
export const KEY_DIGEST_BYTES = 16;
export const PAYLOAD_DIGEST_BYTES = 8;

/** Four words of the key's digest, two of the payload's. */
const WORDS = 6;

/** Bytes 4n … 4n+3 of a digest as an unsigned little-endian number. */
export const digestWord = (digest: Uint8Array, n: number): number => {
  const at = n * 4;
  return (
    ((digest[at] as number) |
      ((digest[at + 1] as number) << 8) |
      ((digest[at + 2] as number) << 16) |
      ((digest[at + 3] as number) << 24)) >>>
    0
  );
};

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
      digests[at + 1] === digestWord(key, 1) &&
      digests[at + 2] === digestWord(key, 2) &&
      digests[at + 3] === digestWord(key, 3)
    );
  }

  hasPayload(slot: number, payload: Uint8Array): boolean {
    const at = slot * WORDS + 4;
    return (
      this.digests[at] === digestWord(payload, 0) && this.digests[at + 1] === digestWord(payload, 1)
    );
  }

  push(key: Uint8Array, payload: Uint8Array, at: number, firstOffset: number, count: number): void {
    if (this.length === this.at.length) this.#grow();
    const slot = this.length++;
    const word = slot * WORDS;
    this.digests[word] = digestWord(key, 0);
    this.digests[word + 1] = digestWord(key, 1);
    this.digests[word + 2] = digestWord(key, 2);
    this.digests[word + 3] = digestWord(key, 3);
    this.digests[word + 4] = digestWord(payload, 0);
    this.digests[word + 5] = digestWord(payload, 1);
    this.at[slot] = at;
    this.firstOffset[slot] = firstOffset;
    this.count[slot] = count;
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
