import type { Disk } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import type { Blocks } from "../../lib/blocks.ts";
import { ByteWriter } from "../../lib/bytes.ts";
import type { PartitionDamaged } from "./damaged.ts";
import { PartitionFlusher } from "./flusher.ts";
import { PartitionLog, type PartitionRecord, type PartitionShared } from "./log.ts";
import {
  partitionDirectory,
  readManifest,
  writeManifestHead,
  writeManifestPartition,
} from "./manifest.ts";
import { sweepStrays } from "./orphans.ts";
import { ReadCache } from "./read-cache.ts";
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
import { TailBudget } from "./tail-budget.ts";

const PARTITIONS_PER_TOPIC_MAX = 2 ** 20;

export type PartitionStoreOptions = {
  readonly disk: Disk;
  /** The directory of the store, such as `shards/0/partitions`. */
  readonly directory: string;
  /** A segment is sealed before it would grow beyond this. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Memory for the newest bytes of all partitions. Default 64 MiB. */
  readonly tailBytes?: number;
  /** Unflushed bytes of all partitions that start background writes. Default a quarter of the tail. */
  readonly unflushedBytes?: number;
  /** Memory for windows of segment files that were read. Default 32 MiB; 0: none. */
  readonly readCacheBytes?: number;
  /** Memory for both. Default: that of this thread alone. */
  readonly blocks?: Blocks;
  /** Default 256. */
  readonly openFiles?: number;
  /** Points of loaded indexes, 32 bytes each. Default 262,144, which is 8 MiB. */
  readonly indexPoints?: number;
  /** Maximum number of concurrent background writes, and of syncs at a checkpoint. Default 2. */
  readonly concurrency?: number;
  /**
   * Resolves in a later event-loop iteration, which small synchronous writes alone do not cause.
   */
  readonly nextTurn: () => Promise<void>;
  /** Tries to repair damaged bytes by `repair`. @returns whether to read again. */
  readonly repair?: (damage: PartitionDamaged) => Promise<boolean>;
  /**
   * The disk is full, or has space again. No data is lost: the bytes are in memory and in the
   * journal.
   */
  readonly onDiskFull?: (full: boolean) => void;
  /** The disk failed, or damage was found, in the background. The process must end. */
  readonly onFailure: (error: unknown) => void;
};

/** A consistent point of all partitions, as one checkpoint records it. */
export type PartitionCut = {
  readonly number: number;
  readonly manifest: Uint8Array;
  /** Resolves when everything that the manifest names is durable. */
  flush(): Promise<void>;
  /** Drops an aborted or superseded checkpoint, so that files that only it names may be removed. */
  release(): void;
};

export type PartitionStoreSizes = {
  readonly partitions: number;
  readonly segments: number;
  readonly storedBytes: number;
  readonly tailBytes: number;
  readonly unflushedBytes: number;
  /** Bytes of trimmed segments and deleted partitions whose files wait for a newer checkpoint. */
  readonly pendingRemovalBytes: number;
  readonly openFiles: number;
  readonly diskFull: boolean;
};

type CutTarget = {
  readonly log: PartitionLog;
  readonly target: number;
  readonly segments: readonly SegmentState[];
};

