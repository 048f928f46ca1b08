import { assert } from "../../lib/assert.ts";
import {
  batchCount,
  batchLength,
  batchLogicalBytes,
  partitionSeed,
  stampBatch,
} from "../../record/batch-header.ts";
import { PartitionDamaged } from "./damaged.ts";
import type { FlushProgress } from "./flush-state.ts";
import { type LookupGoal, type LookupSource, lookUp } from "./lookup.ts";
import { type RawBatches, rawRange } from "./raw.ts";
import type { SegmentIndex } from "./segment-index.ts";
import type { SegmentIndexes } from "./segment-indexes.ts";
import { type SegmentRecord, SegmentState } from "./segment-state.ts";
import type { SegmentWindows } from "./segment-windows.ts";
import type { SharedFile } from "./shared-file.ts";
import type { GivenPlace } from "./shared-files.ts";
import { Tail, type TailChunk } from "./tail.ts";
import type { TailBudget } from "./tail-budget.ts";
import { PartitionPage, PartitionWindow, type Source } from "./window.ts";

/** From this size on, an active segment with trimmed records only is dropped. */
const ROLL_TRIMMED_BYTES = 1024 * 1024;

/** Maximum number of segments that are repaired for one read. */
const REPAIRS_MAX = 4;

/** State that the logs of a shard share. */
export type PartitionShared = {
  readonly segmentBytes: number;
  readonly budget: TailBudget;
  readonly windows: SegmentWindows;
  readonly indexes: SegmentIndexes;
  /** The number of the newest consistent point. */
  lastCut: number;
  /** Returns the state of the files of a partition that end at `start`. */
  newFlush(start: number, own: "none" | "empty" | "written"): FlushProgress;
  /** Called when a segment gets no more appends. */
  sealed(log: PartitionLog, segment: SegmentState): void;
  /** Called when bytes were added to the tail that are not in the file yet. */
  appended(log: PartitionLog, bytes: number): void;
  /** Repairs damaged bytes. @returns whether the read should be retried. */
  repair(damage: PartitionDamaged): Promise<boolean>;
  /** Called with segments that left the log. Their files are removed once nobody needs them. */
  trimmed(log: PartitionLog, segments: readonly SegmentState[]): void;
  sharedFile(number: number): SharedFile;
  /** Called before a parked log changes. */
  unpark(log: PartitionLog): void;
};

/** A partition as a checkpoint describes it. */
export type PartitionRecord = {
  readonly topicId: number;
  readonly partition: number;
  readonly lowWatermark: number;
  readonly endOffset: number;
  readonly endBytes: number;
  readonly lastTimestampMs: number;
  readonly segments: readonly SegmentRecord[];
};

export type PartitionSizes = {
  readonly segments: number;
  /** Counts bytes that are in files or will be written to them. */
  readonly storedBytes: number;
  readonly memoryBytes: number;
  readonly unflushedBytes: number;
};

/**
 * The stored batches of one partition. Appends go to memory only. The store writes them to segment
 * files in the background and syncs them at a checkpoint. Until then the journal has them.
 */
export class PartitionLog implements LookupSource {
  readonly topicId: number;
  readonly partition: number;
  readonly directory: string;
  readonly seed: number;
  /**
   * The number of the newest consistent point when the log was created. Only later ones can name
   * it.
   */
  readonly createdCut: number;
  readonly tail: Tail;
  segments: SegmentState[];
  lowWatermark: number;
  endOffset: number;
  /** Logical bytes of all records ever appended. */
  endBytes: number;
  lastTimestampMs: number;
  /** End positions in the stream of stored bytes: appended ≥ flushed (in `tail`) ≥ synced (in `flush`). */
  appendedTo: number;
  /** The topic was deleted: reads are refused. */
  deleted = false;
  /** The store has it as bytes, and forgets this object when nobody uses it. */
  isParked = false;
  readonly flush: FlushProgress;
  readonly #shared: PartitionShared;
  readonly #memory: Source;
  #active: SegmentState;
  /** The end of the active segment, as a checkpoint recorded it. */
  readonly restoredEnd: { readonly position: number; readonly offset: number };

