import { DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import { ByteWriter } from "../../lib/bytes.ts";
import { CutManifest } from "./cut-manifest.ts";
import { type CutTarget, targetOf } from "./cut-target.ts";
import { PartitionFlusher } from "./flusher.ts";
import { inLanes } from "./in-lanes.ts";
import { emptyRecord, PartitionLog, type PartitionRecord, type PartitionShared } from "./log.ts";
import {
  partitionDirectory,
  readManifest,
  readManifestHead,
  writeManifestHead,
  writeManifestPartition,
} from "./manifest.ts";
import { sweepStrays } from "./orphans.ts";
import { ParkedLogs } from "./parked.ts";
import { tidyPieces } from "./pieces.ts";
import { ReadCache } from "./read-cache.ts";
import { ReadThreads } from "./read-threads.ts";
import { PartitionReaper } from "./reaper.ts";
import {
  type DamagedRange,
  findDamage,
  type RepairScope,
  repairScope,
  type SegmentPlace,
  writeRepair,
} from "./repair.ts";
import { SegmentFiles } from "./segment-files.ts";
import { SegmentIndexes } from "./segment-indexes.ts";
import { SegmentReader } from "./segment-reader.ts";
import type { SegmentState } from "./segment-state.ts";
import { SegmentWindows } from "./segment-windows.ts";
import type { SharedFile } from "./shared-file.ts";
import { SharedFiles, type SharedSizes, type SharedTarget } from "./shared-files.ts";
import type { PartitionCut, PartitionStoreOptions, PartitionStoreSizes } from "./store-types.ts";
import { TailBudget } from "./tail-budget.ts";
import { type Cooling, keyOf, WarmLogs } from "./warm-logs.ts";

export type { PartitionCut, PartitionStoreOptions, PartitionStoreSizes } from "./store-types.ts";

/** Beyond this number, partitions that are not in use are parked. */
const WARM_MAX = 4096;
/** Partitions that are looked at when one is added. */
const COOL_LOOKS = 2;
const SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024;
const NO_THREADS = new ReadThreads();

/** All partition logs of a shard. */
export class PartitionStore {
  readonly #options: PartitionStoreOptions;
  #directory: string;
  readonly #files: SegmentFiles;
  readonly #budget: TailBudget;
  readonly #cache: ReadCache;
  readonly #flusher: PartitionFlusher;
  readonly #reaper: PartitionReaper;
  readonly #sharedFiles: SharedFiles;
  readonly #shared: PartitionShared;
  readonly #concurrency: number;
  /** The partitions that are not parked. */
  readonly #logs = new WarmLogs();
  readonly #parked = new ParkedLogs();
  readonly #cooling: Cooling;
  #isClosed = false;
  #highestTopicId = -1;
  /** The consistent point whose bytes are being written to disk. */
  #pendingCut = 0;
  /** Partitions that were deleted while a consistent point that may name them was being written. */
  #deleted: PartitionLog[] = [];
  #ancestorsSynced = false;

  constructor(options: PartitionStoreOptions) {
    const { disk, onFailure } = options;
    this.#options = options;
    this.#directory = options.directory;
    this.#concurrency = options.concurrency ?? 2;
    this.#files = new SegmentFiles(disk, options.openFiles ?? 256, onFailure);
    this.#budget = new TailBudget(options.tailBytes, options.blocks);
    this.#cache = new ReadCache(options.readCacheBytes, options.blocks);
    this.#cooling = {
      sizeMin: options.warmMax ?? WARM_MAX,
      mayPark: (log) => this.#sharedFiles.isUsed && !this.#isClosed && ParkedLogs.mayPark(log),
      park: (key, log) => {
        for (const segment of log.segments) this.#cache.forget(segment);
        this.#parked.park(key, log);
      },
      nextTurn: options.nextTurn,
    };
    const repair = options.repair ?? (() => Promise.resolve(false));
    const reader = new SegmentReader(disk, this.#files);
    const indexes = new SegmentIndexes(disk, this.#files, reader, options.indexPoints ?? 262_144);
    const reaper = new PartitionReaper({ disk, files: this.#files, indexes, onFailure });
    const sharedFiles = new SharedFiles(options.directory, {
      disk,
      files: this.#files,
      fileBytes: options.segmentBytes ?? SEGMENT_BYTES_DEFAULT,
      prepare: options.prepareShared ?? (() => Promise.resolve()),
      nextTurn: options.nextTurn,
      lastCut: () => shared.lastCut,
      unused: (file) => reaper.doomShared(file, shared.lastCut),
      directoryCreated: () => {
        flusher.rootDirty = true;
      },
    });
    const flusher = new PartitionFlusher({
      disk,
      files: this.#files,
      indexes,
      budget: this.#budget,
      shared: sharedFiles,
      mayShare: options.mayShare ?? (() => false),
      concurrency: this.#concurrency,
      unflushedBytesLimit: options.unflushedBytes ?? this.#budget.limitBytes / 4,
      nextTurn: options.nextTurn,
      spilled: (logs) => this.#logs.coolThese(logs, this.#cooling),
      repair,
      onDiskFull: options.onDiskFull ?? (() => undefined),
      onFailure,
    });
    this.#flusher = flusher;
    this.#reaper = reaper;
    this.#sharedFiles = sharedFiles;
    const shared: PartitionShared = {
      segmentBytes: options.segmentBytes ?? SEGMENT_BYTES_DEFAULT,
      budget: this.#budget,
      windows: new SegmentWindows(reader, indexes, this.#cache, options.readThreads ?? NO_THREADS),
      indexes,
      lastCut: 0,
      newFlush: (start, own) => flusher.newState(start, own),
      sealed: (log, segment) => flusher.sealed(log, segment),
      repair,
      appended: (log, bytes) => flusher.appended(log, bytes),
      trimmed: (log, segments) => {
        for (const segment of segments) this.#leave(segment);
        reaper.doomSegments(log, segments, shared.lastCut);
      },
      sharedFile: (number) => sharedFiles.byNumber(number),
      unpark: (log) => this.#unpark(log),
    };
    this.#shared = shared;
  }

  /** Creates an empty partition. Topic ids are never used twice. */
  create(topicId: number, partition: number): PartitionLog {
    assert(this.get(topicId, partition) === null, "the partition is there already");
    const log = this.#add(emptyRecord(topicId, partition), this.#shared.lastCut);
    this.#logs.cool(COOL_LOOKS, this.#cooling);
    return log;
  }

  get(topicId: number, partition: number): PartitionLog | null {
    return this.#at(keyOf(topicId, partition));
  }

  /** The same, and an empty log that is deleted if the partition is not there. */
  getOrGone(topicId: number, partition: number): PartitionLog {
    const found = this.get(topicId, partition);
    if (found !== null) return found;
    const gone = this.#make(emptyRecord(topicId, partition), this.#shared.lastCut);
    gone.deleted = true;
    return gone;
  }

  #at(key: number): PartitionLog | null {
    const warm = this.#logs.get(key);
    if (warm !== undefined) return warm;
    const log = this.#parked.get(key, (record) => this.#make(record, 0));
    if (log !== null && this.#isClosed) log.deleted = true;
    return log;
  }

  /** Deletes a partition. Its files are removed in the background when no checkpoint needs them. */
  delete(topicId: number, partition: number): void {
    const key = keyOf(topicId, partition);
    const log = this.#at(key);
    if (log === null) return;
    this.#parked.remove(key, log);
    this.#logs.delete(key);
    log.deleted = true;
    for (const segment of log.segments) this.#leave(segment);
    if (this.#pendingCut === 0) this.#flusher.discard(log);
    else this.#deleted.push(log);
    this.#reaper.doomPartition(log, this.#shared.lastCut);
  }

  /** All partitions. Objects of parked ones are made on the way, so the caller should not keep them. */
  *logs(): Generator<PartitionLog> {
    for (const key of this.keys()) {
      const log = this.#at(key);
      if (log !== null) yield log;
    }
  }

  /** As `TidyScope.keysIn`. No objects are made of parked partitions. */
  *#keysIn(file: SharedFile): Generator<number | null> {
    for (const key of this.keys()) {
      const warm = this.#logs.get(key);
      const isIn =
        warm === undefined
          ? this.#parked.isIn(key, file.number)
          : warm.segments.some(({ shared }) => shared === file);
      yield isIn ? key : null;
    }
  }

  /** Names of all partitions, as `at` takes them. */
  keys(): number[] {
    return [...this.#logs.keys(), ...this.#parked.keys()];
  }

  /** Returns the partition with this name, or null if it was deleted. */
  at(key: number): PartitionLog | null {
    return this.#at(key);
  }

  /**
   * Fills an empty store with the state that a checkpoint recorded. No file is opened before its
   * first use.
   *
   * @param directory the directory of its segments, if it differs from the one of the store.
   * @returns the consistent point of that checkpoint. Release it when a newer one has replaced it.
   */
  restore(manifest: Uint8Array, directory: string = this.#directory): PartitionCut {
    assert(
      this.keys().length === 0 && this.#shared.lastCut === 0,
      "only an empty store is restored",
    );
    this.#directory = directory;
    const { nextShared, shared } = readManifestHead(manifest);
    this.#sharedFiles.restore(directory, nextShared, shared);
    const { sizeMin } = this.#cooling;
    const first = new ByteWriter(4096);
    readManifest(manifest, (record, from, to) => {
      if (first.length === 0) first.raw(manifest.subarray(0, from));
      for (const { length, piece } of record.segments) {
        if (piece !== null) this.#sharedFiles.byNumber(piece.file).liveBytes += length;
      }
      if (nextShared === 0 || this.#logs.size < sizeMin) {
        this.#add(record, 0);
        first.raw(manifest.subarray(from, to));
        return;
      }
      this.#see(record.topicId);
      this.#parked.parkRecord(
        keyOf(record.topicId, record.partition),
        record,
        manifest.subarray(from, to),
      );
    });
    const number = this.#nextCut();
    this.#sharedFiles.releaseUnused();
    const whole = first.length === 0 ? manifest.slice() : first.take();
    const again = new CutManifest(whole, this.#parked.capture());
    return this.#cut(number, again, () => Promise.resolve());
  }

  /**
   * Takes a consistent point. Appends may continue at once. One consistent point at a time is
   * flushed.
   */
  beginCut(): PartitionCut {
    assert(this.#pendingCut === 0, "one cut at a time");
    // Files that this creates belong to the consistent point, so its number comes afterwards.
    const logs = [...this.#logs.values()];
    for (const log of logs) if (log.appendedTo > log.tail.flushedTo) this.#flusher.place(log);
    const number = this.#nextCut();
    this.#pendingCut = number;
    const shared = this.#sharedFiles;
    const parked = this.#parked;
    const writer = new ByteWriter(4096);
    const targets: CutTarget[] = [];
    const partitions = logs.length + parked.size;
    const head = { partitions, nextShared: shared.next, shared: shared.used };
    writeManifestHead(writer, head);
    for (const log of logs) {
      writeManifestPartition(writer, log, shared.isUsed);
      if (log.appendedTo > log.flush.syncedTo) targets.push(targetOf(log));
    }
    const manifest = new CutManifest(writer.take(), parked.capture());
    const files = shared.targets();
    return this.#cut(number, manifest, () => this.#flushCut(targets, files));
  }

  /**
   * Frees space in shared files, up to a bound. Call it after a checkpoint, and take none meanwhile.
   */
  async tidy(): Promise<void> {
    assert(this.#pendingCut === 0, "pieces do not move while a cut is taken");
    const { fragmented } = this.#flusher;
    const { nextTurn } = this.#options;
    await this.#logs.coolAll(this.#cooling);
    await this.#parked.purge(nextTurn);
    try {
      await tidyPieces({
        shared: this.#sharedFiles,
        keysIn: (file) => this.#keysIn(file),
        fragmented,
        at: (key) => this.#at(key),
        nextTurn,
      });
    } catch (error) {
      if (!(error instanceof DiskFull)) throw error;
    }
  }

  /** Resolves when all bytes appended so far are in the files, but not durable yet. */
  async flushAll(): Promise<void> {
    await inLanes([...this.#logs.values()], this.#concurrency, (log) =>
      this.#flusher.flush(log, log.appendedTo),
    );
  }

  /** Retries writes that a full disk stopped, after space may have been freed. */
  retryAfterDiskFull(): void {
    this.#flusher.retry();
  }

  get sharedSizes(): SharedSizes {
    return this.#sharedFiles.describe();
  }

  /** The windows of segment files in memory. */
  get readCache(): Pick<ReadCache, "usedBytes" | "limitBytes" | "hits" | "misses"> {
    return this.#cache;
  }

  get diskFull(): boolean {
    return this.#flusher.diskFull;
  }

  /**
   * Removes orphan files. Call it only when the loaded checkpoint is the oldest that is retained.
   */
  async sweep(): Promise<void> {
    await this.#sharedFiles.sweep((path) => this.#reaper.keepsShared(path));
    await sweepStrays({
      disk: this.#options.disk,
      root: this.#directory,
      reaper: this.#reaper,
      highestTopicId: () => this.#highestTopicId,
      find: (topicId, partition) => this.get(topicId, partition),
    });
  }

  /**
   * Returns the range to request from a peer so that the segment can be read again. `where` takes
   * the fields of a `PartitionDamaged`. After `repair` this returns the next damaged range.
   *
   * @param pace waits after each slice that was read; by default for the next event-loop iteration.
   * @param found shared files that the caller's pass over many segments has found so far.
   * @returns null if nothing is damaged there, or it is no longer retained or not in a file yet.
   */
  async damagedRange(
    where: SegmentPlace,
    pace: (bytes: number) => Promise<void> = this.#options.nextTurn,
    found = new Set<string>(),
  ): Promise<DamagedRange | null> {
    return await this.#inSegment(where, (scope) => findDamage(scope, pace), found);
  }

  /**
   * Replaces damaged batches with those of a peer. They are durable and verified when this
   * resolves.
   *
   * @param batches the batches of the whole range: `rawRange` of the peer, perhaps in pieces.
   * @throws RepairRefused unless they fit the range exactly; nothing was written then.
   */
  async repair(range: DamagedRange, batches: Uint8Array): Promise<void> {
    await this.#inSegment(range, async (scope) => {
      this.#cache.forget(scope.segment);
      await writeRepair(scope, range, batches);
    });
  }

  async #inSegment<T>(
    { topicId, partition, segmentOffset }: SegmentPlace,
    body: (scope: RepairScope) => Promise<T>,
    found = new Set<string>(),
  ): Promise<T | null> {
    const log = this.get(topicId, partition);
    if (log === null) return null;
    const shared = {
      disk: this.#options.disk,
      files: this.#files,
      found,
      nextTurn: this.#options.nextTurn,
    };
    const flush = (one: PartitionLog, target: number) => this.#flusher.flush(one, target);
    const scope = await repairScope(shared, log, segmentOffset, flush);
    if (scope === null || scope.segment.trimmed) return null;
    scope.segment.pin();
    try {
      return await body(scope);
    } finally {
      scope.segment.unpin();
    }
  }

  describe(): PartitionStoreSizes {
    let { segments, storedBytes } = this.#parked;
    for (const log of this.#logs.values()) {
      segments += log.segments.length;
      storedBytes += log.appendedTo - (log.segments[0]?.start ?? 0);
    }
    return {
      partitions: this.#logs.size + this.#parked.size,
      segments,
      storedBytes,
      tailBytes: this.#budget.usedBytes,
      unflushedBytes: this.#flusher.unflushedBytes,
      pendingRemovalBytes: this.#reaper.pendingBytes,
      openFiles: this.#files.open,
      diskFull: this.#flusher.diskFull,
    };
  }

  /**
   * Ends background work and closes files. Unflushed bytes are not written: the journal has them.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const log of this.#parked.inUse()) log.deleted = true;
    for (const log of this.#logs.values()) {
      if (log.appendedTo > log.tail.flushedTo) this.#flusher.discard(log);
      else log.tail.clear();
      log.deleted = true;
      for (const segment of log.segments) this.#cache.forget(segment);
    }
    await this.#sharedFiles.close();
    for (const log of this.#logs.values()) await log.flush.flushing?.catch(() => undefined);
    await this.#reaper.settled();
    await this.#files.close();
  }

  #add(record: PartitionRecord, createdCut: number): PartitionLog {
    const log = this.#make(record, createdCut);
    this.#logs.add(keyOf(log.topicId, log.partition), log);
    this.#see(log.topicId);
    return log;
  }

  #make(record: PartitionRecord, createdCut: number): PartitionLog {
    const directory = partitionDirectory(this.#directory, record.topicId, record.partition);
    return new PartitionLog(this.#shared, directory, record, createdCut);
  }

  #see(topicId: number): void {
    if (topicId > this.#highestTopicId) this.#highestTopicId = topicId;
  }

  /** A parked partition is about to change. */
  #unpark(log: PartitionLog): void {
    const key = keyOf(log.topicId, log.partition);
    this.#parked.remove(key, log);
    // The change follows, so the log itself must not be parked again here.
    this.#logs.cool(COOL_LOOKS, this.#cooling);
    this.#logs.add(key, log);
  }

  /** A segment leaves its partition. */
  #leave(segment: SegmentState): void {
    this.#cache.forget(segment);
    if (segment.shared !== null) this.#sharedFiles.release(segment.shared, segment.length);
  }

  #nextCut(): number {
    this.#shared.lastCut++;
    this.#reaper.keepCut(this.#shared.lastCut);
    return this.#shared.lastCut;
  }

  #cut(number: number, manifest: CutManifest, flush: () => Promise<void>): PartitionCut {
    const { nextTurn } = this.#options;
    const release = () => {
      if (this.#pendingCut === number) this.#endPending();
      this.#reaper.releaseCut(number);
    };
    return {
      number,
      get manifest() {
        return manifest.bytes;
      },
      prepare: () => manifest.prepare(nextTurn),
      forget: () => manifest.forget(),
      flush,
      release,
    };
  }

  async #flushCut(targets: readonly CutTarget[], files: readonly SharedTarget[]): Promise<void> {
    await this.#flusher.syncShared(files);
    await inLanes(targets, this.#concurrency, ({ log, target, segments }) =>
      this.#flusher.sync(log, target, segments),
    );
    if (this.#flusher.rootDirty) {
      this.#flusher.rootDirty = false;
      await this.#syncRoot();
    }
    this.#endPending();
  }

  async #syncRoot(): Promise<void> {
    await this.#flusher.syncDirectory(this.#directory);
    if (this.#ancestorsSynced) return;
    const parts = this.#directory.split("/");
    for (let depth = parts.length - 1; depth >= 0; depth--) {
      await this.#flusher.syncDirectory(parts.slice(0, depth).join("/"));
    }
    this.#ancestorsSynced = true;
  }

  #endPending(): void {
    this.#pendingCut = 0;
    for (const log of this.#deleted) this.#flusher.discard(log);
    this.#deleted = [];
    this.#reaper.reap();
  }
}
