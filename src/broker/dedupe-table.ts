import { assert } from "../lib/assert.ts";
import { DEDUPE_CHUNK_ENTRIES, DedupeChunk, digestWord } from "./dedupe-chunk.ts";

/** References are sequence numbers modulo this, plus one, so that 0 can mean "none". */
const REFERENCE_MODULUS = 2 ** 32 - 1;
const BUCKETS_MIN = 16;
/** Limit of buckets that are joined when an entry is removed. */
const BUCKETS_PER_ENTRY_MAX = 4;

/** References for a snapshot. They are enough, because entries never change. */
export type DedupeCapture = {
  readonly chunks: readonly DedupeChunk[];
  /** First and one past the last entry, counted from the start of the first chunk. */
  readonly from: number;
  readonly to: number;
};

/**
 * The idempotency keys of one partition, oldest first: a FIFO in chunks of typed arrays with a
 * chained hash index over it, about 52 bytes a key. The index grows by linear hashing, one bucket
 * an insert, because rebuilding it for a million keys would stop the loop for tens of milliseconds.
 * It shrinks in the same way, so that a table that was cut to a few keys does not hold the index of
 * a million.
 *
 * An entry is named by its sequence number: `head` is the oldest, `tail` the next to come.
 */
export class DedupeTable {
  #chunks: DedupeChunk[] = [];
  /** Sequence number of the first entry of the first chunk. */
  #base = 0;
  #head = 0;
  #tail = 0;
  /** Bucket -> reference of its newest entry, 0 if empty. */
  #heads = new Uint32Array(BUCKETS_MIN);
  #buckets = BUCKETS_MIN;
  /** The largest power of two that is at most the number of buckets. */
  #level = BUCKETS_MIN;

  get size(): number {
    return this.#tail - this.#head;
  }

  /** Chains of the index. */
  get chains(): number {
    return this.#buckets;
  }

  /** Machine time of the oldest key; the table must not be empty. */
  get oldestAt(): number {
    return this.#chunkOf(this.#head).at[this.#slot(this.#head)] as number;
  }

  /**
   * The newest entry with this digest among the newest `keysMax`.
   *
   * @returns its sequence number, or -1.
   */
  find(keyDigest: Uint8Array, keysMax: number): number {
    const hash = digestWord(keyDigest, 0);
    const first = Math.max(this.#head, this.#tail - keysMax);
    let reference = this.#heads[this.#bucketOf(hash)] as number;
    while (reference !== 0) {
      const sequence = this.#sequenceOf(reference);
      const chunk = this.#chunkOf(sequence);
      const slot = this.#slot(sequence);
      if (chunk.hasKey(slot, keyDigest)) return sequence >= first ? sequence : -1;
      reference = chunk.next[slot] as number;
    }
    return -1;
  }

  at(sequence: number): number {
    return this.#chunkOf(sequence).at[this.#slot(sequence)] as number;
  }

  firstOffset(sequence: number): number {
    return this.#chunkOf(sequence).firstOffset[this.#slot(sequence)] as number;
  }

  count(sequence: number): number {
    return this.#chunkOf(sequence).count[this.#slot(sequence)] as number;
  }

  hasPayload(sequence: number, payloadDigest: Uint8Array): boolean {
    return this.#chunkOf(sequence).hasPayload(this.#slot(sequence), payloadDigest);
  }

  /** Appends the newest entry. `at` must not be below that of the entry before. */
  push(
    keyDigest: Uint8Array,
    payloadDigest: Uint8Array,
    at: number,
    firstOffset: number,
    count: number,
  ): void {
    const chunk = this.#chunkForPush();
    const slot = chunk.push(at, firstOffset, count);
    chunk.setKey(slot, keyDigest);
    chunk.setPayload(slot, payloadDigest);
    this.#linkNewest();
  }

  /** `push` with both digests in one, as `DedupeChunk.writeEntry` wrote them. */
  pushDigests(digests: Uint8Array, at: number, firstOffset: number, count: number): void {
    const chunk = this.#chunkForPush();
    const slot = chunk.push(at, firstOffset, count);
    chunk.readDigests(slot, digests);
    this.#linkNewest();
  }

  /** Drops the oldest entry. */
  shift(): void {
    assert(this.size > 0, "shift of an empty dedupe table");
    this.#unlink(this.#head++);
    this.#shrinkIndex();
    if (this.#head - this.#base === DEDUPE_CHUNK_ENTRIES) {
      this.#chunks.shift();
      this.#base += DEDUPE_CHUNK_ENTRIES;
    }
    if (this.#head === this.#tail) this.#reset();
  }

  capture(): DedupeCapture {
    const from = this.#head - this.#base;
    return { chunks: this.#chunks.slice(), from, to: from + this.size };
  }

  #reset(): void {
    this.#chunks = [];
    this.#base = 0;
    this.#head = 0;
    this.#tail = 0;
    this.#heads = new Uint32Array(BUCKETS_MIN);
    this.#buckets = BUCKETS_MIN;
    this.#level = BUCKETS_MIN;
  }

  #chunkForPush(): DedupeChunk {
    const last = this.#chunks[this.#chunks.length - 1];
    if (last !== undefined && last.length < DEDUPE_CHUNK_ENTRIES) return last;
    // A chunk grows by doubling: the first and the following ones of a small table stay small.
    const chunk = new DedupeChunk(this.size < DEDUPE_CHUNK_ENTRIES ? 8 : DEDUPE_CHUNK_ENTRIES);
    this.#chunks.push(chunk);
    return chunk;
  }

  #chunkOf(sequence: number): DedupeChunk {
    const number = Math.floor((sequence - this.#base) / DEDUPE_CHUNK_ENTRIES);
    return this.#chunks[number] as DedupeChunk;
  }

  #slot(sequence: number): number {
    return (sequence - this.#base) % DEDUPE_CHUNK_ENTRIES;
  }

  #sequenceOf(reference: number): number {
    const ahead = reference - 1 - (this.#head % REFERENCE_MODULUS);
    return this.#head + (ahead < 0 ? ahead + REFERENCE_MODULUS : ahead);
  }

  #bucketOf(hash: number): number {
    const bucket = hash & (this.#level * 2 - 1);
    return bucket < this.#buckets ? bucket : bucket & (this.#level - 1);
  }

  #linkNewest(): void {
    const sequence = this.#tail++;
    const chunk = this.#chunkOf(sequence);
    const slot = this.#slot(sequence);
    const bucket = this.#bucketOf(chunk.hashOf(slot));
    chunk.next[slot] = this.#heads[bucket] as number;
    this.#heads[bucket] = (sequence % REFERENCE_MODULUS) + 1;
    this.#growIndex();
  }

  /** The oldest entry is the last of its chain: newer ones were put in front. */
  #unlink(sequence: number): void {
    const wanted = (sequence % REFERENCE_MODULUS) + 1;
    const bucket = this.#bucketOf(this.#chunkOf(sequence).hashOf(this.#slot(sequence)));
    let reference = this.#heads[bucket] as number;
    if (reference === wanted) {
      this.#heads[bucket] = 0;
      return;
    }
    for (;;) {
      const at = this.#sequenceOf(reference);
      const chunk = this.#chunkOf(at);
      const slot = this.#slot(at);
      reference = chunk.next[slot] as number;
      assert(reference !== 0, "an entry of the dedupe table is in its chain");
      if (reference === wanted) {
        chunk.next[slot] = 0;
        return;
      }
    }
  }

