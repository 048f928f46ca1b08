import { assert } from "../../lib/assert.ts";
import { Marks } from "./marks.ts";
import type { SegmentState } from "./segment-state.ts";
import type { TailBudget } from "./tail-budget.ts";

/**
 * Sizes of chunks: an idle partition costs the minimum, a busy one writes its file in pieces of the
 * maximum.
 */
const CHUNK_BYTES_MIN = 256;
const CHUNK_BYTES_WARM = 64 * 1024;
export const CHUNK_BYTES_MAX = 256 * 1024;

/** Whole batches of one segment, contiguous in memory. Bytes below `length` never change. */
export class TailChunk {
  readonly owner: Tail;
  readonly segment: SegmentState;
  /** The position of the first byte in the segment. */
  readonly position: number;
  readonly baseOffset: number;
  readonly bytesBefore: number;
  readonly firstTimestampMs: number;
  bytes: Uint8Array;
  length = 0;
  #marks: Marks | null = null;
  /** Neighbors in the queue of the budget. */
  older: TailChunk | null = null;
  newer: TailChunk | null = null;

  constructor(owner: Tail, segment: SegmentState, at: TailPlace, bytes: Uint8Array) {
    this.owner = owner;
    this.segment = segment;
    this.position = segment.length;
    this.baseOffset = at.endOffset;
    this.bytesBefore = at.endBytes;
    this.firstTimestampMs = at.lastTimestampMs;
    this.bytes = bytes;
  }

  get marks(): Marks {
    this.#marks ??= new Marks();
    return this.#marks;
  }

  /** The position in the partition's stream of stored bytes. */
  get start(): number {
    return this.segment.start + this.position;
  }

  get end(): number {
    return this.segment.start + this.position + this.length;
  }
}

/** The end of a partition, with the timestamp of the next append. */
export type TailPlace = {
  readonly endOffset: number;
  readonly lastTimestampMs: number;
  readonly endBytes: number;
};

/**
 * The newest stored bytes of a partition, in memory and without a gap up to its end. Bytes that are
 * not in the file yet are retained. Others are dropped, oldest first, when the budget requires it.
 */
export class Tail {
  readonly #budget: TailBudget;
  chunks: TailChunk[] = [];
  /** The end of the flushed bytes, in the partition's stream of stored bytes. */
  flushedTo: number;

  constructor(budget: TailBudget, flushedTo: number) {
    this.#budget = budget;
    this.flushedTo = flushedTo;
  }

  /** Returns a chunk of `segment` with space for `length` more bytes at its end. */
  room(segment: SegmentState, length: number, place: TailPlace): TailChunk {
    const last = this.chunks[this.chunks.length - 1];
    if (last === undefined || last.segment !== segment)
      return this.#open(segment, length, place, last);
    const needed = last.length + length;
    if (needed <= last.bytes.length) return last;
    if (needed > CHUNK_BYTES_MAX) return this.#open(segment, length, place, last);
    const { blocks } = this.#budget;
    const smaller = last.bytes;
    const bigger = blocks.allocate(Math.min(CHUNK_BYTES_MAX, capacityFor(needed)));
    bigger.set(smaller.subarray(0, last.length));
    this.#budget.resized(bigger.length - smaller.length);
    last.bytes = bigger;
    blocks.free(smaller);
    return last;
  }

  /** Returns the chunk that contains `offset`, or null if the offset is before the tail. */
  at(offset: number): TailChunk | null {
    const { chunks } = this;
    const newest = chunks[chunks.length - 1];
    if (newest !== undefined && newest.baseOffset <= offset) return newest;
    let low = 0;
    let high = chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((chunks[middle]?.baseOffset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return chunks[low - 1] ?? null;
  }

  /** Returns the chunk of a segment that is in memory as a whole and small enough for one chunk. */
  chunkOf(segment: SegmentState): TailChunk {
    const chunk = this.chunks.find((one) => one.segment === segment);
    assert(chunk?.length === segment.length, "the segment is one chunk of the tail");
    return chunk;
  }

  /** Returns the first chunk with bytes that are not in the file. */
  unflushed(): TailChunk | null {
    for (const chunk of this.chunks) if (chunk.end > this.flushedTo) return chunk;
    return null;
  }

  /** Drops the oldest chunk if all of it is in the file. */
  dropOldest(): boolean {
    const oldest = this.chunks[0];
    if (oldest === undefined || oldest.end > this.flushedTo) return false;
    this.chunks.shift();
    this.#budget.dropped(oldest);
    return true;
  }

  /** Drops chunks of trimmed segments, as far as they are in the file. */
  dropBefore(baseOffset: number): void {
    while ((this.chunks[0]?.segment.baseOffset ?? baseOffset) < baseOffset) {
      if (!this.dropOldest()) return;
    }
  }

  /** Drops everything, flushed or not, because the partition was deleted. */
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
    const bytes = this.#budget.blocks.allocate(capacity);
    const chunk = new TailChunk(this, segment, place, bytes);
    this.chunks.push(chunk);
    this.#budget.added(chunk);
    return chunk;
  }
}

/** Returns a power of two, or the exact size if that exceeds the maximum of a chunk. */
function capacityFor(length: number): number {
  if (length >= CHUNK_BYTES_MAX) return length;
  let capacity = CHUNK_BYTES_MIN;
  while (capacity < length) capacity *= 2;
  return capacity;
}
