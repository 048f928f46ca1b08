/** Sparse positions in stored batches, so that a record is found without a walk from the start. */
import { batchBaseOffset, batchCount, batchLength } from "../../record/batch-header.ts";
import { RecordCursor, type RecordPlace } from "../../record/batch-reader.ts";

/** Bytes between two marked batch starts: about what a search for a batch walks over. */
const BATCH_STEP_BYTES = 2048;
/** Bytes between two marked records of a batch: about what a search for a record walks over. */
const RECORD_STEP_BYTES = 1024;
/** A smaller batch is walked. */
const MARKED_BATCH_BYTES_MIN = 2 * RECORD_STEP_BYTES;

/** Batches back to back. Batches may be added at the end, and others do not change. */
export type BatchRun = {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly baseOffset: number;
};

/**
 * The marks of one run. They are added when a read needs them, and take at most about 1/64 of the
 * size of the run.
 */
export class Marks {
  /** The batch at which the last read stopped. Most reads continue there. */
  #stop: RecordPlace | null = null;
  /** Batch starts: offset and position in turn. */
  readonly #batches: number[] = [];
  /** By the position of a batch: number and position of records in that batch, in turn. */
  #records: Map<number, number[]> | null = null;

  stoppedAt(offset: number, at: number): void {
    this.#stop = { offset, at };
  }

  /** Returns the batch that contains `offset`, or the end of the run. */
  batchAt({ bytes, length, baseOffset }: BatchRun, wanted: number): RecordPlace {
    const batches = this.#batches;
    const mark = lastUpTo(batches, wanted);
    let offset = mark < 0 ? baseOffset : (batches[mark] as number);
    let at = mark < 0 ? 0 : (batches[mark + 1] as number);
    const stop = this.#stop;
    if (stop !== null && stop.offset <= wanted && stop.at > at) ({ offset, at } = stop);
    // The last number of the list is a position.
    let marked = batches[batches.length - 1] ?? 0;
    while (at < length) {
      const nextOffset = offset + batchCount(bytes, at);
      if (nextOffset > wanted) break;
      at += batchLength(bytes, at);
      offset = nextOffset;
      if (at - marked < BATCH_STEP_BYTES || at === length) continue;
      batches.push(offset, at);
      marked = at;
    }
    return { offset, at };
  }

  /**
   * Returns the record with `offset` or one shortly before it, and its position in the batch at
   * `at`. Null if that would not be better than the start of the batch.
   */
  recordNear(bytes: Uint8Array, at: number, offset: number): RecordPlace | null {
    const base = batchBaseOffset(bytes, at);
    if (offset === base || batchLength(bytes, at) < MARKED_BATCH_BYTES_MIN) return null;
    this.#records ??= new Map();
    let records = this.#records.get(at);
    if (records === undefined) {
      records = recordMarks(bytes.subarray(at, at + batchLength(bytes, at)));
      this.#records.set(at, records);
    }
    const mark = lastUpTo(records, offset - base);
    if (mark < 0) return null;
    return { offset: base + (records[mark] as number), at: records[mark + 1] as number };
  }
}

/** Returns the index of the last pair whose first number is at most `limit`, or -1. */
function lastUpTo(pairs: readonly number[], limit: number): number {
  let low = 0;
  let high = pairs.length >> 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((pairs[middle << 1] as number) <= limit) low = middle + 1;
    else high = middle;
  }
  return (low - 1) << 1;
}

function recordMarks(batch: Uint8Array): number[] {
  const marks: number[] = [];
  const cursor = new RecordCursor(batch);
  let start = cursor.position;
  let next = RECORD_STEP_BYTES;
  for (let record = 0; cursor.next(); record++) {
    if (start >= next) {
      marks.push(record, start);
      next = start + RECORD_STEP_BYTES;
    }
    start = cursor.position;
  }
  return marks;
}
