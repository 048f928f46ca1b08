/** Exports as the API shows them. */
import type { PartitionState } from "../../broker/state.ts";
import type { ExportPartition, FoundExport } from "../../export/state.ts";
import { pathOf } from "../../parquet/layout.ts";
import { OffsetTrimmed, PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type {
  ExportCounts,
  ExportDescription,
  ExportPartitionSummary,
  ExportSummary,
} from "../export-api.ts";
import { nextRecord } from "./planner.ts";
import type { ExportStatus } from "./status.ts";

/** Partitions whose oldest record is looked up, so that a list of wide topics stays cheap. */
const LOOKUPS_MAX = 64;

export async function describe(
  found: FoundExport,
  status: ExportStatus,
  nowMs: number,
): Promise<ExportDescription> {
  const { one, topic } = found;
  const partitions: ExportPartitionSummary[] = [];
  for (const mine of one.partitions) {
    const its = topic.partitions[mine.partition];
    if (its === undefined) continue;
    const { partition, open } = mine;
    const nextOffset = Math.max(mine.next, its.lowWatermark);
    partitions.push({
      partition,
      nextOffset,
      endOffset: its.endOffset,
      writing: open === null ? null : pathOf({ topic: topic.name, partition, ...open }),
      files: mine.files,
      rows: mine.rows,
      bytes: mine.bytes,
      lost: mine.lost + Math.max(0, its.lowWatermark - mine.next),
      lagRecords: its.endOffset - nextOffset,
      lagMs: partitions.length < LOOKUPS_MAX ? await lagOf(mine, its, status, nowMs) : 0,
    });
  }
  const { definition } = one;
  return {
    ...sumOf(partitions),
    export: one.name,
    ...definition,
    state: one.isPaused ? "paused" : status.failures > 0 ? "retrying" : "running",
    manifest: one.manifest,
    failures: status.failures,
    lastError: status.lastError,
    lastErrorAtMs: status.lastErrorAtMs,
    partitions,
  };
}

export async function summaryOf(
  found: FoundExport,
  status: ExportStatus,
  nowMs: number,
): Promise<ExportSummary> {
  return await describe(found, status, nowMs);
}

function sumOf(partitions: readonly ExportCounts[]): ExportCounts {
  const sum = { files: 0, rows: 0, bytes: 0, lost: 0, lagRecords: 0, lagMs: 0 };
  for (const each of partitions) {
    sum.files += each.files;
    sum.rows += each.rows;
    sum.bytes += each.bytes;
    sum.lost += each.lost;
    sum.lagRecords += each.lagRecords;
    sum.lagMs = Math.max(sum.lagMs, each.lagMs);
  }
  return sum;
}

async function lagOf(
  mine: ExportPartition,
  its: PartitionState,
  status: ExportStatus,
  nowMs: number,
): Promise<number> {
  const offset = Math.max(mine.next, its.lowWatermark);
  if (offset >= its.endOffset) return 0;
  const known = status.next.get(mine.partition);
  try {
    const next = known?.offset === offset ? known : await nextRecord(its, offset);
    if (next === null) return 0;
    status.next.set(mine.partition, next);
    return Math.max(0, nowMs - next.timestampMs);
  } catch (error) {
    const isPassing = error instanceof OffsetTrimmed || error instanceof PartitionDamaged;
    if (!isPassing) throw error;
    return 0;
  }
}
