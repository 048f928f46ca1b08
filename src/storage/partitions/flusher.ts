import { type Disk, DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import { failedSync } from "../durable.ts";
import { PartitionDamaged } from "./damaged.ts";
import { type FlushProgress, FlushState, flushStateOf } from "./flush-state.ts";
import type { PartitionLog } from "./log.ts";
import { PIECES_MAX } from "./pieces.ts";
import { FilesClosed, type SegmentFiles } from "./segment-files.ts";
import type { SegmentIndexes } from "./segment-indexes.ts";
import { PIECE_BYTES_MAX, type SegmentState } from "./segment-state.ts";
import type { SharedFiles, SharedTarget } from "./shared-files.ts";
import type { TailChunk } from "./tail.ts";
import type { TailBudget } from "./tail-budget.ts";
import { keyOf } from "./warm-logs.ts";

/** The number of unflushed bytes from which on a partition is written in the background. */
const FLUSH_BYTES = 256 * 1024;
/** Maximum number of bytes written in one event-loop iteration. */
const TURN_BYTES = 1024 * 1024;
/** A partition with more stored bytes gets a file of its own. */
const SMALL_BYTES_MAX = 2 * PIECE_BYTES_MAX;
/** The number of small partitions with unflushed bytes from which on they are written together. */
const SMALL_DIRTY_MAX = 2048;
/** Bytes of small partitions that are written together in the background. */
const SPILL_BYTES = 4 * 1024 * 1024;
/** An active segment with fewer points than this (2 MiB) is walked after a restart. */
const STORED_POINTS_MIN = 64;

export type FlusherOptions = {
  readonly disk: Disk;
  readonly files: SegmentFiles;
  readonly indexes: SegmentIndexes;
  readonly budget: TailBudget;
  readonly shared: SharedFiles;
  /** False: each partition gets files of its own. */
  readonly mayShare: () => boolean;
  /** Maximum number of concurrent background writes. */
  readonly concurrency: number;
  /** The number of unflushed bytes of all partitions from which on the oldest ones are written. */
  readonly unflushedBytesLimit: number;
  readonly nextTurn: () => Promise<void>;
  /** Called with small partitions that were written, which may be parked. */
  readonly spilled: (logs: readonly PartitionLog[]) => Promise<void>;
  readonly repair: (damage: PartitionDamaged) => Promise<boolean>;
  readonly onDiskFull: (full: boolean) => void;
  readonly onFailure: (error: unknown) => void;
};

/**
 * Moves bytes from tails to segment files: in the background without a sync, at a checkpoint with
 * one.
 */
export class PartitionFlusher {
  readonly #options: FlusherOptions;
  unflushedBytes = 0;
  diskFull = false;
  /** The directory of a partition was created, and its entry is not synced yet. */
  rootDirty = false;
  /** Partitions with unflushed bytes, the longest waiting first. */
  readonly #dirty = new Set<PartitionLog>();
  /** Those of them that have no file of their own. */
  readonly #small = new Set<PartitionLog>();
  #isSharing = false;
  #isSpilling = false;
  /** Partitions with many pieces in shared files, by their keys: most of them are parked. */
  readonly fragmented = new Set<number>();
  /** Partitions with enough unflushed bytes for a background write. */
  readonly #full = new Set<PartitionLog>();
  #running = 0;
  #writtenInTurn = 0;

  constructor(options: FlusherOptions) {
    this.#options = options;
  }

  /** @param start the end of the files that a checkpoint recorded. */
  newState(start: number, own: "none" | "empty" | "written"): FlushProgress {
    return new FlushState(start, own);
  }

  /** Writes the index of the segment once all of its bytes are in the file. */
  sealed(log: PartitionLog, segment: SegmentState): void {
    flushStateOf(log).sealed.push(segment);
  }

  /** Called for every append. */
  appended(log: PartitionLog, bytes: number): void {
    const unflushed = log.appendedTo - log.tail.flushedTo;
    if (unflushed === bytes) this.#addDirty(log);
    this.unflushedBytes += bytes;
    const full = unflushed >= FLUSH_BYTES;
    if (full && log.flush.flushing === null) this.#full.add(log);
    if (full || this.#isOver) this.#pump();
    this.#options.budget.enforce();
  }

  #addDirty(log: PartitionLog): void {
    this.#dirty.add(log);
    const isSharing = this.#options.mayShare();
    if (isSharing && !this.#isSharing) this.#share();
    this.#isSharing = isSharing;
    if (isSharing && log.isSmall) this.#small.add(log);
  }

  /** Partitions may share files from now on, also those that have bytes already. */
  #share(): void {
    for (const log of this.#dirty) if (log.isSmall) this.#small.add(log);
  }

  /** True if the oldest bytes must be written, although no partition has many. */
  get #isOver(): boolean {
    return (
      this.unflushedBytes > this.#options.unflushedBytesLimit || this.#small.size > SMALL_DIRTY_MAX
    );
  }

  /** Decides for all segments of the partition which files they are in. */
  place(log: PartitionLog): void {
    for (const segment of log.segments) {
      if (!segment.isPlaced && segment.length > 0) this.#placeSegment(log, segment);
    }
  }

  #placeSegment(log: PartitionLog, segment: SegmentState): void {
    const { mayShare, shared } = this.#options;
    const isShared = mayShare() && isSmallEnough(log, segment);
    if (!isShared) {
      segment.isPlaced = true;
      return;
    }
    const chunk = log.tail.chunkOf(segment);
    const bytes = chunk.bytes.subarray(0, chunk.length);
    log.placePiece(
      segment,
      shared.place(bytes, () => {
        if (!log.flush.isDiscarded) this.#flushed(log, segment.end);
      }),
    );
    if (log.segments.length > PIECES_MAX) this.fragmented.add(keyOf(log.topicId, log.partition));
    // From here on, the shared file is synced and not the partition.
    const state = flushStateOf(log);
    state.syncedTo = Math.max(state.syncedTo, segment.end);
  }

  /** Resolves when the file has everything up to `target`, which is not durable yet. */
  async flush(log: PartitionLog, target: number): Promise<void> {
    const state = flushStateOf(log);
    while (log.tail.flushedTo < target && !state.isDiscarded) {
      state.flushing ??= this.#writeNext(log).finally(() => {
        state.flushing = null;
      });
      await state.flushing;
    }
  }

  /**
   * Resolves when everything up to `target` is durable.
   *
   * @param segments the segments with bytes between the last synced position and `target`.
   */
  async sync(log: PartitionLog, target: number, segments: readonly SegmentState[]): Promise<void> {
    await this.flush(log, target);
    // A deletion waits for the consistent point; only closing the store does not.
    const state = flushStateOf(log);
    if (state.isDiscarded) throw new FilesClosed(`${log.directory} was not written to its end`);
    for (const segment of segments) {
      await this.#syncFile(segment.path);
      await this.#storeActiveIndex(log, segment);
    }
    if (state.directoryDirty) {
      state.directoryDirty = false;
      await this.syncDirectory(log.directory);
    }
    state.syncedTo = Math.max(state.syncedTo, target);
  }

  /** Resolves when the shared files of a consistent point are durable. */
  async syncShared(targets: readonly SharedTarget[]): Promise<void> {
    const { shared } = this.#options;
    await this.#reportingSpace(() => shared.sync(targets, (path) => this.syncDirectory(path)));
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#options.disk.syncDirectory(path).catch(failedSync);
  }

  /** Retries writes that a full disk stopped. */
  retry(): void {
    this.#setDiskFull(false);
    for (const log of this.#dirty) {
      if (log.appendedTo - log.tail.flushedTo >= FLUSH_BYTES) this.#full.add(log);
    }
    if (this.#options.shared.isWaiting && !this.#isSpilling) {
      this.#running++;
      void this.#run(this.#beginSpill());
    }
    this.#pump();
  }

  /** Forgets the unflushed bytes of a partition that was deleted. */
  discard(log: PartitionLog): void {
    flushStateOf(log).isDiscarded = true;
    this.unflushedBytes -= log.appendedTo - log.tail.flushedTo;
    this.#dirty.delete(log);
    this.#small.delete(log);
    this.#full.delete(log);
    this.fragmented.delete(keyOf(log.topicId, log.partition));
    log.tail.clear();
  }

  /** Starts background writes up to the allowed number. */
  #pump(): void {
    while (!this.diskFull && this.#running < this.#options.concurrency) {
      const work = this.#next();
      if (work === null) return;
      this.#running++;
      void this.#run(work);
    }
  }

  #next(): (() => Promise<void>) | null {
    for (const log of this.#full) {
      this.#full.delete(log);
      return () => this.flush(log, log.appendedTo);
    }
    if (this.#small.size > SMALL_DIRTY_MAX && !this.#isSpilling) return this.#beginSpill();
    if (this.unflushedBytes <= this.#options.unflushedBytesLimit) return null;
    for (const log of this.#dirty) {
      if (this.#small.has(log)) return this.#isSpilling ? null : this.#beginSpill();
      if (log.flush.flushing === null) return () => this.flush(log, log.appendedTo);
    }
    return null;
  }

  #beginSpill(): () => Promise<void> {
    this.#isSpilling = true;
    return () => this.#spill();
  }

  async #run(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof DiskFull)) this.#options.onFailure(error);
    }
    this.#running--;
    this.#pump();
  }

  /** Writes the small partitions that wait longest into shared files. */
  async #spill(): Promise<void> {
    const { shared, spilled } = this.#options;
    let bytes = 0;
    const logs: PartitionLog[] = [];
    for (const log of this.#small) {
      this.#small.delete(log);
      bytes += log.appendedTo - log.tail.flushedTo;
      logs.push(log);
      this.place(log);
      if (bytes >= SPILL_BYTES || logs.length >= SMALL_DIRTY_MAX) break;
    }
    try {
      await this.#reportingSpace(() => shared.writeAll());
      await spilled(logs);
    } finally {
      this.#isSpilling = false;
    }
  }

  async #reportingSpace(write: () => Promise<void>): Promise<void> {
    try {
      await write();
      if (this.diskFull) this.#setDiskFull(false);
    } catch (error) {
      if (error instanceof DiskFull) this.#setDiskFull(true);
      throw error;
    }
  }

  async #writeNext(log: PartitionLog): Promise<void> {
    const { tail } = log;
    const chunk = tail.unflushed();
    if (chunk === null) return;
    const { segment } = chunk;
    if (segment.trimmed && !segment.isPlaced) {
      // No consistent point names it.
      this.#flushed(log, chunk.end);
      return;
    }
    if (!segment.isPlaced) this.#placeSegment(log, segment);
    const file = segment.shared;
    if (file !== null) {
      const end = segment.position + segment.length;
      await this.#reportingSpace(() => this.#options.shared.write({ file, end }));
      return;
    }
    await this.#reportingSpace(() => this.#writeChunk(log, chunk));
  }

  async #writeChunk(log: PartitionLog, chunk: TailChunk): Promise<void> {
    const { tail } = log;
    const { segment } = chunk;
    const end = chunk.end;
    const bytes = chunk.bytes.subarray(tail.flushedTo - chunk.start, chunk.length);
    const position = tail.flushedTo - segment.start;
    segment.pin();
    try {
      if (!segment.fileReady) await this.#prepare(log, segment);
      await this.#options.files.use(segment.path, "existing", async (file, handle) => {
        handle.dirty = true;
        await file.write(position, bytes);
      });
      if (!log.flush.isDiscarded) this.#flushed(log, end);
      await this.#storeSealedIndexes(log);
      await this.#breathe(bytes.length);
    } finally {
      segment.unpin();
    }
  }

  async #breathe(bytes: number): Promise<void> {
    this.#writtenInTurn += bytes;
    if (this.#writtenInTurn < TURN_BYTES) return;
    this.#writtenInTurn = 0;
    await this.#options.nextTurn();
  }

  #flushed(log: PartitionLog, end: number): void {
    assert(end >= log.tail.flushedTo, "a partition is written in order");
    this.unflushedBytes -= end - log.tail.flushedTo;
    log.tail.flushedTo = end;
    // A partition with remaining bytes goes to the end of the queue.
    this.#dirty.delete(log);
    this.#small.delete(log);
    if (log.appendedTo > end) this.#addDirty(log);
    this.#options.budget.flushed();
  }

  /** Creates the file, or truncates it to the length that the checkpoint covers. */
  async #prepare(log: PartitionLog, segment: SegmentState): Promise<void> {
    const { disk, files } = this.#options;
    const state = flushStateOf(log);
    if (!state.directoryReady) {
      await disk.makeDirectory(log.directory);
      state.directoryReady = true;
      state.hasDirectory = true;
      this.rootDirty = true;
    }
    if (segment.restoredLength === 0) {
      await files.use(segment.path, "truncate", () => Promise.resolve());
      state.directoryDirty = true;
    } else {
      const missing = await this.#cutBack(segment);
      if (missing !== null && !(await this.#options.repair(missing))) throw missing;
    }
    segment.fileReady = true;
  }

  /** @returns the problem if the file is too short for that. */
  #cutBack({ path, restoredLength }: SegmentState): Promise<PartitionDamaged | null> {
    return this.#options.files.use(path, "existing", async (file) => {
      const size = await file.size();
      if (size > restoredLength) await file.truncate(restoredLength);
      return size < restoredLength ? new PartitionDamaged(path, size, "the file ends early") : null;
    });
  }

  async #storeSealedIndexes(log: PartitionLog): Promise<void> {
    const { indexes } = this.#options;
    const { sealed } = flushStateOf(log);
    for (let segment = sealed[0]; segment !== undefined; segment = sealed[0]) {
      if (segment.end > log.tail.flushedTo || log.flush.isDiscarded) return;
      if (segment.shared !== null) {
        sealed.shift();
        continue;
      }
      if (!segment.trimmed) await this.#storeIndex(log, segment);
      segment.indexStored = true;
      indexes.release(segment);
      sealed.shift();
    }
  }

  /**
   * An index that cannot be built from a damaged segment is built when it is needed after the
   * repair.
   */
  async #storeIndex(log: PartitionLog, segment: SegmentState): Promise<void> {
    try {
      await this.#options.indexes.store(segment, log.seed);
    } catch (error) {
      if (!(error instanceof PartitionDamaged)) throw error;
      // The repair is not awaited, because it may have to wait for this very write.
      void this.#options.repair(error);
    }
  }

  async #storeActiveIndex(log: PartitionLog, segment: SegmentState): Promise<void> {
    const points = segment.index?.count ?? 0;
    if (segment.sealed || segment.trimmed || points === segment.storedPoints) return;
    if (points < STORED_POINTS_MIN) return;
    segment.pin();
    try {
      await this.#storeIndex(log, segment);
      segment.storedPoints = points;
    } finally {
      segment.unpin();
    }
  }

  async #syncFile(path: string): Promise<void> {
    await this.#options.files.use(path, "existing", async (file, handle) => {
      handle.dirty = false;
      await file.sync().catch(failedSync);
    });
  }

  #setDiskFull(full: boolean): void {
    if (this.diskFull === full) return;
    this.diskFull = full;
    this.#options.onDiskFull(full);
  }
}

/** A partition that is small altogether shares files, as long as it has none of its own. */
function isSmallEnough(log: PartitionLog, segment: SegmentState): boolean {
  if (segment.length > PIECE_BYTES_MAX || !log.isSmall) return false;
  const { chunks, flushedTo } = log.tail;
  // Bytes of a file of its own that was trimmed, and may belong to a consistent point.
  const isBehindOwn = chunks.some(
    ({ end, segment: before }) => end > flushedTo && before.isPlaced && before.shared === null,
  );
  return !isBehindOwn && log.appendedTo - (log.segments[0]?.start ?? 0) <= SMALL_BYTES_MAX;
}