  /** @param createdCut 0 if a consistent point may name the partition. */
  constructor(
    shared: PartitionShared,
    directory: string,
    record: PartitionRecord,
    createdCut = shared.lastCut,
  ) {
    this.topicId = record.topicId;
    this.partition = record.partition;
    this.directory = directory;
    this.seed = partitionSeed(record.topicId, record.partition);
    this.#memory = { seed: this.seed, file: null, position: 0 };
    this.#shared = shared;
    this.createdCut = createdCut;
    this.lowWatermark = record.lowWatermark;
    this.endOffset = record.endOffset;
    this.restoredEnd = {
      position: record.segments[record.segments.length - 1]?.length ?? 0,
      offset: record.endOffset,
    };
    this.endBytes = record.endBytes;
    this.lastTimestampMs = record.lastTimestampMs;
    let start = 0;
    this.segments = record.segments.map((one) => {
      const segment = new SegmentState(directory, start, 0, one);
      if (one.piece !== null) {
        segment.placeIn(shared.sharedFile(one.piece.file), one.piece.position);
      }
      start += one.length;
      return segment;
    });
    this.appendedTo = start;
    this.flush = shared.newFlush(start, ownFilesOf(record));
    this.tail = new Tail(shared.budget, start);
    for (const sealed of this.segments.slice(0, -1)) {
      sealed.sealed = true;
      sealed.index = null;
      sealed.indexStored = true;
    }
    const last = this.segments[this.segments.length - 1];
    this.#active = last === undefined || last.sealed ? this.#addSegment() : last;
  }

  /**
   * Appends batches as the HTTP layer encoded them. The stored copy gets its offset, timestamp and
   * checksum.
   *
   * @param baseOffset must be `endOffset`.
   * @param timestampMs must be at least that of the previous append.
   * @param count the number of records in all batches.
   * @param logicalBytes the bytes of keys and values in all batches.
   */
  append(
    batches: Uint8Array,
    baseOffset: number,
    timestampMs: number,
    count: number,
    logicalBytes: number,
  ): void {
    assert(baseOffset === this.endOffset, "appends must be dense");
    assert(timestampMs >= this.lastTimestampMs, "timestamps must not go back");
    if (this.isParked) this.#shared.unpark(this);
    const endBytes = this.endBytes + logicalBytes;
    this.lastTimestampMs = timestampMs;
    for (let at = 0; at < batches.length; ) {
      const length = batchLength(batches, at);
      const whole = length === batches.length;
      this.#store(whole ? batches : batches.subarray(at, at + length), timestampMs);
      at += length;
    }
    assert(this.endOffset === baseOffset + count, "the batches must hold `count` records");
    assert(this.endBytes === endBytes, "the batches must hold `logicalBytes`");
    this.#shared.appended(this, batches.length);
  }

