import type { PartitionLog } from "./log.ts";
import type { SegmentState } from "./segment-state.ts";

/** The part of a partition that a consistent point must make durable. */
export type CutTarget = {
  readonly log: PartitionLog;
  readonly target: number;
  readonly segments: readonly SegmentState[];
};

/** Returns the segments with bytes that are not durable yet, before they can be trimmed. */
export function targetOf(log: PartitionLog): CutTarget {
  const { appendedTo } = log;
  const { syncedTo } = log.flush;
  const segments = log.segments.filter(
    ({ end, length, shared }) => length > 0 && end > syncedTo && shared === null,
  );
  return { log, target: appendedTo, segments };
}
