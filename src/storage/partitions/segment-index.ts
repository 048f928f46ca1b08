import { crc32 } from "../../lib/crc32.ts";

/** Stored bytes between two points of the index, which is the most that a lookup walks. */
export const INDEX_INTERVAL_BYTES = 32 * 1024;

const STRIDE = 4;
const MAGIC = 0x58495941; // "AYIX"
const VERSION = 1;
const HEADER_BYTES = 24;
const EMPTY = new Float64Array(0);

/**
 * Points of a segment at batch starts: offset, position, timestamp, and the logical bytes of all
 * records before it. The start of the segment is not a point: a search that finds no point begins
 * there.
 */
export class SegmentIndex {
  #points = EMPTY;
  #count = 0;
  /** The CRC-32 of the first `#crcCount` points. Points are only added after them, or removed. */
  #crc: number;
  #crcCount = 0;

  /** @param crcBefore the CRC-32 of the points before these, in an index that is loaded later. */
  constructor(crcBefore = 0) {
    this.#crc = crcBefore;
  }

  get count(): number {
    return this.#count;
  }

  add(offset: number, position: number, timestampMs: number, bytesBefore: number): void {
    const at = this.#count * STRIDE;
    if (at === this.#points.length) this.#grow(Math.max(8, this.#count * 2));
    this.#points[at] = offset;
    this.#points[at + 1] = position;
    this.#points[at + 2] = timestampMs;
    this.#points[at + 3] = bytesBefore;
    this.#count++;
  }

  offset(point: number): number {
    return this.#points[point * STRIDE] ?? -1;
  }

  position(point: number): number {
    return this.#points[point * STRIDE + 1] ?? -1;
  }

  bytesBefore(point: number): number {
    return this.#points[point * STRIDE + 3] ?? -1;
  }

  /** Returns the last point at or before `offset`, or -1. */
  atOffset(offset: number): number {
    return this.#lastBelow(0, offset + 1);
  }

  /** Returns the last point whose batch is older than `timestampMs`, or -1. */
  beforeTime(timestampMs: number): number {
    return this.#lastBelow(2, timestampMs);
  }

  /** Returns the last point with fewer than `bytes` logical bytes before it, or -1. */
  beforeBytes(bytes: number): number {
    return this.#lastBelow(3, bytes);
  }

  /**
   * Returns the CRC-32 of all points. A checkpoint records it, so that an `.idx` file from before a
   * crash is not taken for the index of data that was written later.
   */
  get crc(): number {
    if (this.#crcCount < this.#count) {
      const from = this.#crcCount * STRIDE * 8;
      const length = this.#count * STRIDE * 8 - from;
      this.#crc = crc32(new Uint8Array(this.#points.buffer, from, length), this.#crc);
      this.#crcCount = this.#count;
    }
    return this.#crc;
  }

  /** Appends the points of `later`, which must all be after those of this index. */
  extend(later: SegmentIndex): void {
    const needed = this.#count + later.#count;
    if (needed * STRIDE > this.#points.length) this.#grow(needed);
    this.#points.set(later.#points.subarray(0, later.#count * STRIDE), this.#count * STRIDE);
    this.#count = needed;
  }

  /** Removes the points at and after `position`. */
  cutAt(position: number): void {
    this.#count = this.#lastBelow(1, position) + 1;
    this.#crcCount = 0;
    this.#crc = 0;
  }

  /** Columns do not decrease, so the points below `limit` are a prefix. */
  #lastBelow(column: number, limit: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle * STRIDE + column] ?? 0) < limit) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #grow(points: number): void {
    const bigger = new Float64Array(points * STRIDE);
    bigger.set(this.#points.subarray(0, this.#count * STRIDE));
    this.#points = bigger;
  }

  /**
   * The content of an `.idx` file:
   *
   *     0  u32  magic "AYIX"            16  u64  base offset of the segment
   *     4  u32  version                 24       points: offset, position, timestamp and
   *     8  u32  seed of the partition            logical bytes before, 8 bytes each
   *    12  u32  number of points        end u32  CRC-32 of everything before
   */
  encode(seed: number, baseOffset: number): Uint8Array {
    const numbers = this.#count * STRIDE;
    const bytes = new Uint8Array(HEADER_BYTES + numbers * 8 + 4);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, VERSION, true);
    view.setUint32(8, seed, true);
    view.setUint32(12, this.#count, true);
    view.setBigUint64(16, BigInt(baseOffset), true);
    for (let i = 0; i < numbers; i++) {
      const value = this.#points[i] ?? 0;
      const at = HEADER_BYTES + i * 8;
      view.setUint32(at, value >>> 0, true);
      view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
    }
    const end = bytes.length - 4;
    view.setUint32(end, crc32(bytes.subarray(0, end)), true);
    return bytes;
  }

  /**
   * Returns null unless the bytes are the complete index of this segment. It can be rebuilt, so
   * this is not an error.
   */
  static decode(bytes: Uint8Array, seed: number, baseOffset: number): SegmentIndex | null {
    if (bytes.length < HEADER_BYTES + 4) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = bytes.length - 4;
    if (view.getUint32(end, true) !== crc32(bytes.subarray(0, end))) return null;
    if (view.getUint32(0, true) !== MAGIC || view.getUint32(4, true) !== VERSION) return null;
    const count = view.getUint32(12, true);
    if (view.getUint32(8, true) !== seed || end !== HEADER_BYTES + count * STRIDE * 8) return null;
    if (Number(view.getBigUint64(16, true)) !== baseOffset) return null;
    const index = new SegmentIndex();
    index.#grow(count);
    for (let i = 0; i < count * STRIDE; i++) {
      const at = HEADER_BYTES + i * 8;
      index.#points[i] = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
    }
    index.#count = count;
    return index;
  }
}
