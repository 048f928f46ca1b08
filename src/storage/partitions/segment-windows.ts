import { PartitionDamaged } from "./damaged.ts";
import { CachedWindow, type ReadCache } from "./read-cache.ts";
import type { ReadThreads } from "./read-threads.ts";
import type { SegmentIndex } from "./segment-index.ts";
import type { SegmentIndexes } from "./segment-indexes.ts";
import type { SegmentReader, SegmentSlice } from "./segment-reader.ts";
import type { SegmentState } from "./segment-state.ts";
import { PartitionWindow } from "./window.ts";

/** A longer read goes to the thread pool, which costs more than several reads on this thread. */
const READ_BYTES_MAX = 64 * 1024;

/** The part of a partition log that its windows need. */
export type WindowOwner = { readonly seed: number; readonly deleted: boolean };

/** The remainder of a read: records and logical bytes from `offset` on. */
export type Need = { readonly offset: number; readonly records: number; readonly bytes: number };

/** Windows of segment files, from the cache or from the file. */
export class SegmentWindows {
  readonly #reader: SegmentReader;
  readonly #indexes: SegmentIndexes;
  readonly #cache: ReadCache;
  readonly #threads: ReadThreads;
  /** Reads in progress, so that readers of one place wait for one read. They never reject. */
  readonly #reading = new Map<string, Promise<unknown>>();

  /** @param threads if there are none, this thread reads. */
  constructor(
    reader: SegmentReader,
    indexes: SegmentIndexes,
    cache: ReadCache,
    threads: ReadThreads,
  ) {
    this.#reader = reader;
    this.#indexes = indexes;
    this.#cache = cache;
    this.#threads = threads;
  }

  /** Returns a window that begins at or before `offset` and contains it, or null. */
  cached(segment: SegmentState, seed: number, offset: number): PartitionWindow | null {
    const window = this.#cache.find(segment, offset);
    if (window === null) return null;
    this.#cache.hits++;
    return inMemory(window, seed, offset);
  }

  /**
   * Reads the part of a segment that contains `need.offset`.
   *
   * @param limit the end of the part of the segment that is in the file.
   * @throws PartitionDamaged
   */
  async read(
    segment: SegmentState,
    owner: WindowOwner,
    need: Need,
    limit: number,
  ): Promise<PartitionWindow> {
    const index = await this.#indexes.get(segment, owner.seed);
    let slice = this.#sliceOf(segment, index, need, limit);
    const key = `${segment.label} ${slice.position}`;
    const other = this.#reading.get(key);
    if (other !== undefined) await other;
    const cached = this.cached(segment, owner.seed, need.offset);
    if (cached !== null) return cached;
    if (other !== undefined) slice = this.#sliceOf(segment, index, need, limit);
    const reading = this.#fromFile(segment, owner, slice, need.offset);
    const settled = reading.catch(() => null).then(() => this.#reading.delete(key));
    this.#reading.set(key, settled);
    return await reading;
  }

  /** From the last known batch start up to the batch start at which the need is satisfied. */
  #sliceOf(segment: SegmentState, index: SegmentIndex, need: Need, limit: number): SegmentSlice {
    const point = index.atOffset(need.offset);
    let position = point < 0 ? 0 : index.position(point);
    let offset = point < 0 ? segment.baseOffset : index.offset(point);
    const before = this.#cache.before(segment, need.offset);
    if (before !== null && before.endPosition > position) {
      position = before.endPosition;
      offset = before.endOffset;
    }
    const top = Math.min(limit, this.#cache.after(segment, need.offset)?.position ?? limit);
    const bytesBefore = point < 0 ? segment.bytesBefore : index.bytesBefore(point);
    const isEnough = (at: number): boolean =>
      index.offset(at) >= need.offset + need.records ||
      index.bytesBefore(at) - bytesBefore > need.bytes;
    const end = endOf(index, point + 1, position, top, isEnough);
    return { position, offset, bytes: end - position, limit };
  }

  async #fromFile(
    segment: SegmentState,
    owner: WindowOwner,
    slice: SegmentSlice,
    offset: number,
  ): Promise<PartitionWindow> {
    this.#cache.misses++;
    const read = await this.#byThread(segment, owner.seed, slice, offset);
    if (read !== null) return this.#kept(segment, owner, read, offset);
    const window = await this.#reader.window(segment, owner.seed, slice);
    const { bytes } = window;
    const whole = verified(window, slice);
    if (whole !== null && whole.endOffset > offset) {
      return this.#kept(segment, owner, whole, offset);
    }
    // Damage elsewhere in the window does not concern the reader.
    const source = { seed: owner.seed, file: segment.label, position: slice.position };
    const checked = new PartitionWindow(bytes, 0, bytes.length, slice.offset, source);
    if (checked.seek(offset)) return checked;
    throw checked.damaged("the segment ends early");
  }

