/** Decides where the next file of a partition ends. */
import type { PartitionState } from "../../broker/state.ts";
import type { ExportDefinition } from "../../export/definition.ts";
import type { ExportPartition } from "../../export/state.ts";
import { dayOf, dayStartMs } from "../../parquet/layout.ts";
import { batchTimestamp } from "../../record/batch-header.ts";
import { handleOf } from "../partition-handle.ts";

/** The record at the next offset of an export: it is read once, however often it is asked for. */
export type NextRecord = {
  readonly offset: number;
  readonly timestampMs: number;
  /** Logical bytes of the partition before it. */
  readonly bytesBefore: number;
};

export type Range = { readonly first: number; readonly end: number; readonly day: number };

/** @throws PartitionDamaged, OffsetTrimmed */
export async function nextRecord(its: PartitionState, offset: number): Promise<NextRecord | null> {
  const { log } = handleOf(its);
  const [slice] = await log.read(offset, 1, 1);
  if (slice === undefined) return null;
  const bytesBefore = await log.bytesBefore(offset);
  return { offset, timestampMs: batchTimestamp(slice, 0), bytesBefore };
}

/** True if the next file should be written now: it is large, old or complete, or asked for. */
export function isDue(
  definition: ExportDefinition,
  mine: ExportPartition,
  its: PartitionState,
  next: NextRecord,
  nowMs: number,
): boolean {
  const day = dayOf(next.timestampMs);
  return (
    mine.flushTo > next.offset ||
    nowMs >= next.timestampMs + definition.everyMs ||
    its.bytesEnd - next.bytesBefore >= definition.maxBytes ||
    dayOf(handleOf(its).log.lastTimestampMs) > day
  );
}

/** The range of the next file: to the end, but of one day, and of a size. @throws as `nextRecord` */
export async function rangeFrom(
  { maxBytes }: ExportDefinition,
  its: PartitionState,
  { offset, timestampMs, bytesBefore }: NextRecord,
): Promise<Range> {
  const { log } = handleOf(its);
  const day = dayOf(timestampMs);
  let end: number = its.endOffset;
  if (dayOf(log.lastTimestampMs) > day) {
    end = Math.min(end, await log.offsetAtTime(dayStartMs(day + 1)));
  }
  if (its.bytesEnd - bytesBefore > maxBytes) {
    end = Math.min(end, await log.offsetAtBytes(bytesBefore + maxBytes));
  }
  return { first: offset, end: Math.max(end, offset + 1), day };
}
