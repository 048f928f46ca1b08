/**
 * Encodes messages as batches, the form in which a server stores records: src/docs/batches.md has the
 * format. The bytes are those that a server makes of the same records, which a test compares.
 */
import { varintLength, writeVarint } from "../lib/bytes.ts";
import { crc32Range } from "../lib/crc32-range.ts";

/** A message without headers. */
export type BatchRecord = {
  readonly key: Uint8Array | null;
  readonly content: Uint8Array;
};

export const BATCH_TYPE = "application/vnd.ayder.batch";

const HEADER_BYTES = 40;
/** A batch of several records has at most this many bytes. */
const BATCH_BYTES_MAX = 32 * 1024;
const VERSION_AT = 36;
const BARE = 1;
/** Bytes of two varints. */
const LENGTHS_BYTES_MAX = 10;

/** Returns batches back to back, with all records in order. */
export function encodeBatches(records: readonly BatchRecord[]): Uint8Array {
  const bytes = new Uint8Array(spaceFor(records));
  const view = new DataView(bytes.buffer);
  let start = 0;
  let end = 0;
  let count = 0;
  let logicalBytes = 0;
  const close = () => {
    view.setUint32(start, end - start, true);
    view.setUint32(start + 24, count, true);
    view.setUint32(start + 28, crc32Range(bytes, start + HEADER_BYTES, end), true);
    view.setUint32(start + 32, logicalBytes, true);
    bytes[start + VERSION_AT] = BARE;
    start = end;
    count = 0;
    logicalBytes = 0;
  };
  for (const { key, content } of records) {
    if (count > 0 && end - start + sizeOf(key, content) > BATCH_BYTES_MAX) close();
    if (count === 0) end += HEADER_BYTES;
    end = writeVarint(bytes, end, key === null ? 0 : key.length + 1);
    if (key !== null) end = write(bytes, end, key);
    end = writeVarint(bytes, end, content.length);
    end = write(bytes, end, content);
    count++;
    logicalBytes += content.length + (key?.length ?? 0);
  }
  if (count > 0) close();
  return bytes.subarray(0, end);
}

/** At most this many bytes: each record may begin a batch. */
function spaceFor(records: readonly BatchRecord[]): number {
  let bytes = 0;
  for (const { key, content } of records) {
    bytes += HEADER_BYTES + LENGTHS_BYTES_MAX + (key?.length ?? 0) + content.length;
  }
  return bytes;
}

const sizeOf = (key: Uint8Array | null, { length }: Uint8Array): number =>
  (key === null ? 1 : varintLength(key.length + 1) + key.length) + varintLength(length) + length;

/** A loop for a few bytes: calling the engine to copy them takes longer. */
function write(to: Uint8Array, position: number, part: Uint8Array): number {
  const { length } = part;
  if (length > 48) to.set(part, position);
  else for (let i = 0; i < length; i++) to[position + i] = part[i] as number;
  return position + length;
}