/** All partition logs of a shard. */
export class PartitionStore {
  readonly #options: PartitionStoreOptions;
  #directory: string;
  readonly #files: SegmentFiles;
  readonly #budget: TailBudget;
  readonly #cache: ReadCache;
  readonly #flusher: PartitionFlusher;
  readonly #reaper: PartitionReaper;
  readonly #shared: PartitionShared;
  readonly #concurrency: number;
  readonly #logs = new Map<number, PartitionLog>();
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
    const repair = options.repair ?? (() => Promise.resolve(false));
    const reader = new SegmentReader(disk, this.#files);
    const indexes = new SegmentIndexes(disk, this.#files, reader, options.indexPoints ?? 262_144);
    const flusher = new PartitionFlusher({
      disk,
      files: this.#files,
      indexes,
      budget: this.#budget,
      concurrency: this.#concurrency,
      unflushedBytesLimit: options.unflushedBytes ?? this.#budget.limitBytes / 4,
      nextTurn: options.nextTurn,
      repair,
      onDiskFull: options.onDiskFull ?? (() => undefined),
      onFailure,
    });
    const reaper = new PartitionReaper({ disk, files: this.#files, indexes, onFailure });
    this.#flusher = flusher;
    this.#reaper = reaper;
    const shared: PartitionShared = {
      segmentBytes: options.segmentBytes ?? 64 * 1024 * 1024,
      budget: this.#budget,
      windows: new SegmentWindows(reader, indexes, this.#cache),
      indexes,
      lastCut: 0,
      newFlush: (start) => flusher.newState(start),
      sealed: (log, segment) => flusher.sealed(log, segment),
      repair,
      appended: (log, bytes) => flusher.appended(log, bytes),
      trimmed: (log, segments) => {
        for (const segment of segments) this.#cache.forget(segment);
        reaper.doomSegments(log, segments, shared.lastCut);
      },
    };
    this.#shared = shared;
  }

  /** Creates an empty partition. Topic ids are never used twice. */
  create(topicId: number, partition: number): PartitionLog {
    assert(!this.#logs.has(keyOf(topicId, partition)), "the partition is there already");
    return this.#add({
      topicId,
      partition,
      lowWatermark: 0,
      endOffset: 0,
      endBytes: 0,
      lastTimestampMs: 0,
      segments: [],
    });
  }

  get(topicId: number, partition: number): PartitionLog | null {
    return this.#logs.get(keyOf(topicId, partition)) ?? null;
  }

  /** Deletes a partition. Its files are removed in the background when no checkpoint needs them. */
  delete(topicId: number, partition: number): void {
    const log = this.#logs.get(keyOf(topicId, partition));
    if (log === undefined) return;
    this.#logs.delete(keyOf(topicId, partition));
    log.deleted = true;
    for (const segment of log.segments) this.#cache.forget(segment);
    if (this.#pendingCut === 0) this.#flusher.discard(log);
    else this.#deleted.push(log);
    this.#reaper.doomPartition(log, this.#shared.lastCut);
  }

  logs(): IterableIterator<PartitionLog> {
    return this.#logs.values();
  }

  /**
   * Fills an empty store with the state that a checkpoint recorded. No file is opened before its
   * first use.
   *
   * @param directory the directory of its segments, if it differs from the one of the store.
   * @returns the consistent point of that checkpoint. Release it when a newer one has replaced it.
   */
  restore(manifest: Uint8Array, directory: string = this.#directory): PartitionCut {
    assert(this.#logs.size === 0 && this.#shared.lastCut === 0, "only an empty store is restored");
    this.#directory = directory;
    readManifest(manifest, (record) => this.#add(record));
    const number = this.#nextCut();
    return this.#cut(number, manifest, () => Promise.resolve());
  }

  /**
   * Takes a consistent point. Appends may continue at once. One consistent point at a time is
   * flushed.
   */
  beginCut(): PartitionCut {
    assert(this.#pendingCut === 0, "one cut at a time");
    const number = this.#nextCut();
    this.#pendingCut = number;
    const writer = new ByteWriter(4096);
    const targets: CutTarget[] = [];
    writeManifestHead(writer, this.#logs.size);
    for (const log of this.#logs.values()) {
      writeManifestPartition(writer, log);
      if (log.appendedTo > log.flush.syncedTo) targets.push(targetOf(log));
    }
    return this.#cut(number, writer.view(), () => this.#flushCut(targets));
  }

  /** Resolves when all bytes appended so far are in the files, but not durable yet. */
  async flushAll(): Promise<void> {
    await this.#each([...this.#logs.values()], (log) => this.#flusher.flush(log, log.appendedTo));
  }

  /** Retries writes that a full disk stopped, after space may have been freed. */
  retryAfterDiskFull(): void {
    this.#flusher.retry();
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
   * @returns null if nothing is damaged there, or it is no longer retained.
   */
  async damagedRange(
    where: SegmentPlace,
    pace: (bytes: number) => Promise<void> = this.#options.nextTurn,
  ): Promise<DamagedRange | null> {
    return await this.#inSegment(where, (scope) => findDamage(scope, pace));
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
  ): Promise<T | null> {
    const log = this.get(topicId, partition);
    if (log === null) return null;
    const shared = {
      disk: this.#options.disk,
      files: this.#files,
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
    let segments = 0;
    let storedBytes = 0;
    for (const log of this.#logs.values()) {
      segments += log.segments.length;
      storedBytes += log.appendedTo - (log.segments[0]?.start ?? 0);
    }
    return {
      partitions: this.#logs.size,
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
    for (const log of this.#logs.values()) {
      if (log.appendedTo > log.tail.flushedTo) this.#flusher.discard(log);
      else log.tail.clear();
      log.deleted = true;
      for (const segment of log.segments) this.#cache.forget(segment);
    }
    for (const log of this.#logs.values()) await log.flush.flushing?.catch(() => undefined);
    await this.#reaper.settled();
    await this.#files.close();
  }

  #add(record: PartitionRecord): PartitionLog {
    const { topicId, partition } = record;
    const directory = partitionDirectory(this.#directory, topicId, partition);
    const log = new PartitionLog(this.#shared, directory, record);
    this.#logs.set(keyOf(topicId, partition), log);
    if (topicId > this.#highestTopicId) this.#highestTopicId = topicId;
    return log;
  }

  #nextCut(): number {
    this.#shared.lastCut++;
    this.#reaper.keepCut(this.#shared.lastCut);
    return this.#shared.lastCut;
  }

  #cut(number: number, manifest: Uint8Array, flush: () => Promise<void>): PartitionCut {
    const release = () => {
      if (this.#pendingCut === number) this.#endPending();
      this.#reaper.releaseCut(number);
    };
    return { number, manifest, flush, release };
  }

  async #flushCut(targets: readonly CutTarget[]): Promise<void> {
    await this.#each(targets, ({ log, target, segments }) =>
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

  /**
   * Runs `work` for all items, a few at a time. The first error ends it once the running ones have
   * settled.
   */
  async #each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    let next = 0;
    const errors: unknown[] = [];
    const lane = async () => {
      while (next < items.length && errors.length === 0) {
        const item = items[next++];
        if (item !== undefined) await work(item).catch((error) => errors.push(error));
      }
    };
    await Promise.all(Array.from({ length: this.#concurrency }, lane));
    if (errors.length > 0) throw errors[0];
  }
}

const keyOf = (topicId: number, partition: number): number =>
  topicId * PARTITIONS_PER_TOPIC_MAX + partition;

/** Returns the segments with bytes that are not durable yet, before they can be trimmed. */
function targetOf(log: PartitionLog): CutTarget {
  const { appendedTo } = log;
  const { syncedTo } = log.flush;
  const segments = log.segments.filter(({ end, length }) => length > 0 && end > syncedTo);
  return { log, target: appendedTo, segments };
}
