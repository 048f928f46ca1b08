import { findTopic, type PartitionState, type TopicState } from "../../broker/state.ts";
import type { Machine } from "../../machine/machine.ts";
import type { PartitionRef } from "../api.ts";
import type { CannotCatchUp, Linearizer } from "./linearizer.ts";

export type Found =
  | { readonly ok: true; readonly topic: TopicState; readonly partition: PartitionState }
  | { readonly ok: false; readonly code: "topic_not_found" }
  | ReturnType<typeof partitionNotFound>;

export function findPartition(machine: Machine, ref: PartitionRef): Found {
  const topic = findTopic(machine.broker, ref.topic);
  if (topic === undefined) return { ok: false, code: "topic_not_found" };
  const partition = topic.partitions[ref.partition];
  if (partition === undefined) return partitionNotFound(ref.partition, topic.partitions.length);
  return { ok: true, topic, partition };
}

/** Before it reports an unknown topic, a lagging node catches up with the leader. */
export async function findAfterCatchUp(
  machine: Machine,
  ref: PartitionRef,
  linearizer: Pick<Linearizer, "catchUp">,
): Promise<Found | CannotCatchUp> {
  const found = findPartition(machine, ref);
  if (found.ok) return found;
  return (await linearizer.catchUp()) ?? findPartition(machine, ref);
}

/** An offset beyond the end, or of a deleted topic with the same name. */
export const offsetOutOfRange = (endOffset: number, message: string) =>
  ({
    ok: false,
    code: "offset_out_of_range",
    message,
    details: { endOffset },
  }) as const;

/**
 * Checks whether an offset is beyond the end. A lagging node first catches up with the leader.
 *
 * @returns why `offset` cannot be read, or null. After null the caller must look the partition up
 *   again, because it may have been replaced.
 */
export async function beyondEnd(
  machine: Machine,
  ref: PartitionRef,
  offset: number,
  linearizer: Pick<Linearizer, "catchUp">,
): Promise<CannotCatchUp | ReturnType<typeof offsetOutOfRange> | null> {
  const behind = await linearizer.catchUp();
  const found = findPartition(machine, ref);
  if (!found.ok || offset <= found.partition.endOffset) return null;
  const { endOffset } = found.partition;
  if (behind === null) {
    const beyond = `Offset ${offset} is beyond the end of topic "${ref.topic}", partition ${ref.partition}, which is ${endOffset}`;
    return offsetOutOfRange(
      endOffset,
      `${beyond}: it may come from before the topic was deleted or restored`,
    );
  }
  const message = `This node has records up to ${endOffset} and could not learn from the leader in time whether there is one at ${offset}: try again, or ask another node`;
  return { ...behind, message };
}

export const partitionNotFound = (partition: number, partitions: number) =>
  ({
    ok: false,
    code: "partition_not_found",
    message: `Partition ${partition} does not exist: the topic has partitions 0 to ${partitions - 1}`,
  }) as const;
