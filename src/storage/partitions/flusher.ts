import { type Disk, DiskFull } from "../../env/disk.ts";
import { failedSync } from "../durable.ts";
import { PartitionDamaged } from "./damaged.ts";
import { type FlushProgress, FlushState, flushStateOf } from "./flush-state.ts";
import type { PartitionLog } from "./log.ts";
import { FilesClosed, type SegmentFiles } from "./segment-files.ts";
import type { SegmentIndexes } from "./segment-indexes.ts";
import type { SegmentState } from "./segment-state.ts";
import type { TailBudget } from "./tail-budget.ts";

/** The number of unflushed bytes from which on a partition is written in the background. */
const FLUSH_BYTES = 256 * 1024;
/** Maximum number of bytes written in one event-loop iteration. */
const TURN_BYTES = 1024 * 1024;
/** An active segment with fewer points than this (2 MiB) is walked after a restart. */
const STORED_POINTS_MIN = 64;

export type FlusherOptions = {
  readonly disk: Disk;
  readonly files: SegmentFiles;
  readonly indexes: SegmentIndexes;
  readonly budget: TailBudget;
  /** Maximum number of concurrent background writes. */
  readonly concurrency: number;
  /** The number of unflushed bytes of all partitions from which on the oldest ones are written. */
  readonly unflushedBytesLimit: number;
  readonly nextTurn: () => Promise<void>;
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
  /** Partitions with enough unflushed bytes for a background write. */
  readonly #full = new Set<PartitionLog>();
  #running = 0;
  #writtenInTurn = 0;

  constructor(options: FlusherOptions) {
    this.#options = options;
  }

  /** @param start the end of the files that a checkpoint recorded. */
  newState(start: number): FlushProgress {
    return new FlushState(start);
  }

  /** Writes the index of the segment once all of its bytes are in the file. */
  sealed(log: PartitionLog, segment: SegmentState): void {
    flushStateOf(log).sealed.push(segment);
  }

  /** Called for every append. */
  appended(log: PartitionLog, bytes: number): void {
    const unflushed = log.appendedTo - log.tail.flushedTo;
    if (unflushed === bytes) this.#dirty.add(log);
    this.unflushedBytes += bytes;
    const full = unflushed >= FLUSH_BYTES;
    if (full && log.flush.flushing === null) this.#full.add(log);
    if (full || this.unflushedBytes > this.#options.unflushedBytesLimit) this.#pump();
    this.#options.budget.enforce();
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

  async syncDirectory(path: string): Promise<void> {
    await this.#options.disk.syncDirectory(path).catch(failedSync);
  }

  /** Retries writes that a full disk stopped. */
  retry(): void {
    this.#setDiskFull(false);
    for (const log of this.#dirty) {
      if (log.appendedTo - log.tail.flushedTo >= FLUSH_BYTES) this.#full.add(log);
    }
    this.#pump();
  }

  /** Forgets the unflushed bytes of a partition that was deleted. */
  discard(log: PartitionLog): void {
    flushStateOf(log).isDiscarded = true;
    this.unflushedBytes -= log.appendedTo - log.tail.flushedTo;
    this.#dirty.delete(log);
    this.#full.delete(log);
    log.tail.clear();
  }

  /** Starts background writes up to the allowed number. */
  #pump(): void {
    while (!this.diskFull && this.#running < this.#options.concurrency) {
      const log = this.#next();
      if (log === null) return;
      this.#full.delete(log);
      this.#running++;
      void this.#run(log);
    }
  }

  #next(): PartitionLog | null {
    for (const log of this.#full) return log;
    if (this.unflushedBytes <= this.#options.unflushedBytesLimit) return null;
    for (const log of this.#dirty) if (log.flush.flushing === null) return log;
    return null;
  }

  async #run(log: PartitionLog): Promise<void> {
    try {
      await this.flush(log, log.appendedTo);
    } catch (error) {
      if (!(error instanceof DiskFull)) this.#options.onFailure(error);
    }
    this.#running--;
    this.#pump();
  }

  async #writeNext(log: PartitionLog): Promise<void> {
    const { tail } = log;
    const chunk = tail.unflushed();
    if (chunk === null) return;
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
      if (this.diskFull) this.#setDiskFull(false);
      await this.#breathe(bytes.length);
    } catch (error) {
      if (error instanceof DiskFull) this.#setDiskFull(true);
      throw error;
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
    this.unflushedBytes -= end - log.tail.flushedTo;
    log.tail.flushedTo = end;
    // A partition with remaining bytes goes to the end of the queue.
    this.#dirty.delete(log);
    if (log.appendedTo > end) this.#dirty.add(log);
    this.#options.budget.flushed();
  }

  /** Creates the file, or truncates it to the length that the checkpoint covers. */
  async #prepare(log: PartitionLog, segment: SegmentState): Promise<void> {
    const { disk, files } = this.#options;
    const state = flushStateOf(log);
    if (!state.directoryReady) {
      await disk.makeDirectory(log.directory);
      state.directoryReady = true;
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
