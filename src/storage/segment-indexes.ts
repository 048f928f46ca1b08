import type { Disk } from "../env/disk.ts";
import type { SegmentFiles } from "./segment-files.ts";
import { INDEX_INTERVAL_BYTES, SegmentIndex } from "./segment-index.ts";
import type { SegmentReader } from "./segment-reader.ts";
import type { SegmentState } from "./segment-state.ts";

const WALK_BYTES = 256 * 1024;

/**
 * Indexes of segments that were written before, loaded when first needed; the least recently used
 * are forgotten. An `.idx` file is a help, not a source: it is never synced, and what it lacks or
 * has wrong is made again by walking the segment's headers.
 */
export class SegmentIndexes {
  readonly #disk: Disk;
  readonly #files: SegmentFiles;
  readonly #reader: SegmentReader;
  readonly #limitPoints: number;
  #points = 0;
  /** In order of use, oldest first. */
  readonly #loaded = new Map<SegmentState, SegmentIndex>();
  readonly #loading = new Map<SegmentState, Promise<SegmentIndex>>();

  /** @param limitPoints of all loaded indexes together; 32 bytes each. */
  constructor(disk: Disk, files: SegmentFiles, reader: SegmentReader, limitPoints: number) {
    this.#disk = disk;
    this.#files = files;
    this.#reader = reader;
    this.#limitPoints = limitPoints;
  }

  /** The whole index of `segment`. */
  get(segment: SegmentState, seed: number): SegmentIndex | Promise<SegmentIndex> {
    if (segment.index !== null && segment.indexedFrom === 0) return segment.index;
    const loaded = this.#loaded.get(segment);
    if (loaded !== undefined) {
      this.#loaded.delete(segment);
      this.#loaded.set(segment, loaded);
      return loaded;
    }
    let loading = this.#loading.get(segment);
    if (loading === undefined) {
      loading = this.#load(segment, seed).finally(() => this.#loading.delete(segment));
      this.#loading.set(segment, loading);
    }
    return loading;
  }

  /** Writes the `.idx` file, which covers the first `length` bytes; those are in the file. */
  async store(segment: SegmentState, seed: number, length: number): Promise<void> {
    const index = await this.get(segment, seed);
    const bytes = index.encode(seed, segment.baseOffset, length);
    try {
      await this.#files.use(segment.indexPath, "truncate", (file) => file.write(0, bytes));
    } finally {
      await this.#files.drop(segment.indexPath);
    }
  }

  /** A sealed segment whose `.idx` is written needs no index of its own any more. */
  release(segment: SegmentState): void {
    if (segment.index === null) return;
    if (segment.indexedFrom === 0) this.#keep(segment, segment.index);
    segment.index = null;
  }

  forget(segment: SegmentState): void {
    const index = this.#loaded.get(segment);
    if (index === undefined) return;
    this.#loaded.delete(segment);
    this.#points -= index.count + 1;
  }

  #keep(segment: SegmentState, index: SegmentIndex): void {
    if (this.#loaded.has(segment)) return;
    this.#loaded.set(segment, index);
    this.#points += index.count + 1;
    for (const oldest of this.#loaded.keys()) {
      if (this.#points <= this.#limitPoints || oldest === segment) return;
      this.forget(oldest);
    }
  }

  async #load(segment: SegmentState, seed: number): Promise<SegmentIndex> {
    const until = segment.index === null ? segment.length : segment.indexedFrom;
    const file = await this.#disk.readWhole(segment.indexPath);
    const decoded = file === null ? null : SegmentIndex.decode(file, seed, segment.baseOffset);
    const index = decoded?.index ?? new SegmentIndex();
    index.cutAt(until);
    if ((decoded?.coveredBytes ?? 0) < until) await this.#walk(segment, seed, index, until);
    if (segment.index === null) {
      this.#keep(segment, index);
    } else {
      index.extend(segment.index);
      segment.index = index;
      segment.indexedFrom = 0;
    }
    return index;
  }

  /** Adds the points between the last one and `until`, from the headers of the batches there. */
  async #walk(segment: SegmentState, seed: number, index: SegmentIndex, until: number) {
    const last = index.count - 1;
    let position = last < 0 ? 0 : index.position(last);
    let offset = last < 0 ? segment.baseOffset : index.offset(last);
    let bytesBefore = last < 0 ? segment.bytesBefore : index.bytesBefore(last);
    let nextPoint = position + INDEX_INTERVAL_BYTES;
    while (position < until) {
      const slice = { position, offset, bytes: WALK_BYTES, limit: until };
      const window = await this.#reader.window(segment, seed, slice);
      while (window.step()) {
        if (window.filePosition >= nextPoint) {
          index.add(window.offset, window.filePosition, window.timestampMs, bytesBefore);
          nextPoint = window.filePosition + INDEX_INTERVAL_BYTES;
        }
        bytesBefore += window.logicalBytes;
      }
      position = window.filePosition;
      offset = window.offset;
    }
  }
}
