import type { PartitionState } from "../../broker/state.ts";
import { sha256 } from "../../lib/digest.ts";
import type { MaybePromise } from "../../lib/maybe-promise.ts";
import { NO_KEY } from "../../queue/state.ts";
import { RecordCursor } from "../../record/batch-reader.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { PartitionPage } from "../../storage/partitions/window.ts";
import { handleOf } from "../partition-handle.ts";

/** A stored record, as a view of the batch that holds it: stored bytes never change. */
export class QueueRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  /** Bytes of key, value and headers. */
  readonly bytes: number;
  /** The batch, and the places of key, value and headers in it. `keyStart` below 0: no key. */
  readonly source: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
  readonly valueEnd: number;
  readonly headersStart: number;
  readonly headersEnd: number;

  constructor(partition: number, cursor: RecordCursor, bytes: number) {
    this.partition = partition;
    this.offset = cursor.offset;
    this.timestampMs = cursor.timestampMs;
    this.bytes = bytes;
    this.source = cursor.bytes;
    this.keyStart = cursor.keyStart;
    this.keyEnd = cursor.keyEnd;
    this.valueStart = cursor.valueStart;
    this.valueEnd = cursor.valueEnd;
    this.headersStart = cursor.headersStart;
    this.headersEnd = cursor.headersEnd;
  }

  get key(): Uint8Array | null {
    return this.keyStart < 0 ? null : this.source.subarray(this.keyStart, this.keyEnd);
  }

  get value(): Uint8Array {
    return this.source.subarray(this.valueStart, this.valueEnd);
  }

  /** Encoded as in `record/headers.ts`. */
  get headers(): Uint8Array {
    return this.source.subarray(this.headersStart, this.headersEnd);
  }
}

/**
 * Reads records from `from` on: at most `max`, and `maxBytes` of keys, values and headers, but at
 * least one if there is one. Those that retention has deleted are left out.
 *
 * @throws PartitionDamaged
 */
export function readRecords(
  partition: PartitionState,
  from: number,
  max: number,
  maxBytes: number,
): MaybePromise<QueueRecord[]> {
  if (from >= partition.endOffset) return [];
  const end = Math.min(from + max, partition.endOffset);
  const page = handleOf(partition).log.page(from, end - from, maxBytes);
  return page instanceof Promise
    ? page.then((read) => recordsIn(partition, read, from, end, maxBytes))
    : recordsIn(partition, page, from, end, maxBytes);
}

/** @returns undefined if retention has deleted the record. @throws PartitionDamaged */
export async function readRecord(
  partition: PartitionState,
  offset: number,
): Promise<QueueRecord | undefined> {
  const [record] = await readRecords(partition, offset, 1, 1);
  return record?.offset === offset ? record : undefined;
}

/** As `readRecord`, but damage is returned. */
export const readable = (
  partition: PartitionState,
  offset: number,
): Promise<QueueRecord | PartitionDamaged | undefined> =>
  readRecord(partition, offset).catch((error: unknown) => {
    if (error instanceof PartitionDamaged) return error;
    throw error;
  });

function recordsIn(
  { partition }: PartitionState,
  { slices, first }: PartitionPage,
  from: number,
  end: number,
  maxBytes: number,
): QueueRecord[] {
  const records: QueueRecord[] = [];
  let left = maxBytes;
  for (const slice of slices) {
    const cursor = new RecordCursor(slice);
    if (first !== null && slice === slices[0]) cursor.startAt(first);
    for (let more = cursor.seek(from); more && cursor.offset < end; more = cursor.next()) {
      const bytes = cursor.logicalBytes;
      if (records.length > 0 && bytes > left) return records;
      left -= bytes;
      records.push(new QueueRecord(partition, cursor, bytes));
    }
  }
  return records;
}

/** 52 bits of a digest, so that it is a safe integer, and never `NO_KEY` for a key. */
export function hashOfKey(key: Uint8Array | null): number {
  if (key === null) return NO_KEY;
  const digest = sha256(key, 8);
  const view = new DataView(digest.buffer, digest.byteOffset, 8);
  return view.getUint32(0) + (view.getUint32(4) >>> 12) * 2 ** 32 + 1;
}
