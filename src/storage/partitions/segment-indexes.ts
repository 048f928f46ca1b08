import { type Disk, DiskFull } from "../../env/disk.ts";
import type { SegmentFiles } from "./segment-files.ts";
import { INDEX_INTERVAL_BYTES, SegmentIndex } from "./segment-index.ts";
import type { SegmentReader } from "./segment-reader.ts";
import type { SegmentState } from "./segment-state.ts";

const WALK_BYTES = 256 * 1024;
/** A piece of a shared file is shorter than the distance of two points. */
const NO_POINTS = new SegmentIndex();

/**
 * Indexes of segments that were written earlier. They are loaded when first needed, and the least
 * recently used are dropped. An `.idx` file is only an optimization: it is never synced, and
 * missing or wrong points are rebuilt from the segment's headers.
 */
export class SegmentIndexes {
  readonly #disk: Disk;
  readonly #files: SegmentFiles;
  readonly #reader: SegmentReader;
  readonly #limitPoints: number;
  #points = 0;
  /** In order of use, the least recent first. */
  readonly #loaded = new Map<SegmentState, SegmentIndex>();
  readonly #loading = new Map<SegmentState, Promise<SegmentIndex>>();

  /** @param limitPoints the maximum number of points of all loaded indexes, at 32 bytes each. */
  constructor(disk: Disk, files: SegmentFiles, reader: SegmentReader, limitPoints: number) {
    this.#disk = disk;
    this.#files = files;
    this.#reader = reader;
    this.#limitPoints = limitPoints;
  }

  /** Returns the complete index of `segment`. */
  get(segment: SegmentState, seed: number): SegmentIndex | Promise<SegmentIndex> {
    if (segment.shared !== null) return NO_POINTS;
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

  /** Writes the `.idx` file with all current points. */
  async store(segment: SegmentState, seed: number): Promise<void> {
    const index = await this.get(segment, seed);
    await this.#write(segment, index.encode(seed, segment.baseOffset));
  }

  async #write(segment: SegmentState, bytes: Uint8Array): Promise<void> {
    try {
      await this.#files.use(segment.indexPath, "truncate", async (file) => {
        await file.write(0, bytes);
      });
    } finally {
      await this.#files.drop(segment.indexPath);
    }
  }

  /** A sealed segment whose `.idx` file is written does not need its index in memory. */
  release(segment: SegmentState): void {
    if (segment.index === null) return;
    if (segment.indexedFrom === 0) this.#keep(segment, segment.index);
    segment.fileIndexCrc = segment.index.crc;
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
    const inFile = await this.#fromFile(segment, seed, until);
    const index = inFile ?? (await this.#walk(segment, seed, until));
    if (segment.index === null) {
      if (inFile === null) await this.#rebuild(segment, index, seed);
      this.#keep(segment, index);
    } else {
      index.extend(segment.index);
      segment.index = index;
      segment.indexedFrom = 0;
    }
    return index;
  }

  /** Rewrites the `.idx` file of a sealed segment. */
  async #rebuild(segment: SegmentState, index: SegmentIndex, seed: number): Promise<void> {
    segment.fileIndexCrc = index.crc;
    try {
      await this.#write(segment, index.encode(seed, segment.baseOffset));
    } catch (error) {
      if (!(error instanceof DiskFull)) throw error;
    }
  }

  /** Null if the file does not contain the index that the checkpoint recorded. */
  async #fromFile(segment: SegmentState, seed: number, until: number) {
    const file = await this.#disk.readWhole(segment.indexPath);
    const index = file === null ? null : SegmentIndex.decode(file, seed, segment.baseOffset);
    index?.cutAt(until);
    return index?.crc === segment.fileIndexCrc ? index : null;
  }

  /** Builds the points up to `until` from the headers of the batches. */
  async #walk(segment: SegmentState, seed: number, until: number): Promise<SegmentIndex> {
    const index = new SegmentIndex();
    let position = 0;
    let offset = segment.baseOffset;
    let { bytesBefore } = segment;
    let nextPoint = INDEX_INTERVAL_BYTES;
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
    return index;
  }
}
