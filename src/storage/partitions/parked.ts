import { ByteWriter } from "../../lib/bytes.ts";
import { flushStateOf } from "./flush-state.ts";
import type { PartitionLog, PartitionRecord } from "./log.ts";
import { isEmptyBehindPiece, readManifestPartition, writeManifestPartition } from "./manifest.ts";
import { type CapturedRuns, PackedRuns } from "./packed-runs.ts";

type Sizes = { readonly segments: number; readonly storedBytes: number };

/**
 * Partitions that are not in use, as bytes of about 50 instead of objects of some kilobytes. All their
 * records are in files. As long as somebody uses the object of a parked partition, it is the one that
 * everybody gets, so that there are never two of one partition.
 */
export class ParkedLogs {
  /** Each as a manifest has it. */
  readonly #parked = new PackedRuns();
  /** Objects of parked partitions that may still be in use. */
  readonly #objects = new Map<number, WeakRef<PartitionLog>>();
  /** The next of them to look at. */
  #looks: Iterator<[number, WeakRef<PartitionLog>]> | null = null;
  readonly #writer = new ByteWriter(256);
  segments = 0;
  storedBytes = 0;

  get size(): number {
    return this.#parked.size;
  }

  keys(): IterableIterator<number> {
    return this.#parked.keys();
  }

  /** The bytes of all of them at this moment. */
  capture(): CapturedRuns {
    return this.#parked.capture();
  }

  /** True if nothing is lost when the object of the partition is dropped. */
  static mayPark(log: PartitionLog): boolean {
    const { syncedTo, flushing, isDiscarded, directoryDirty, sealed } = flushStateOf(log);
    const isInFiles = log.tail.flushedTo === log.appendedTo && syncedTo >= log.appendedTo;
    const isQuiet = flushing === null && !directoryDirty && sealed.length === 0;
    return isInFiles && isQuiet && !isDiscarded && !log.deleted;
  }

  /** Parks a log that `mayPark`. */
  park(key: number, log: PartitionLog): void {
    this.#writer.clear();
    writeManifestPartition(this.#writer, log, true);
    log.tail.clear();
    log.isParked = true;
    this.#remember(key, log);
    this.#add(key, this.#writer.view(), sizesOf(log));
  }

  /** Parks a partition that was just read. @param bytes as in a manifest. */
  parkRecord(key: number, record: PartitionRecord, bytes: Uint8Array): void {
    let storedBytes = 0;
    for (const { length } of record.segments) storedBytes += length;
    this.#add(key, bytes, { segments: record.segments.length, storedBytes });
  }

  /**
   * Returns the log of a parked partition, or null if it is not parked.
   *
   * @param make makes the object if nobody uses one.
   */
  get(key: number, make: (record: PartitionRecord) => PartitionLog): PartitionLog | null {
    const bytes = this.#parked.get(key);
    if (bytes === null) return null;
    const present = this.#objects.get(key)?.deref();
    if (present !== undefined) return present;
    const log = make(readManifestPartition(bytes));
    log.isParked = true;
    this.#remember(key, log);
    return log;
  }

  /** True if the partition is parked and has a piece in the shared file with this number. */
  isIn(key: number, file: number): boolean {
    const bytes = this.#parked.get(key);
    if (bytes === null) return false;
    return readManifestPartition(bytes).segments.some(({ piece }) => piece?.file === file);
  }

  /** The partition is not parked any more. */
  remove(key: number, log: PartitionLog): void {
    if (!this.#parked.has(key)) return;
    const { segments, storedBytes } = sizesOf(log);
    this.#parked.delete(key);
    this.#objects.delete(key);
    this.segments -= segments;
    this.storedBytes -= storedBytes;
    log.isParked = false;
  }

  /** Forgets objects that nobody uses any more. */
  async purge(nextTurn: () => Promise<void>): Promise<void> {
    let looks = 0;
    for (const [key, object] of this.#objects) {
      if (object.deref() === undefined) this.#objects.delete(key);
      if (++looks % 4096 === 0) await nextTurn();
    }
  }

  #remember(key: number, log: PartitionLog): void {
    this.#objects.set(key, new WeakRef(log));
    // A few each time, so that references to objects that nobody uses do not pile up.
    for (let left = 3; left > 0; left--) this.#forgetUnused();
  }

  #forgetUnused(): void {
    this.#looks ??= this.#objects.entries();
    const { done, value } = this.#looks.next();
    if (done === true) this.#looks = null;
    else if (value[1].deref() === undefined) this.#objects.delete(value[0]);
  }

  /** The objects that are in use. */
  *inUse(): Generator<PartitionLog> {
    for (const object of this.#objects.values()) {
      const log = object.deref();
      if (log !== undefined) yield log;
    }
  }

  #add(key: number, bytes: Uint8Array, { segments, storedBytes }: Sizes): void {
    this.#parked.add(key, bytes);
    this.segments += segments;
    this.storedBytes += storedBytes;
  }
}

/** As the manifest counts them: without an empty segment behind a piece. */
function sizesOf(log: PartitionLog): Sizes {
  const { segments, appendedTo } = log;
  return {
    segments: segments.length - (isEmptyBehindPiece(log) ? 1 : 0),
    storedBytes: appendedTo - (segments[0]?.start ?? 0),
  };
}
