import type { Disk } from "../../../src/env/disk.ts";
import { BatchBuilder } from "../../../src/record/batch-builder.ts";
import { RecordCursor } from "../../../src/record/batch-reader.ts";
import type { PartitionLog } from "../../../src/storage/partitions/log.ts";
import {
  PartitionStore,
  type PartitionStoreOptions,
} from "../../../src/storage/partitions/store.ts";
import type { Random } from "../random.ts";

export const DIRECTORY = "shards/0/partitions";

export type ModelRecord = {
  readonly timestampMs: number;
  readonly bytes: number;
  readonly mark: number;
};

/** The expected contents of a partition, as a plain list. */
export class Model {
  readonly records: ModelRecord[] = [];
  low = 0;

  bytesBefore(offset: number): number {
    let sum = 0;
    for (const { bytes } of this.records.slice(0, offset)) sum += bytes;
    return sum;
  }

  offsetAtTime(timestampMs: number): number {
    const found = this.records.findIndex((record) => record.timestampMs >= timestampMs);
    return Math.max(this.low, found < 0 ? this.records.length : found);
  }

  offsetAtBytes(bytes: number): number {
    let sum = 0;
    for (let offset = 0; offset < this.records.length; offset++) {
      if (offset >= this.low && sum >= bytes) return offset;
      sum += this.records[offset]?.bytes ?? 0;
    }
    return this.records.length;
  }

  copy(): Model {
    const model = new Model();
    model.records.push(...this.records);
    model.low = this.low;
    return model;
  }
}

export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function openStore(
  disk: Disk,
  options: Partial<PartitionStoreOptions> = {},
): PartitionStore {
  return new PartitionStore({
    disk,
    directory: DIRECTORY,
    nextTurn,
    onFailure: (error) => {
      throw error;
    },
    ...options,
  });
}

/** Appends a few records in one produce, to the log and to the model. */
export function appendSome(
  log: PartitionLog,
  model: Model,
  random: Random,
  timestampMs: number,
  largest = 40_000,
) {
  const count = random.below(8) === 0 ? 1 + random.below(40) : 1 + random.below(3);
  const builder = new BatchBuilder(64);
  for (let i = 0; i < count; i++) {
    const mark = random.u32();
    const key = random.below(3) === 0 ? new Uint8Array(random.below(5)).fill(mark) : null;
    const length = random.below(30) === 0 ? largest : random.below(4) * random.below(200);
    const value = new Uint8Array(length).fill(mark);
    builder.add(key, value);
    const bytes = value.length + (key?.length ?? 0);
    model.records.push({ timestampMs, bytes, mark: length > 0 ? mark & 255 : -1 });
  }
  const { bytes, logicalBytes } = builder.finish();
  log.append(bytes, log.endOffset, timestampMs, count, logicalBytes);
}

/** The slices as a client gets them: offsets, and whether each record is the model's. */
export function pageOf(
  slices: readonly Uint8Array[],
  model: Model,
  page: { start: number; limit: number; maxBytes: number },
): number[] {
  const offsets: number[] = [];
  let bytes = 0;
  let next = -1;
  for (const slice of slices) {
    const cursor = new RecordCursor(slice);
    while (cursor.next()) {
      if (next >= 0 && cursor.offset !== next) throw new Error(`gap: ${cursor.offset} for ${next}`);
      next = cursor.offset + 1;
      if (cursor.offset < page.start || offsets.length === page.limit) continue;
      bytes += cursor.logicalBytes;
      if (offsets.length > 0 && bytes > page.maxBytes) return offsets;
      check(cursor, model);
      offsets.push(cursor.offset);
    }
  }
  return offsets;
}

function check(cursor: RecordCursor, model: Model): void {
  const record = model.records[cursor.offset];
  if (record === undefined) throw new Error(`offset ${cursor.offset} was never appended`);
  const first = cursor.valueEnd > cursor.valueStart ? cursor.bytes[cursor.valueStart] : -1;
  if (
    record.timestampMs !== cursor.timestampMs ||
    record.bytes !== cursor.logicalBytes ||
    record.mark !== first
  ) {
    throw new Error(`offset ${cursor.offset} holds another record`);
  }
}

/** The page that a client should get. */
export function expectedPage(
  model: Model,
  end: number,
  { start, limit, maxBytes }: { start: number; limit: number; maxBytes: number },
): number[] {
  const offsets: number[] = [];
  let bytes = 0;
  for (let offset = Math.max(start, model.low); offset < end && offsets.length < limit; offset++) {
    bytes += model.records[offset]?.bytes ?? 0;
    if (offsets.length > 0 && bytes > maxBytes) break;
    offsets.push(offset);
  }
  return offsets;
}