  /** Adds a verified window to the cache, if it still belongs to its log. */
  #kept(
    segment: SegmentState,
    owner: WindowOwner,
    read: CachedWindow,
    offset: number,
  ): PartitionWindow {
    const isGone = owner.deleted || segment.trimmed;
    const kept = isGone ? this.#cache.refuse(read) : this.#cache.add(segment, read);
    return inMemory(kept, owner.seed, offset);
  }

  /**
   * Returns a window that contains `wanted`, as another thread has read and verified it.
   *
   * @returns null if this thread has to read, also to find out what is damaged.
   */
  async #byThread(
    segment: SegmentState,
    seed: number,
    { position, offset, bytes: length }: SegmentSlice,
    wanted: number,
  ): Promise<CachedWindow | null> {
    const threads = this.#threads;
    const bytes = threads.isEmpty ? null : this.#cache.memory(length);
    if (bytes === null) return null;
    const endOffset = await this.#reader
      .use(segment, ({ descriptor }, start) =>
        descriptor === null
          ? Promise.resolve(null)
          : threads.read({ descriptor, position: start + position, bytes, seed, offset }),
      )
      .catch(() => null);
    const window = new CachedWindow(bytes, position, offset, endOffset ?? offset);
    if (window.endOffset > wanted) return window;
    this.#cache.refuse(window);
    return null;
  }
}

/** The bytes were verified, so the window does not check them again. */
function inMemory(window: CachedWindow, seed: number, offset: number): PartitionWindow {
  const { bytes, marks } = window;
  const place = marks.batchAt(window, offset);
  const source = { seed, file: null, position: 0 };
  return new PartitionWindow(bytes, place.at, bytes.length, place.offset, source, marks);
}

/** Verifies all batches of a window. @returns null if one is damaged. */
function verified(
  window: PartitionWindow,
  { position, offset }: SegmentSlice,
): CachedWindow | null {
  try {
    while (window.step()) window.checkPayload();
  } catch (error) {
    if (error instanceof PartitionDamaged) return null;
    throw error;
  }
  const { bytes, at } = window;
  const whole = at === bytes.length ? bytes : bytes.subarray(0, at);
  return new CachedWindow(whole, position, offset, window.offset);
}

/**
 * Returns the first batch start after `start` where a read may end: where it has enough, or before it
 * would be longer than `READ_BYTES_MAX`.
 *
 * @param point the first point of the index to look at.
 * @param top the read must not go beyond.
 */
function endOf(
  index: SegmentIndex,
  point: number,
  start: number,
  top: number,
  isEnough: (point: number) => boolean,
): number {
  let end = start;
  for (let next = point; end < top; next++) {
    const position = next < index.count ? Math.min(index.position(next), top) : top;
    if (position <= start) continue;
    if (end > start && position - start > READ_BYTES_MAX) break;
    end = position;
    if (next < index.count && isEnough(next)) break;
  }
  return end;
}