  #store(batch: Uint8Array, timestampMs: number): void {
    const { length } = batch;
    let segment = this.#active;
    if (segment.length > 0 && segment.length + length > this.#shared.segmentBytes) {
      segment = this.#roll();
    }
    const chunk = this.tail.room(segment, length, this);
    const at = chunk.length;
    chunk.bytes.set(batch, at);
    stampBatch(chunk.bytes, at, this.endOffset, timestampMs, this.seed);
    chunk.length = at + length;
    segment.grow(this.endOffset, length, timestampMs, this.endBytes);
    this.appendedTo += length;
    this.endOffset += batchCount(batch, 0);
    this.endBytes += batchLogicalBytes(batch, 0);
  }

  /**
   * Returns whole batches that contain the page at `startOffset` (or at the low watermark, if that
   * is higher): up to `maxRecords` records and `maxBytes` logical bytes, but at least one record.
   *
   * @returns a promise only if a file has to be read.
   * @throws PartitionDamaged instead of returning wrong data.
   */
  read(
    startOffset: number,
    maxRecords: number,
    maxBytes: number,
  ): Uint8Array[] | Promise<Uint8Array[]> {
    const page = this.page(startOffset, maxRecords, maxBytes);
    return page instanceof Promise ? page.then(({ slices }) => slices) : page.slices;
  }

  /** As `read`, and says where in the first slice the page begins. */
  page(
    startOffset: number,
    maxRecords: number,
    maxBytes: number,
  ): PartitionPage | Promise<PartitionPage> {
    const newPage = () =>
      new PartitionPage(Math.max(startOffset, this.lowWatermark), maxRecords, maxBytes);
    const page = newPage();
    if (this.#takeFromMemory(page)) return page;
    return this.#withRepair(this.#readOn(page), () => this.#readOn(newPage()));
  }

  /** Repeats a read that met damage, as long as the repairs succeed. */
  async #withRepair<T>(first: Promise<T>, again: () => T | Promise<T>): Promise<T> {
    let attempt: T | Promise<T> = first;
    for (let repairs = 0; ; repairs++) {
      try {
        return await attempt;
      } catch (error) {
        const isDamage = error instanceof PartitionDamaged;
        if (!isDamage || repairs === REPAIRS_MAX || !(await this.#shared.repair(error)))
          throw error;
      }
      attempt = again();
    }
  }

  /**
   * Returns verified batches from the one that holds `fromOffset` up to `toOffset`, for a peer that
   * repairs its copy: at least one batch, otherwise at most `maxBytes`.
   *
   * @returns null if they are not here, because they were trimmed or are not applied yet.
   */
  rawRange(fromOffset: number, toOffset: number, maxBytes: number): Promise<RawBatches | null> {
    return rawRange(this, fromOffset, toOffset, maxBytes);
  }

  /** Returns true when the page is complete. */
  #takeFromMemory(page: PartitionPage): boolean {
    while (!page.full && page.next < this.endOffset) {
      const window = this.memoryWindow(page.next);
      if (window === null) return false;
      page.take(window);
    }
    return true;
  }

  async #readOn(page: PartitionPage): Promise<PartitionPage> {
    while (!this.#takeFromMemory(page)) {
      const window = await this.fileWindow(page.next, page.recordsLeft, page.bytesLeft);
      if (window !== null) {
        page.take(window);
      } else if (page.slices.length > 0 || this.deleted) {
        break;
      } else {
        page.next = Math.max(page.next, this.lowWatermark);
      }
    }
    return page;
  }

  memoryWindow(offset: number): PartitionWindow | null {
    const chunk = this.tail.at(offset);
    if (chunk !== null) return this.#chunkWindow(chunk, offset);
    const segment = this.segments[this.#segmentAt(offset)];
    if (segment === undefined || this.deleted) return null;
    return this.#shared.windows.cached(segment, this.seed, offset);
  }

  /**
   * Returns a window whose next batch contains `offset`, or null if the offset is no longer
   * retained. The window may have fewer records and bytes from there on than are asked for.
   */
  async fileWindow(
    offset: number,
    records: number,
    bytes: number,
  ): Promise<PartitionWindow | null> {
    const segment = this.segments[this.#segmentAt(offset)];
    if (segment === undefined || this.deleted) return null;
    segment.pin();
    try {
      const limit = Math.min(segment.length, this.tail.flushedTo - segment.start);
      return await this.#shared.windows.read(segment, this, { offset, records, bytes }, limit);
    } catch (error) {
      // The segment file was removed during the read.
      if (this.#isGone()) return null;
      throw error;
    } finally {
      segment.unpin();
    }
  }

  #isGone(): boolean {
    return this.deleted;
  }

  indexOf(segment: SegmentState): SegmentIndex | Promise<SegmentIndex> {
    return this.#shared.indexes.get(segment, this.seed);
  }

  get chunks(): readonly TailChunk[] {
    return this.tail.chunks;
  }

  /** Removes records before `lowWatermark`: whole segments, in the background. */
  trim(lowWatermark: number): void {
    assert(lowWatermark <= this.endOffset, "cannot trim what is not there");
    if (lowWatermark <= this.lowWatermark) return;
    if (this.isParked) this.#shared.unpark(this);
    this.lowWatermark = lowWatermark;
    if (lowWatermark === this.endOffset && this.#active.length >= ROLL_TRIMMED_BYTES) this.#roll();
    const first = this.#segmentAt(lowWatermark);
    if (first <= 0) return;
    const gone = this.segments.slice(0, first);
    for (const segment of gone) segment.trimmed = true;
    this.segments = this.segments.slice(first);
    this.tail.dropBefore(this.segments[0]?.baseOffset ?? 0);
    this.#shared.trimmed(this, gone);
  }

  /**
   * Returns the first retained offset whose record is not older than `timestampMs`, or the end
   * offset if all are older.
   */
  offsetAtTime(timestampMs: number): number | Promise<number> {
    return this.#lookUp({ by: "time", value: timestampMs });
  }

  /**
   * Returns the logical bytes of all records ever appended before `offset`.
   *
   * @throws OffsetTrimmed if the segment of `offset` is gone. Segments from the low watermark on
   * exist.
   */
  bytesBefore(offset: number): number | Promise<number> {
    assert(offset <= this.endOffset, "bytes are counted up to the end");
    return this.#lookUp({ by: "offset", value: offset });
  }

  /**
   * Returns the first retained offset with at least `bytes` logical bytes before it, or the end
   * offset if there is none.
   */
  offsetAtBytes(bytes: number): number | Promise<number> {
    return this.#lookUp({ by: "bytes", value: bytes });
  }

  #lookUp(goal: LookupGoal): number | Promise<number> {
    const found = lookUp(this, goal);
    return typeof found === "number" ? found : this.#withRepair(found, () => lookUp(this, goal));
  }

  describe(): PartitionSizes {
    const first = this.segments[0]?.start ?? 0;
    let memoryBytes = 0;
    for (const chunk of this.tail.chunks) memoryBytes += chunk.bytes.length;
    return {
      segments: this.segments.length,
      storedBytes: this.appendedTo - first,
      memoryBytes,
      unflushedBytes: this.appendedTo - this.tail.flushedTo,
    };
  }

  /** True if no segment has a file of its own. */
  get isSmall(): boolean {
    return this.segments.every(({ isPlaced, shared }) => !isPlaced || shared !== null);
  }

  /** Puts a segment into a shared file. The next append begins another one. */
  placePiece(segment: SegmentState, { file, position }: GivenPlace): void {
    segment.placeIn(file, position);
    if (segment === this.#active) this.#active = this.#addSegment();
  }

  /** Replaces sealed segments by one with the same batches. Nothing is appended or removed. */
  mergePieces(pieces: readonly SegmentState[], merged: SegmentState): void {
    const at = this.segments.indexOf(pieces[0] as SegmentState);
    assert(
      at >= 0 && pieces.every((piece, i) => this.segments[at + i] === piece),
      "they are in order",
    );
    if (this.isParked) this.#shared.unpark(this);
    this.segments = this.segments.toSpliced(at, pieces.length, merged);
    for (const piece of pieces) piece.trimmed = true;
    this.#shared.trimmed(this, pieces);
  }

  #roll(): SegmentState {
    this.#active.sealed = true;
    this.#shared.sealed(this, this.#active);
    this.#active = this.#addSegment();
    return this.#active;
  }

  #addSegment(): SegmentState {
    const segment = new SegmentState(this.directory, this.appendedTo, this.#shared.lastCut, {
      baseOffset: this.endOffset,
      length: 0,
      bytesBefore: this.endBytes,
      firstTimestampMs: this.lastTimestampMs,
      lastTimestampMs: this.lastTimestampMs,
      indexCrc: 0,
      piece: null,
    });
    this.segments.push(segment);
    return segment;
  }

  #chunkWindow(chunk: TailChunk, offset: number): PartitionWindow {
    const { bytes, length, marks } = chunk;
    const place = marks.batchAt(chunk, offset);
    return new PartitionWindow(bytes, place.at, length, place.offset, this.#memory, marks);
  }

  /**
   * Returns the index in `segments` of the one that contains `offset`, or −1 if the offset is
   * before all.
   */
  #segmentAt(offset: number): number {
    let low = 0;
    let high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.segments[middle]?.baseOffset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function ownFilesOf({ segments }: PartitionRecord): "none" | "empty" | "written" {
  const own = segments.filter(({ piece }) => piece === null);
  if (own.length === 0) return "none";
  return own.some(({ length }) => length > 0) ? "written" : "empty";
}

/** A partition without records. */
export const emptyRecord = (topicId: number, partition: number): PartitionRecord => ({
  topicId,
  partition,
  lowWatermark: 0,
  endOffset: 0,
  endBytes: 0,
  lastTimestampMs: 0,
  segments: [],
});
