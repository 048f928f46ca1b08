import { findTopic, type PartitionState, type TopicState } from "../broker/state.ts";
import type { Machine } from "../machine/machine.ts";
import type { PartitionRef } from "./api.ts";
import type { Doubt, Linearizer } from "./linearizer.ts";

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

/** A topic that this node does not know may be in what it is about to get: that is asked first. */
export async function findSurely(
  machine: Machine,
  ref: PartitionRef,
  linearizer: Pick<Linearizer, "doubt">,
): Promise<Found | Doubt> {
  const found = findPartition(machine, ref);
  if (found.ok) return found;
  return (await linearizer.doubt()) ?? findPartition(machine, ref);
}

export const partitionNotFound = (partition: number, partitions: number) =>
  ({
    ok: false,
    code: "partition_not_found",
    message: `Partition ${partition} does not exist: the topic has partitions 0 to ${partitions - 1}`,
  }) as const;
