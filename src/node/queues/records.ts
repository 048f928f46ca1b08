import type { PartitionState } from "../../broker/state.ts";
import { sha256 } from "../../lib/digest.ts";
import type { MaybePromise } from "../../lib/maybe-promise.ts";
import { NO_KEY } from "../../queue/state.ts";
import { RecordCursor } from "../../record/batch-reader.ts";
import { handleOf } from "../partition-handle.ts";

const NO_HEADERS = new Uint8Array(0);

/** A copy of a stored record. */
export type QueueRecord = {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  /** Encoded as in `record/headers.ts`. */
  readonly headers: Uint8Array;
  /** Bytes of key, value and headers. */
  readonly bytes: number;
};

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
  const slices = handleOf(partition).log.read(from, end - from, maxBytes);
  const records = (read: readonly Uint8Array[]) =>
    copyRecords(partition, read, from, end, maxBytes);
  return slices instanceof Promise ? slices.then(records) : records(slices);
}

/** @returns undefined if retention has deleted the record. @throws PartitionDamaged */
export async function readRecord(
  partition: PartitionState,
  offset: number,
): Promise<QueueRecord | undefined> {
  const [record] = await readRecords(partition, offset, 1, 1);
  return record?.offset === offset ? record : undefined;
}

function copyRecords(
  { partition }: PartitionState,
  slices: readonly Uint8Array[],
  from: number,
  end: number,
  maxBytes: number,
): QueueRecord[] {
  const records: QueueRecord[] = [];
  let left = maxBytes;
  for (const slice of slices) {
    const cursor = new RecordCursor(slice);
    for (let more = cursor.seek(from); more && cursor.offset < end; more = cursor.next()) {
      const bytes = cursor.logicalBytes;
      if (records.length > 0 && bytes > left) return records;
      left -= bytes;
      records.push(copyRecord(partition, cursor, bytes));
    }
  }
  return records;
}

function copyRecord(partition: number, cursor: RecordCursor, bytes: number): QueueRecord {
  const { keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = cursor;
  return {
    partition,
    offset: cursor.offset,
    timestampMs: cursor.timestampMs,
    key: keyStart < 0 ? null : cursor.bytes.slice(keyStart, keyEnd),
    value: cursor.bytes.slice(valueStart, valueEnd),
    headers:
      headersEnd === headersStart ? NO_HEADERS : cursor.bytes.slice(headersStart, headersEnd),
    bytes,
  };
}

/** 52 bits of a digest, so that it is a safe integer, and never `NO_KEY` for a key. */
export function hashOfKey(key: Uint8Array | null): number {
  if (key === null) return NO_KEY;
  const digest = sha256(key, 8);
  const view = new DataView(digest.buffer, digest.byteOffset, 8);
  return view.getUint32(0) + (view.getUint32(4) >>> 12) * 2 ** 32 + 1;
}
