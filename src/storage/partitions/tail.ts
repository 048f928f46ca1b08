import type { SegmentState } from "./segment-state.ts";
import type { TailBudget } from "./tail-budget.ts";

/** An idle partition costs this much, a busy one writes its file in pieces of the other size. */
const CHUNK_BYTES_MIN = 1024;
const CHUNK_BYTES_WARM = 64 * 1024;
export const CHUNK_BYTES_MAX = 256 * 1024;

/** Whole batches of one segment, back to back in memory. Bytes below `length` never change. */
export class TailChunk {
  readonly owner: Tail;
  readonly segment: SegmentState;
  /** Of the first byte, in the segment. */
  readonly position: number;
  readonly baseOffset: number;
  readonly bytesBefore: number;
  readonly firstTimestampMs: number;
  bytes: Uint8Array;
  length = 0;
  /** A batch start that the last read left behind; reads mostly go on where they stopped. */
  hintOffset: number;
  hintAt = 0;
  /** Neighbours in the budget's queue. */
  older: TailChunk | null = null;
  newer: TailChunk | null = null;

  constructor(owner: Tail, segment: SegmentState, at: TailPlace, capacity: number) {
    this.owner = owner;
    this.segment = segment;
    this.position = segment.length;
    this.baseOffset = at.endOffset;
    this.bytesBefore = at.endBytes;
    this.firstTimestampMs = at.lastTimestampMs;
    this.hintOffset = at.endOffset;
    this.bytes = new Uint8Array(capacity);
  }

  /** In the partition's stream of stored bytes. */
  get start(): number {
    return this.segment.start + this.position;
  }

  get end(): number {
    return this.segment.start + this.position + this.length;
  }
}

/** Where a partition ends, with the timestamp of what is about to be appended. */
export type TailPlace = {
  readonly endOffset: number;
  readonly lastTimestampMs: number;
  readonly endBytes: number;
};

/**
 * The newest stored bytes of a partition, in memory and without a gap up to its end. What is not
 * yet in the file stays; the rest is dropped, oldest first, when the budget wants it.
 */
export class Tail {
  readonly #budget: TailBudget;
  chunks: TailChunk[] = [];
  /** End of what is in the file, in the partition's stream of stored bytes. */
  flushedTo: number;

  constructor(budget: TailBudget, flushedTo: number) {
    this.#budget = budget;
    this.flushedTo = flushedTo;
  }

  /** A chunk of `segment` with room for `length` more bytes at its end. */
  room(segment: SegmentState, length: number, place: TailPlace): TailChunk {
    const last = this.chunks[this.chunks.length - 1];
    if (last === undefined || last.segment !== segment)
      return this.#open(segment, length, place, last);
    const needed = last.length + length;
    if (needed <= last.bytes.length) return last;
    if (needed > CHUNK_BYTES_MAX) return this.#open(segment, length, place, last);
    const bigger = new Uint8Array(Math.min(CHUNK_BYTES_MAX, capacityFor(needed)));
    bigger.set(last.bytes.subarray(0, last.length));
    this.#budget.resized(bigger.length - last.bytes.length);
    last.bytes = bigger;
    return last;
  }

  /** The chunk that holds `offset`, or null if it lies before the tail. */
  at(offset: number): TailChunk | null {
    const { chunks } = this;
    for (let i = chunks.length - 1; i >= 0; i--) {
      const chunk = chunks[i];
      if (chunk !== undefined && chunk.baseOffset <= offset) return chunk;
    }
    return null;
  }

  /** The first chunk with bytes that are not in the file. */
  unflushed(): TailChunk | null {
    for (const chunk of this.chunks) if (chunk.end > this.flushedTo) return chunk;
    return null;
  }

  /** Drops the oldest chunk if the file has all of it. */
  dropOldest(): boolean {
    const oldest = this.chunks[0];
    if (oldest === undefined || oldest.end > this.flushedTo) return false;
    this.chunks.shift();
    this.#budget.dropped(oldest);
    return true;
  }

  /** Drops chunks of trimmed segments, as far as the file has them. */
  dropBefore(baseOffset: number): void {
    while ((this.chunks[0]?.segment.baseOffset ?? baseOffset) < baseOffset) {
      if (!this.dropOldest()) return;
    }
  }

  /** Drops everything, written or not: the partition is gone. */
  clear(): void {
    for (const chunk of this.chunks) this.#budget.dropped(chunk);
    this.chunks = [];
  }

  #open(
    segment: SegmentState,
    length: number,
    place: TailPlace,
    last: TailChunk | undefined,
  ): TailChunk {
    const warm = last !== undefined && last.length >= CHUNK_BYTES_WARM;
    const capacity = Math.max(warm ? CHUNK_BYTES_WARM : CHUNK_BYTES_MIN, capacityFor(length));
    const chunk = new TailChunk(this, segment, place, capacity);
    this.chunks.push(chunk);
    this.#budget.added(chunk);
    return chunk;
  }
}

/** A power of two, except for what is larger than a chunk should be: that is taken as it is. */
function capacityFor(length: number): number {
  if (length >= CHUNK_BYTES_MAX) return length;
  let capacity = CHUNK_BYTES_MIN;
  while (capacity < length) capacity *= 2;
  return capacity;
}
