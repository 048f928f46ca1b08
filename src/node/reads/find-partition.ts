import { findTopic, type PartitionState, type TopicState } from "../../broker/state.ts";
import type { Machine } from "../../machine/machine.ts";
import type { PartitionRef } from "../api.ts";
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

/** A position beyond the end, or in a topic of the same name that was deleted since. */
export const offsetOutOfRange = (endOffset: number, message: string) =>
  ({
    ok: false,
    code: "offset_out_of_range",
    message,
    details: { end_offset: endOffset },
  }) as const;

/**
 * Looks whether an offset is beyond the end; a node that lags asks the leader before it says so.
 *
 * @returns why there is nothing to read at `offset`, or null: the caller looks again, since the
 *   partition may be another one by now.
 */
export async function beyondEnd(
  machine: Machine,
  ref: PartitionRef,
  offset: number,
  linearizer: Pick<Linearizer, "doubt">,
): Promise<Doubt | ReturnType<typeof offsetOutOfRange> | null> {
  const doubt = await linearizer.doubt();
  const found = findPartition(machine, ref);
  if (!found.ok || offset <= found.partition.endOffset) return null;
  const { endOffset } = found.partition;
  if (doubt === null) {
    const beyond = `Offset ${offset} is beyond the end of topic "${ref.topic}", partition ${ref.partition}, which is ${endOffset}`;
    return offsetOutOfRange(
      endOffset,
      `${beyond}: it may come from before the topic was deleted or restored`,
    );
  }
  const message = `This node has records up to ${endOffset} and could not learn from the leader in time whether there is one at ${offset}: try again, or ask another node`;
  return { ...doubt, message };
}

export const partitionNotFound = (partition: number, partitions: number) =>
  ({
    ok: false,
    code: "partition_not_found",
    message: `Partition ${partition} does not exist: the topic has partitions 0 to ${partitions - 1}`,
  }) as const;
