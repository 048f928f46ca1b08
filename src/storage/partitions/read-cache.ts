import { type Blocks, LOCAL_BLOCKS } from "../../lib/blocks.ts";
import { Marks } from "./marks.ts";
import type { SegmentState } from "./segment-state.ts";

export const READ_CACHE_BYTES_DEFAULT = 32 * 1024 * 1024;
/** A window over this share of the cache would evict too much, so it is not cached. */
const SHARE_MAX = 1 / 8;
/** Marks, as a share of the bytes, and the objects of a window. */
const MARKS_SHARE = 1 / 32;
const OBJECT_BYTES = 256;

/** Whole batches of a segment as they were read from its file, with all checksums verified. */
export class CachedWindow {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  /** The position of the first byte in the segment. */
  readonly position: number;
  readonly marks = new Marks();

  constructor(bytes: Uint8Array, position: number, baseOffset: number, endOffset: number) {
    this.bytes = bytes;
    this.position = position;
    this.baseOffset = baseOffset;
    this.endOffset = endOffset;
  }

  get length(): number {
    return this.bytes.length;
  }

  get endPosition(): number {
    return this.position + this.bytes.length;
  }

  /** The same window in memory of `blocks`. */
  in(blocks: Blocks): CachedWindow {
    const bytes = blocks.own(this.bytes);
    return bytes === this.bytes
      ? this
      : new CachedWindow(bytes, this.position, this.baseOffset, this.endOffset);
  }

  /** The memory that it takes. */
  get cost(): number {
    // A window may be a part of the buffer that was read, which stays as a whole.
    return costOf(this.bytes.buffer.byteLength);
  }
}

const costOf = (bytes: number): number => Math.ceil(bytes * (1 + MARKS_SHARE)) + OBJECT_BYTES;

/**
 * Windows of segment files in memory, for all partitions of a shard, within one budget. The least
 * recently used ones are dropped. Windows of a segment do not overlap.
 *
 * Batches in a file never change, so a window is right as long as its segment belongs to its log.
 * Only readers use it: a scrub and a repair read the file.
 */
export class ReadCache {
  readonly limitBytes: number;
  usedBytes = 0;
  hits = 0;
  misses = 0;
  /** The windows of a segment, by offset. */
  readonly #segments = new Map<SegmentState, CachedWindow[]>();
  /** In order of use, the least recent first. */
  readonly #order = new Map<CachedWindow, SegmentState>();
  #newest: CachedWindow | null = null;
  readonly #blocks: Blocks;

  /** @param blocks the memory of all windows. */
  constructor(limitBytes = READ_CACHE_BYTES_DEFAULT, blocks = LOCAL_BLOCKS) {
    this.limitBytes = limitBytes;
    this.#blocks = blocks;
  }

  /** Returns the window that contains `offset`, or null. */
  find(segment: SegmentState, offset: number): CachedWindow | null {
    const window = this.before(segment, offset);
    if (window === null || window.endOffset <= offset) return null;
    if (window !== this.#newest) this.#use(window, segment);
    return window;
  }

  /** Returns the last window that begins at or before `offset`, or null. */
  before(segment: SegmentState, offset: number): CachedWindow | null {
    const windows = this.#segments.get(segment);
    return windows?.[countUpTo(windows, offset) - 1] ?? null;
  }

  /** Returns the first window that begins after `offset`, or null. */
  after(segment: SegmentState, offset: number): CachedWindow | null {
    const windows = this.#segments.get(segment);
    return windows?.[countUpTo(windows, offset)] ?? null;
  }

  /**
   * Adds a window, unless it is too large or overlaps one that was added meanwhile.
   *
   * @returns the window to read from: the one that was added, or the given one.
   */
  add(segment: SegmentState, read: CachedWindow): CachedWindow {
    if (read.cost > this.limitBytes * SHARE_MAX) return this.refuse(read);
    const { baseOffset, endOffset } = read;
    const windows = this.#segments.get(segment) ?? [];
    const at = countUpTo(windows, baseOffset);
    if ((windows[at - 1]?.endOffset ?? 0) > baseOffset) return this.refuse(read);
    if ((windows[at]?.baseOffset ?? endOffset) < endOffset) return this.refuse(read);
    const window = read.in(this.#blocks);
    windows.splice(at, 0, window);
    this.#segments.set(segment, windows);
    this.#order.set(window, segment);
    this.#newest = window;
    this.usedBytes += window.cost;
    this.#shrink();
    return window;
  }

  /**
   * Returns memory for a window that is read into it, or null if the window would be too large. Either
   * `add` or `refuse` must follow.
   */
  memory(bytes: number): Uint8Array | null {
    return costOf(bytes) > this.limitBytes * SHARE_MAX ? null : this.#blocks.allocate(bytes);
  }

  /** Returns the window, whose memory the cache gives up. */
  refuse(read: CachedWindow): CachedWindow {
    this.#blocks.free(read.bytes);
    return read;
  }

  /** Drops the windows of a segment that was trimmed, deleted or repaired. */
  forget(segment: SegmentState): void {
    const windows = this.#segments.get(segment);
    if (windows === undefined) return;
    for (const window of windows) this.#left(window);
    this.#segments.delete(segment);
  }

  #use(window: CachedWindow, segment: SegmentState): void {
    this.#order.delete(window);
    this.#order.set(window, segment);
    this.#newest = window;
  }

  #shrink(): void {
    for (const [window, segment] of this.#order) {
      if (this.usedBytes <= this.limitBytes) return;
      this.#drop(window, segment);
    }
  }

  #drop(window: CachedWindow, segment: SegmentState): void {
    const windows = this.#segments.get(segment) ?? [];
    windows.splice(countUpTo(windows, window.baseOffset) - 1, 1);
    if (windows.length === 0) this.#segments.delete(segment);
    this.#left(window);
  }

  #left(window: CachedWindow): void {
    this.#order.delete(window);
    if (this.#newest === window) this.#newest = null;
    this.usedBytes -= window.cost;
    this.#blocks.free(window.bytes);
  }
}

/** Returns the number of windows that begin at or before `offset`. */
function countUpTo(windows: readonly CachedWindow[], offset: number): number {
  let low = 0;
  let high = windows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((windows[middle] as CachedWindow).baseOffset <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
