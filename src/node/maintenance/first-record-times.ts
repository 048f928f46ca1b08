import type { PartitionState } from "../../broker/state.ts";
import { batchTimestamp } from "../../record/batch-header.ts";
import type { PartitionLog } from "../../storage/partitions/log.ts";

type Known = { readonly lowWatermark: number; readonly timestampMs: number };

/**
 * The times of the first records of partitions. They change only when records are deleted, so retention
 * by age does not look at the log of a partition before its first record is old enough: the logs of
 * many small partitions are not in memory.
 */
export class FirstRecordTimes {
  readonly #known = new WeakMap<PartitionState, Known>();

  /** True if it is known that the first record is not older than `oldestMs`. */
  isYoung(partition: PartitionState, oldestMs: number): boolean {
    const known = this.#known.get(partition);
    if (known === undefined || known.lowWatermark !== partition.lowWatermark) return false;
    return known.timestampMs >= oldestMs;
  }

  /**
   * Looks up the first record of a partition that is not empty.
   *
   * @throws PartitionDamaged
   */
  async note(partition: PartitionState, log: PartitionLog): Promise<void> {
    const { lowWatermark } = partition;
    const timestampMs = await firstTimeOf(log, lowWatermark);
    if (timestampMs !== null) this.#known.set(partition, { lowWatermark, timestampMs });
  }
}

/** @returns null if the record is gone. */
async function firstTimeOf(log: PartitionLog, offset: number): Promise<number | null> {
  const [first] = log.segments;
  if (first !== undefined && first.baseOffset >= offset) return first.firstTimestampMs;
  const [slice] = await log.read(offset, 1, 1);
  return slice === undefined || log.deleted ? null : batchTimestamp(slice, 0);
}
