/**
 * Finds the records of one partition that were never given out and can be given out now. Volatile state
 * of the leader: it remembers how far it has read, and which records are in commands that are not
 * applied yet.
 */
import { feature as faultPoint } from "bun:bundle";
import type { PartitionState } from "../../broker/state.ts";
import type { MaybePromise } from "../../lib/maybe-promise.ts";
import type { Candidate } from "../../queue/commands/receive.ts";
import { QUEUE_SPAN_MAX } from "../../queue/definition.ts";
import { lowOffset, NO_KEY, type QueuePartition } from "../../queue/state.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import { hashOfKey, type QueueRecord, readRecord, readRecords } from "./records.ts";

/** A record that is reserved, as a candidate of a receive. */
export type Taken = Candidate & { readonly record: QueueRecord };
export type Budget = { records: number; bytes: number };

/** Records that one step of a feed reads to find some that are not blocked: from, and at most. */
const SCAN_MIN = 16;
const SCAN_MAX = 1_000;
const SCAN_BYTES = 1024 * 1024;
/** Records of memory that are passed over at a stretch: some milliseconds. */
const PAUSE_RECORDS = 5_000;

export interface Feed {
  /** Records in commands that are not applied yet. */
  readonly reserved: Set<number>;
  /**
   * Reserves records within the budget, and takes them from it.
   *
   * @throws PartitionDamaged if the next record cannot be read.
   */
  take(mine: QueuePartition, its: PartitionState, budget: Budget): MaybePromise<Taken[]>;
  /** The outcome of the command is known. */
  release(mine: QueuePartition, taken: Taken): void;
}

/** The records in the order of their offsets. */
export class OpenFeed implements Feed {
  readonly reserved = new Set<number>();
  #cursor = 0;

  take(
    mine: QueuePartition,
    its: PartitionState,
    budget: Budget,
    all: Taken[] = [],
  ): MaybePromise<Taken[]> {
    while (budget.records > 0 && (budget.bytes > 0 || all.length === 0)) {
      const from = this.#nextFree(mine, its);
      const to = this.#endOfFree(mine, its, from, budget.records);
      if (to <= from) break;
      const read = readNext(all, its, from, to - from, Math.max(1, budget.bytes));
      if (read instanceof Promise) {
        return read.then((records) =>
          this.#add(mine, records, budget, all) < to - from
            ? all
            : this.take(mine, its, budget, all),
        );
      }
      // Nothing has happened since the run was found to be free.
      for (const record of read) this.#reserve(record, budget, all);
      if (read.length < to - from) break;
    }
    return all;
  }