  /** Splits the next bucket in two when there are more entries than buckets. */
  #growIndex(): void {
    if (this.size <= this.#buckets) return;
    const from = this.#buckets - this.#level;
    const into = this.#buckets;
    if (into === this.#heads.length) {
      const heads = new Uint32Array(into * 2);
      heads.set(this.#heads);
      this.#heads = heads;
    }
    this.#split(from, into);
    this.#buckets++;
    if (this.#buckets === this.#level * 2) this.#level = this.#buckets;
  }

  /** Joins the last buckets into their siblings while there are far more buckets than entries. */
  #shrinkIndex(): void {
    while (this.#buckets > BUCKETS_MIN && this.#buckets > this.size * BUCKETS_PER_ENTRY_MAX) {
      if (this.#buckets === this.#level) this.#level /= 2;
      const from = --this.#buckets;
      this.#join(from, from - this.#level);
    }
    if (this.#heads.length >= this.#buckets * 4) {
      this.#heads = this.#heads.slice(0, this.#heads.length / 2);
    }
  }

  /** Keeps the order of both chains, newest first. */
  #join(from: number, into: number): void {
    let a = this.#heads[from] as number;
    let b = this.#heads[into] as number;
    let tail: { readonly chunk: DedupeChunk; readonly slot: number } | null = null;
    this.#heads[from] = 0;
    while (a !== 0 || b !== 0) {
      const isFromA = b === 0 || (a !== 0 && this.#sequenceOf(a) > this.#sequenceOf(b));
      const reference = isFromA ? a : b;
      const sequence = this.#sequenceOf(reference);
      const chunk = this.#chunkOf(sequence);
      const slot = this.#slot(sequence);
      if (tail === null) this.#heads[into] = reference;
      else tail.chunk.next[tail.slot] = reference;
      tail = { chunk, slot };
      if (isFromA) a = chunk.next[slot] as number;
      else b = chunk.next[slot] as number;
    }
    if (tail !== null) tail.chunk.next[tail.slot] = 0;
  }

  /** Keeps the order within both chains, newest first. */
  #split(from: number, into: number): void {
    let reference = this.#heads[from] as number;
    let stayChunk: DedupeChunk | null = null;
    let staySlot = 0;
    let moveChunk: DedupeChunk | null = null;
    let moveSlot = 0;
    this.#heads[from] = 0;
    while (reference !== 0) {
      const sequence = this.#sequenceOf(reference);
      const chunk = this.#chunkOf(sequence);
      const slot = this.#slot(sequence);
      const following = chunk.next[slot] as number;
      chunk.next[slot] = 0;
      if ((chunk.hashOf(slot) & this.#level) === 0) {
        if (stayChunk === null) this.#heads[from] = reference;
        else stayChunk.next[staySlot] = reference;
        stayChunk = chunk;
        staySlot = slot;
      } else {
        if (moveChunk === null) this.#heads[into] = reference;
        else moveChunk.next[moveSlot] = reference;
        moveChunk = chunk;
        moveSlot = slot;
      }
      reference = following;
    }
  }
}
