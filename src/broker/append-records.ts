import type { Millis } from "../lib/ids.ts";
import type { Offset } from "../record/offset.ts";
import type { BrokerEffects, PartitionState } from "./state.ts";

/** Complete encoded batches, back to back. */
export type Records = {
  readonly count: number;
  readonly logicalBytes: number;
  readonly batches: Uint8Array;
};

/** Gives records the next offsets of a partition. @returns the first of them. */
export function appendRecords(
  partition: PartitionState,
  { count, logicalBytes, batches }: Records,
  now: Millis,
  effects: BrokerEffects,
): Offset {
  const firstOffset = partition.endOffset;
  partition.endOffset = (firstOffset + count) as Offset;
  partition.bytesEnd += logicalBytes;
  effects.append(partition, batches, firstOffset, now, count, logicalBytes);
  return firstOffset;
}
