import type { PartitionState } from "../../broker/state.ts";
import type { Machine } from "../../machine/machine.ts";
import { RecordCursor } from "../../record/batch-reader.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { ConsumeReject, OffsetAt, OffsetsAt, OffsetsAtRequest, Result } from "../api.ts";
import { handleOf } from "../partition-handle.ts";
import { findAfterCatchUp } from "./find-partition.ts";
import type { Linearizer } from "./linearizer.ts";

/**
 * Finds the first record of each partition that is not older than a time. Times never decrease
 * within a partition, so the sparse indexes find it without a scan of the records.
 */
export async function offsetsAt(
  machine: Machine,
  linearizer: Linearizer,
  request: OffsetsAtRequest,
): Promise<Result<OffsetsAt, ConsumeReject>> {
  if (request.linearizable) {
    const outcome = await linearizer.confirm();
    if (outcome !== "ok") return { ok: false, code: outcome };
  }
  const ref = { topic: request.topic, partition: request.partition ?? 0 };
  const found = await findAfterCatchUp(machine, ref, linearizer);
  if (!found.ok) return found;
  const { topicId, partitions } = found.topic;
  const asked = request.partition === null ? partitions : [found.partition];
  const offsets: OffsetAt[] = [];
  try {
    for (const partition of asked) offsets.push(await offsetAt(partition, request.timeMs));
  } catch (error) {
    if (error instanceof PartitionDamaged) return { ok: false, code: "data_damaged" };
    throw error;
  }
  return { ok: true, topicId, offsets };
}

async function offsetAt(state: PartitionState, timeMs: number): Promise<OffsetAt> {
  const { log } = handleOf(state);
  const { partition } = state;
  for (;;) {
    // Records that are appended during the search are after `endOffset`.
    const end = state.endOffset;
    const offset = Math.max(await log.offsetAtTime(timeMs), state.lowWatermark);
    if (offset >= end || log.deleted) {
      return { partition, offset: Math.max(end, offset), timestampMs: null };
    }
    const slices = await log.read(offset, 1, 1);
    const timestampMs = timestampAt(slices, offset);
    if (timestampMs !== null) return { partition, offset, timestampMs };
    // Trimmed during the read: the first retained record is a later one.
  }
}

function timestampAt(slices: readonly Uint8Array[], offset: number): number | null {
  for (const slice of slices) {
    const cursor = new RecordCursor(slice);
    if (cursor.seek(offset)) return cursor.timestampMs;
  }
  return null;
}
