/**
 * Segments made ready in the background: full of real zeros and synced, so that an append neither
 * waits for a new file nor makes fdatasync commit metadata. One is for the next roll; the other is
 * the reserve with which a full disk can still journal deletions.
 */

import { feature as faultPoint } from "bun:bundle";
import { type Disk, DiskFailure, type DiskFile, DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import { SEGMENT_CAPACITY_MAX, SEGMENT_HEADER_BYTES, segmentPath } from "./segment.ts";

/** The very first segment, for which a start waits: 3 ms here. */
const FIRST_SEGMENT_BYTES = 4 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;
const PAGE_BYTES = 4096;
/** A segment never takes more than this part of what is free. */
const FREE_FRACTION = 1 / 16;
/** A smaller segment would roll at every batch. */
const USEFUL_BYTES_MIN = 64 * 1024;

/** No segment could be prepared. Nothing was written: the append may be tried again. */
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
  /** Free bytes that are left to checkpoints and partition logs. */
  readonly reserveBytes: number;
  readonly count: number;
  /** Called when preparing has failed for want of space, and when it works again. */
  readonly onSpaceLow: (low: boolean) => void;
  /** Called once, when preparing has failed for another reason. */
  readonly onFailure: (failure: unknown) => void;
};

export class PreallocatedSegments {
  readonly #options: PreallocatedOptions;
  readonly #ready: PreallocatedSegment[];
  #nextId: number;
  #work: Promise<void> | null = null;
  #spaceLow = false;
  #closing = false;

  /** @param ready preallocated segments found by recovery, in order of their ids, up to `nextId − 1`. */
  constructor(options: PreallocatedOptions, ready: readonly PreallocatedSegment[], nextId: number) {
    this.#options = options;
    this.#ready = [...ready];
    this.#nextId = nextId;
  }

  get spaceLow(): boolean {
    return this.#spaceLow;
  }

  /** The segment that follows the last one in the journal, if it is ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /** Makes the first segment of an empty journal. */
  async prepareFirst(): Promise<void> {
    if (this.#ready.length > 0) return;
    await this.#prepare(Math.min(FIRST_SEGMENT_BYTES, await this.#sizeForFreeSpace()), 0);
  }

  /** Prepares in the background what is missing. */
  refill(): void {
    if (this.#work !== null || this.#closing || this.#ready.length >= this.#options.count) return;
    this.#work = this.#fill().finally(() => {
      this.#work = null;
    });
  }

  /** Tries again after a lack of space. @returns whether the preallocated segments are complete. */
  async retry(): Promise<boolean> {
    if (this.#work !== null) await this.#work;
    this.refill();
    if (this.#work !== null) await this.#work;
    return this.#ready.length >= this.#options.count;
  }

  /**
   * @param bytes that the segment must hold, its header included.
   * @throws JournalFull if there is none and none can be made; nothing has changed then.
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

  /** Ends the background work at the next piece and closes the files. */
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

  /** @returns false if it was given up because of `close`. */
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

  /** An entry larger than a segment: its segment is made as large as needed. */
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
      // Longer than its size says is harmless: the rest is zeros.
      this.#report(true);
      throw new JournalFull(`no space for ${bytes} bytes in ${next.path}`, { cause: failure });
    }
    return { ...next, size };
  }

  async #fillZeros(file: DiskFile, from: number, size: number): Promise<boolean> {
    for (let at = from; at < size; at += PIECE_BYTES) {
      if (this.#closing) return false;
      await file.write(at, zeros.subarray(0, Math.min(PIECE_BYTES, size - at)));
      // Piece by piece, so that the queue of the disk stays short for the appends beside it.
      await file.sync();
    }
    return true;
  }

  /** A half-made preallocated segment gives its space back. It is not durable, so failing here loses nothing. */
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