  #reserve(record: QueueRecord, budget: Budget, all: Taken[]): void {
    const { partition, offset, bytes } = record;
    this.reserved.add(offset);
    budget.records--;
    budget.bytes -= bytes;
    all.push({ partition, offset, key: NO_KEY, record });
  }

  /** @returns how many of the records were reserved. Retention may have deleted some. */
  #add(
    mine: QueuePartition,
    records: readonly QueueRecord[],
    budget: Budget,
    all: Taken[],
  ): number {
    const before = all.length;
    for (const record of records) {
      if (this.#isFree(mine, record.offset)) this.#reserve(record, budget, all);
    }
    return all.length - before;
  }

  release(mine: QueuePartition, { record: { offset } }: Taken): void {
    this.reserved.delete(offset);
    if (offset < this.#cursor && this.#isFree(mine, offset)) this.#cursor = offset;
  }

  #nextFree(mine: QueuePartition, its: PartitionState): number {
    const end = limitOf(mine, its);
    let cursor = Math.max(this.#cursor, lowOffset(mine, its));
    while (cursor < end && !this.#isFree(mine, cursor)) cursor++;
    this.#cursor = cursor;
    return cursor;
  }

  /** The end of the run of free records that begins at `from`. */
  #endOfFree(mine: QueuePartition, its: PartitionState, from: number, records: number): number {
    const end = Math.min(limitOf(mine, its), from + records);
    let to = from;
    while (to < end && this.#isFree(mine, to)) to++;
    return to;
  }

  #isFree(mine: QueuePartition, offset: number): boolean {
    return !this.reserved.has(offset) && isUntouched(mine, offset);
  }
}

/** How a feed sees a record. */
export type Screening = {
  /** Hash of what must not be at work twice, or `NO_KEY`. */
  readonly keyOf: (record: QueueRecord) => number;
  /** False: the record is not given out. It is asked once for each record. */
  readonly accepts: (record: QueueRecord) => boolean;
  /** Records that one call of `take` looks at. */
  readonly scanMax: number;
};
const BY_KEY: Screening = {
  keyOf: ({ key }) => hashOfKey(key),
  accepts: () => true,
  scanMax: Number.POSITIVE_INFINITY,
};

/** The records in the order of their offsets, without those whose key is at work. */
export class KeyedFeed implements Feed {
  readonly reserved = new Set<number>();
  readonly #reservedKeys = new Set<number>();
  /** Records that were passed over, by the hash of their key, in order. */
  readonly #passed = new Map<number, number[]>();
  /** Records without a key that were reserved in vain. */
  #returned: number[] = [];
  readonly #screening: Screening;
  readonly #pause: () => Promise<void>;
  #cursor = 0;

  /** @param pause lets the event loop run, when very many records are passed over. */
  constructor(screening: Screening = BY_KEY, pause = (): Promise<void> => Promise.resolve()) {
    this.#screening = screening;
    this.#pause = pause;
  }

  async take(mine: QueuePartition, its: PartitionState, budget: Budget): Promise<Taken[]> {
    const all: Taken[] = [];
    try {
      await this.#takeAll(mine, its, budget, all);
    } catch (error) {
      if (!(error instanceof PartitionDamaged) || all.length === 0) throw error;
    }
    return all;
  }

  async #takeAll(
    mine: QueuePartition,
    its: PartitionState,
    budget: Budget,
    all: Taken[],
  ): Promise<void> {
    const take = (taken: Taken): void => {
      this.reserved.add(taken.record.offset);
      if (taken.key !== NO_KEY) this.#reservedKeys.add(taken.key);
      budget.records--;
      budget.bytes -= taken.record.bytes;
      all.push(taken);
    };
    const hasRoom = () => budget.records > 0 && (budget.bytes > 0 || all.length === 0);
    for (const [key, offset] of this.#released(mine, its)) {
      if (!hasRoom()) return;
      const record = await readRecord(its, offset);
      if (record === undefined || !this.#mayTake(mine, its, key, offset)) continue;
      take(takenOf(record, key));
      this.#unpass(key, offset);
    }
    if (hasRoom()) await this.#scan(mine, its, hasRoom, take);
  }

  release(mine: QueuePartition, { key, record: { offset } }: Taken): void {
    this.reserved.delete(offset);
    this.#reservedKeys.delete(key);
    if (!isUntouched(mine, offset)) return;
    if (key === NO_KEY) this.#returned.push(offset);
    else this.#pass(key, offset);
  }

  /** First records of the keys that are not at work any more, and records without a key. */
  #released(mine: QueuePartition, its: PartitionState): [key: number, offset: number][] {
    const isGone = (offset: number) => offset < its.lowWatermark || !isUntouched(mine, offset);
    this.#returned = this.#returned.filter((offset) => !isGone(offset));
    const list: [number, number][] = this.#returned.map((offset) => [NO_KEY, offset]);
    for (const [key, offsets] of this.#passed) {
      const present = offsets.findIndex((offset) => !isGone(offset));
      if (present !== 0) offsets.splice(0, present < 0 ? offsets.length : present);
      const [first] = offsets;
      if (first === undefined) this.#passed.delete(key);
      else if (!this.#isAtWork(mine, its, key)) list.push([key, first]);
    }
    return list.sort(([, a], [, b]) => a - b);
  }

  async #scan(
    mine: QueuePartition,
    its: PartitionState,
    hasRoom: () => boolean,
    take: (taken: Taken) => void,
  ): Promise<void> {
    const end = limitOf(mine, its);
    this.#cursor = Math.max(this.#cursor, lowOffset(mine, its));
    const last = Math.min(end, this.#cursor + this.#screening.scanMax);
    let pauseAt = this.#cursor + PAUSE_RECORDS;
    for (let wanted = SCAN_MIN; hasRoom() && this.#cursor < last; wanted *= 4) {
      const count = Math.min(wanted, SCAN_MAX, last - this.#cursor);
      const records = await readRecords(its, this.#cursor, count, SCAN_BYTES);
      if (records.length === 0) return;
      for (const record of records) {
        if (!hasRoom()) return;
        this.#cursor = record.offset + 1;
        if (isUntouched(mine, record.offset)) this.#consider(mine, its, record, take);
      }
      if (this.#cursor < pauseAt) continue;
      pauseAt = this.#cursor + PAUSE_RECORDS;
      await this.#pause();
    }
  }

  #consider(
    mine: QueuePartition,
    its: PartitionState,
    record: QueueRecord,
    take: (taken: Taken) => void,
  ): void {
    if (!this.#screening.accepts(record)) return;
    const key = this.#screening.keyOf(record);
    const isNext = key === NO_KEY || !this.#passed.has(key);
    if (isNext && this.#mayTake(mine, its, key, record.offset)) take(takenOf(record, key));
    else this.#pass(key, record.offset);
  }

  #mayTake(mine: QueuePartition, its: PartitionState, key: number, offset: number): boolean {
    if (this.reserved.has(offset) || !isUntouched(mine, offset)) return false;
    return key === NO_KEY || !this.#isAtWork(mine, its, key);
  }

  /** A record that retention has deleted blocks no key: the next command on the queue forgets it. */
  #isAtWork(mine: QueuePartition, { lowWatermark }: PartitionState, key: number): boolean {
    const lowest = faultPoint("deleted-records-block-keys") ? 0 : lowWatermark;
    return (mine.keys.get(key) ?? -1) >= lowest || this.#reservedKeys.has(key);
  }

  #pass(key: number, offset: number): void {
    const offsets = this.#passed.get(key);
    if (offsets === undefined) this.#passed.set(key, [offset]);
    else if (offset < (offsets[0] ?? 0)) offsets.unshift(offset);
    else offsets.push(offset);
  }

  #unpass(key: number, offset: number): void {
    if (key === NO_KEY) {
      const at = this.#returned.indexOf(offset);
      if (at >= 0) this.#returned.splice(at, 1);
      return;
    }
    const offsets = this.#passed.get(key);
    if (offsets?.[0] === offset) offsets.shift();
    if (offsets?.length === 0) this.#passed.delete(key);
  }
}

const takenOf = (record: QueueRecord, key: number): Taken => ({
  partition: record.partition,
  offset: record.offset,
  key,
  record,
});

/** As `readRecords`, but damage is told only if no record was taken before it. */
function readNext(
  all: readonly Taken[],
  ...where: Parameters<typeof readRecords>
): MaybePromise<readonly QueueRecord[]> {
  const orNothing = (error: unknown): readonly QueueRecord[] => {
    if (error instanceof PartitionDamaged && all.length > 0) return [];
    throw error;
  };
  try {
    const records = readRecords(...where);
    return records instanceof Promise ? records.catch(orNothing) : records;
  } catch (error) {
    return orNothing(error);
  }
}

/** The end of the records that can be given out. */
const limitOf = (mine: QueuePartition, its: PartitionState): number =>
  Math.min(its.endOffset, lowOffset(mine, its) + QUEUE_SPAN_MAX);

/** True if the record was never given out and is not finished. */
const isUntouched = (mine: QueuePartition, offset: number): boolean =>
  !mine.isDone(offset) && !mine.items.has(offset);
