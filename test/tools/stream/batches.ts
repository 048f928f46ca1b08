import { BatchBuilder } from "../../../src/record/batch-builder.ts";
import { batchCount, batchLength, stampBatch } from "../../../src/record/batch-header.ts";

/** Stored batches of these values, as the partition log has them; offsets from 0, one timestamp. */
export function buildBatches(values: readonly string[], timestampMs = 1000): Uint8Array {
  const encoder = new TextEncoder();
  const builder = new BatchBuilder();
  for (const value of values) builder.add(encoder.encode("key"), encoder.encode(value));
  const { bytes } = builder.finish();
  let offset = 0;
  for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
    stampBatch(bytes, at, offset, timestampMs, 0);
    offset += batchCount(bytes, at);
  }
  return bytes;
}
