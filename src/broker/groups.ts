import type { Offset } from "../record/offset.ts";
import { type BrokerState, type PartitionState, writableOffsets } from "./state.ts";

/** @returns null if the group has not committed here. */
export const committedOffset = (partition: PartitionState, group: string): Offset | null =>
  partition.committed.get(group) ?? null;

/** Sets the committed offset of a group. The offset must be within the partition. */
export function setCommitted(
  state: BrokerState,
  partition: PartitionState,
  group: string,
  offset: Offset,
): void {
  if (!partition.committed.has(group)) countOffset(state, group);
  writableOffsets(state, partition).set(group, offset);
}

/** Counts an offset of a group that had none in its partition. */
export function countOffset(state: BrokerState, group: string): void {
  state.groups.set(group, (state.groups.get(group) ?? 0) + 1);
  state.committedOffsets++;
}

/** Counts a removed offset of the group; without offsets the group is removed. */
export function forgetOffset(state: BrokerState, group: string): void {
  const left = (state.groups.get(group) ?? 0) - 1;
  if (left > 0) state.groups.set(group, left);
  else state.groups.delete(group);
  state.committedOffsets--;
}
