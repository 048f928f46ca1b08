/** Decides the ranges of an export that are due, and tells the machine of records that are lost. */
import type { PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { Random } from "../../env/random.ts";
import { planExportFile } from "../../export/commands/export-file.ts";
import type { ExportDefinition } from "../../export/definition.ts";
import type { ExportPartition, FoundExport } from "../../export/state.ts";
import { OffsetTrimmed, PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Commander } from "../writes/commander.ts";
import { isDue, nextRecord, type Range, rangeFrom } from "./planner.ts";
import type { ExportStatus } from "./status.ts";

const COMMAND_BYTES = 1024;
/** Ranges that are decided at a time. */
const PLANS_AT_ONCE = 64;

export type PlanOptions = {
  readonly commander: Commander;
  readonly clock: Clock;
  readonly random: Random;
};

export async function planRanges(
  { one, topic }: FoundExport,
  status: ExportStatus,
  options: PlanOptions,
): Promise<void> {
  let plans: Promise<void>[] = [];
  for (const mine of one.partitions) {
    const its = topic.partitions[mine.partition];
    if (its === undefined || !needsPlan(mine, its)) continue;
    plans.push(planPartition(one, mine, its, status, options));
    if (plans.length < PLANS_AT_ONCE) continue;
    await Promise.all(plans);
    plans = [];
  }
  await Promise.all(plans);
}

const needsPlan = (mine: ExportPartition, its: PartitionState): boolean =>
  mine.next < its.lowWatermark || (mine.open === null && mine.next < its.endOffset);

async function planPartition(
  { exportId, definition }: FoundExport["one"],
  mine: ExportPartition,
  its: PartitionState,
  status: ExportStatus,
  { commander, clock, random }: PlanOptions,
): Promise<void> {
  const { partition } = mine;
  try {
    const range = await dueRange(definition, mine, its, status, clock.now());
    if (range === null) return;
    await commander.run({
      kind: planExportFile,
      fields: { exportId, partition, ...range },
      bytes: COMMAND_BYTES,
      done: () => null,
    });
  } catch (error) {
    if (error instanceof OffsetTrimmed) return;
    if (!(error instanceof PartitionDamaged)) throw error;
    status.failed(`partition ${partition}: ${error.message}`, clock.now(), random);
  }
}

/** @returns null if no file is due. @throws PartitionDamaged, OffsetTrimmed */
async function dueRange(
  definition: ExportDefinition,
  mine: ExportPartition,
  its: PartitionState,
  { next: known }: ExportStatus,
  nowMs: number,
): Promise<Range | null> {
  const { partition } = mine;
  const offset = Math.max(mine.next, its.lowWatermark);
  const isLost = mine.next < its.lowWatermark;
  const kept = known.get(partition);
  const next = kept?.offset === offset ? kept : await nextRecord(its, offset);
  // An empty range only tells the machine that records are lost.
  if (next === null) return isLost ? { first: offset, end: offset, day: 0 } : null;
  if (next.offset !== offset) return null;
  known.set(partition, next);
  if (!isLost && !isDue(definition, mine, its, next, nowMs)) return null;
  return await rangeFrom(definition, its, next);
}
