/**
 * Segments that are prepared in the background: filled with zeros and synced, so that an append
 * does not wait for a new file and its fdatasync does not commit metadata. One is for the next
 * roll. The other is a reserve, with which deletions can be journaled on a full disk.
 */

import { feature as faultPoint } from "bun:bundle";
import { type Disk, DiskFailure, type DiskFile, DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import { SEGMENT_CAPACITY_MAX, SEGMENT_HEADER_BYTES, segmentPath } from "./segment.ts";

/** The size of the very first segment, which a start waits for: 3 ms on the development machine. */
const FIRST_SEGMENT_BYTES = 4 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;
const PAGE_BYTES = 4096;
/** A segment takes at most this fraction of the free space. */
const FREE_FRACTION = 1 / 16;
/** A smaller segment would roll with every batch. */
const USEFUL_BYTES_MIN = 64 * 1024;

/** Thrown if no segment could be prepared. Nothing was written, and the append may be repeated. */
export class JournalFull extends DiskFull {
  override readonly name = "JournalFull";
}

const zeros = new Uint8Array(PIECE_BYTES);

export type PreallocatedSegment = {
  readonly id: number;
  readonly path: string;
  readonly file: DiskFile;
  readonly size: number;
};

export type PreallocatedOptions = {
  readonly disk: Disk;
  readonly directory: string;
  readonly segmentBytes: number;
  /** Free bytes to leave for checkpoints and partition logs. */
  readonly reserveBytes: number;
  readonly count: number;
  /** Called when the preparation failed for lack of space, and when it succeeds again. */
  readonly onSpaceLow: (low: boolean) => void;
  /** Called once, when the preparation failed for another reason. */
  readonly onFailure: (failure: unknown) => void;
};

export class PreallocatedSegments {
  readonly #options: PreallocatedOptions;
  readonly #ready: PreallocatedSegment[];
  #nextId: number;
  #work: Promise<void> | null = null;
  #spaceLow = false;
  #closing = false;

  /**
   * @param ready preallocated segments found by recovery, in order of their ids, up to `nextId −
   * 1`.
   */
  constructor(options: PreallocatedOptions, ready: readonly PreallocatedSegment[], nextId: number) {
    this.#options = options;
    this.#ready = [...ready];
    this.#nextId = nextId;
  }

  get spaceLow(): boolean {
    return this.#spaceLow;
  }

  /** Returns the segment that follows the last one in the journal, if it is ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /** Creates the first segment of an empty journal. It leaves no space for other users of the disk. */
  async prepareFirst(): Promise<void> {
    if (this.#work !== null) await this.#work;
    if (this.#ready.length > 0) return;
    await this.#prepare(Math.min(FIRST_SEGMENT_BYTES, await this.#sizeForFreeSpace()), 0);
  }

  /** Prepares missing segments in the background. */
  refill(): void {
    if (this.#work !== null || this.#closing || this.#ready.length >= this.#options.count) return;
    this.#work = this.#fill().finally(() => {
      this.#work = null;
    });
  }

  /** Retries after a lack of space. @returns whether the preallocated segments are complete. */
  async retry(): Promise<boolean> {
    if (this.#work !== null) await this.#work;
    this.refill();
    if (this.#work !== null) await this.#work;
    return this.#ready.length >= this.#options.count;
  }

  /**
   * @param bytes the size that the segment must hold, including its header.
   * @throws JournalFull if there is none and none can be created; nothing has changed then.
   */
  async take(bytes: number): Promise<PreallocatedSegment> {
    if (this.#ready.length === 0) await this.retry();
    const next = this.#ready[0];
    if (next === undefined) {
      throw new JournalFull(`no space for another segment in ${this.#options.directory}`);
    }
    const fitting = next.size >= bytes ? next : await this.#grow(next, bytes);
    const taken = this.#ready.shift();
    assert(taken === next, "preallocated segments are taken one at a time");
    return fitting;
  }

  /** Ends the background work after the current piece and closes the files. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#work !== null) await this.#work;
    for (const next of this.#ready) await next.file.close();
    this.#ready.length = 0;
  }

  async #fill(): Promise<void> {
    try {
      while (this.#ready.length < this.#options.count && !this.#closing) {
        const size = await this.#sizeForFreeSpace();
        if (!(await this.#prepare(size, this.#options.reserveBytes))) return;
      }
      this.#report(false);
    } catch (failure) {
      if (failure instanceof DiskFull) this.#report(true);
      else this.#options.onFailure(failure);
    }
  }

  async #sizeForFreeSpace(): Promise<number> {
    const { freeBytes: free } = await this.#options.disk.space();
    const part = Math.floor((free * FREE_FRACTION) / PAGE_BYTES) * PAGE_BYTES;
    return Math.min(this.#options.segmentBytes, Math.max(part, USEFUL_BYTES_MIN));
  }

  /** @returns false if `close` stopped it. */
  async #prepare(size: number, reserveBytes: number): Promise<boolean> {
    const { disk, directory } = this.#options;
    const { freeBytes: free } = await disk.space();
    if (free < size + reserveBytes) throw new DiskFull(`${free} bytes free, ${reserveBytes} kept`);
    const id = this.#nextId;
    const path = segmentPath(directory, id);
    const file = await disk.open(path, "create");
    let done = false;
    try {
      done = await this.#fillZeros(file, 0, size);
    } finally {
      if (!done) await this.#discard(path, file);
    }
    if (!done) return false;
    if (!faultPoint("dir-fsync-missing")) await disk.syncDirectory(directory);
    this.#nextId = id + 1;
    this.#ready.push({ id, path, file, size });
    return true;
  }

  /** An entry that is larger than a segment gets a segment that is as large as needed. */
  async #grow(next: PreallocatedSegment, bytes: number): Promise<PreallocatedSegment> {
    const size = Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
    assert(size <= SEGMENT_CAPACITY_MAX, "a batch fits into a segment");
    assert(size >= SEGMENT_HEADER_BYTES, "a segment has a header");
    try {
      for (let at = next.size; at < size; at += PIECE_BYTES) {
        await next.file.write(at, zeros.subarray(0, Math.min(PIECE_BYTES, size - at)));
      }
      await next.file.sync();
    } catch (failure) {
      if (!(failure instanceof DiskFull)) throw failure;
      // A file longer than its capacity is harmless: the remainder is zeros.
      this.#report(true);
      throw new JournalFull(`no space for ${bytes} bytes in ${next.path}`, { cause: failure });
    }
    return { ...next, size };
  }

  async #fillZeros(file: DiskFile, from: number, size: number): Promise<boolean> {
    for (let at = from; at < size; at += PIECE_BYTES) {
      if (this.#closing) return false;
      await file.write(at, zeros.subarray(0, Math.min(PIECE_BYTES, size - at)));
      // Writes in pieces, so that concurrent appends do not wait behind a long disk queue.
      await file.sync();
    }
    return true;
  }

  /**
   * Removes a partly written segment to free its space. It is not durable, so an error here loses
   * nothing.
   */
  async #discard(path: string, file: DiskFile): Promise<void> {
    try {
      await file.close();
      await this.#options.disk.remove(path);
      await this.#options.disk.syncDirectory(this.#options.directory);
    } catch (failure) {
      if (!(failure instanceof DiskFailure)) throw failure;
      this.#options.onFailure(failure);
    }
  }

  #report(low: boolean): void {
    if (this.#spaceLow === low) return;
    this.#spaceLow = low;
    this.#options.onSpaceLow(low);
  }
}
