import type { Disk } from "../env/disk.ts";
import { utf8 } from "../lib/bytes.ts";
import { partitionSeed } from "../record/batch-header.ts";
import { RecordCursor } from "../record/batch-reader.ts";
import { decodeHeaders } from "../record/headers.ts";
import { PartitionDamaged } from "../storage/partitions/damaged.ts";
import { readWindow } from "../storage/partitions/segment-reader.ts";
import type { PartitionWindow } from "../storage/partitions/window.ts";
import { type Row, shownText, textOrBase64, timeOf, Unreadable } from "./row.ts";

const SLICE_BYTES = 1024 * 1024;
const KEYS_SHOWN = 3;

export type SegmentView = {
  readonly topicId: number;
  readonly partition: number;
  readonly baseOffset: number;
  /** Offsets, both inclusive. */
  readonly from: number;
  readonly to: number;
  /** True to list records instead of batches. */
  readonly records: boolean;
  /** The bytes of the file that belong to the partition; absent: all. */
  readonly piece?: { readonly position: number; readonly length: number };
};

/** @throws Unreadable if bytes are not a batch, or not the next one. */
export async function* inspectSegmentFile(
  disk: Disk,
  name: string,
  view: SegmentView,
): AsyncGenerator<Row, void> {
  const file = await disk.open(name, "existing");
  try {
    const { position: start, length: limit } = view.piece ?? {
      position: 0,
      length: await file.size(),
    };
    const source = { path: name, seed: partitionSeed(view.topicId, view.partition) };
    const read = (position: number, length: number) => file.read(start + position, length);
    let at = { position: 0, offset: view.baseOffset };
    while (at.position < limit && at.offset <= view.to) {
      const window = await readWindow(read, source, { ...at, bytes: SLICE_BYTES, limit });
      yield* windowRows(name, start, window, view);
      at = { position: window.filePosition, offset: window.offset };
    }
  } catch (error) {
    if (!(error instanceof PartitionDamaged)) throw error;
    throw new Unreadable(name, (view.piece?.position ?? 0) + error.position, error.reason);
  } finally {
    await file.close();
  }
}

function* windowRows(
  name: string,
  start: number,
  window: PartitionWindow,
  view: SegmentView,
): Generator<Row, void> {
  while (window.step()) {
    window.checkPayload();
    if (window.offset + window.count <= view.from || window.offset > view.to) continue;
    if (view.records) yield* recordRows(window, view);
    else yield batchRow(name, start, window);
  }
}

const batchBytes = ({ bytes, at, length }: PartitionWindow) => bytes.subarray(at, at + length);

function batchRow(name: string, start: number, window: PartitionWindow): Row {
  const position = start + window.filePosition;
  const { offset, count, timestampMs, length, logicalBytes } = window;
  const cursor = new RecordCursor(batchBytes(window));
  const keys: string[] = [];
  while (keys.length < KEYS_SHOWN && cursor.next()) {
    if (cursor.keyStart >= 0) keys.push(shownText(keyOf(cursor)));
  }
  const last = offset + count - 1;
  return {
    json: {
      file: name,
      position,
      base_offset: offset,
      last_offset: last,
      count,
      timestamp_ms: timestampMs,
      stored_bytes: length,
      logical_bytes: logicalBytes,
      first_keys: keys,
    },
    text:
      `@${position}`.padEnd(11) +
      ` offsets ${offset}…${last} ${timeOf(timestampMs)} ${length} B` +
      (keys.length === 0 ? "" : ` keys ${keys.join(" ")}`),
  };
}

function* recordRows(window: PartitionWindow, { from, to }: SegmentView): Generator<Row, void> {
  const cursor = new RecordCursor(batchBytes(window));
  while (cursor.next()) {
    const { offset, timestampMs } = cursor;
    if (offset < from || offset > to) continue;
    const key = cursor.keyStart < 0 ? null : keyOf(cursor);
    const value = cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd);
    const keyed = key === null ? {} : textOrBase64("key", key);
    const headers = headersOf(cursor);
    yield {
      json: {
        offset,
        timestamp_ms: timestampMs,
        ...keyed,
        ...textOrBase64("value", value),
        ...(headers === null ? {} : { headers }),
      },
      text:
        `${offset} ${timeOf(timestampMs)} ` +
        (key === null ? "" : `${shownText(key)} → `) +
        shownText(value) +
        (headers === null ? "" : ` headers ${shownText(utf8(JSON.stringify(headers)))}`),
    };
  }
}

/** Null if the record has none. */
function headersOf({ bytes, headersStart, headersEnd }: RecordCursor) {
  if (headersEnd === headersStart) return null;
  const list = decodeHeaders(bytes, headersStart, headersEnd);
  return Object.fromEntries(list.map(({ name, value }) => [name, value]));
}

const keyOf = (cursor: RecordCursor): Uint8Array =>
  cursor.bytes.subarray(cursor.keyStart, cursor.keyEnd);
