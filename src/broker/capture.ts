import type { Offset } from "../record/offset.ts";
import type { DedupeCapture } from "./dedupe-table.ts";
import type { BrokerState, LevelPolicy, PartitionState, TopicState } from "./state.ts";

export type PartitionCapture = {
  readonly partition: PartitionState;
  readonly lowWatermark: Offset;
  readonly endOffset: Offset;
  readonly bytesBelowLow: number;
  readonly bytesEnd: number;
  readonly committed: ReadonlyMap<string, Offset>;
  readonly policy: LevelPolicy;
  readonly dedupe: DedupeCapture | null;
};

export type TopicCapture = {
  readonly topic: TopicState;
  readonly policy: LevelPolicy;
  readonly partitions: readonly PartitionCapture[];
};

/**
 * Takes references and a few numbers of each partition, and raises the epoch: from then on, commands
 * copy the offsets of a partition before they first change them. Policies are replaced, and
 * idempotency keys are only added.
 */
export function captureTopics(broker: BrokerState): TopicCapture[] {
  broker.epoch++;
  const topics: TopicCapture[] = [];
  for (const topic of broker.topicsById.values()) {
    const partitions = topic.partitions.map(capturePartition);
    topics.push({ topic, policy: topic.policy, partitions });
  }
  return topics;
}

const capturePartition = (partition: PartitionState): PartitionCapture => ({
  partition,
  lowWatermark: partition.lowWatermark,
  endOffset: partition.endOffset,
  bytesBelowLow: partition.bytesBelowLow,
  bytesEnd: partition.bytesEnd,
  committed: partition.committed,
  policy: partition.policy,
  dedupe: partition.dedupe?.capture() ?? null,
});
