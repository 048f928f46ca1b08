import {
  type BrokerState,
  findTopic,
  type PartitionState,
  type TopicState,
} from "../broker/state.ts";
import type { Offset } from "../record/offset.ts";
import type { GroupsState, Slot } from "./state.ts";

/** How far a group is in a partition. */
export type Standing = {
  readonly group: string;
  readonly topic: TopicState;
  readonly partition: PartitionState;
  /** Null if the group has not committed here: it then begins at the low watermark. */
  readonly committed: Offset | null;
  /** Null if no member of the group has joined with the topic. */
  readonly slot: Slot | null;
};

/** The first record that the group has not worked off. */
export const firstUnread = (partition: PartitionState, committed: number | null): number =>
  Math.max(committed ?? 0, partition.lowWatermark);

/** Retained records that the group has not worked off. */
export const lagIn = (partition: PartitionState, committed: number | null): number =>
  partition.endOffset - firstUnread(partition, committed);

/** The groups that have joined or committed in the topic, sorted. */
export function groupsIn(groups: GroupsState, { name, partitions }: TopicState): string[] {
  const names = new Set<string>();
  for (const { committed } of partitions) for (const group of committed.keys()) names.add(group);
  for (const group of groups.byTopic.get(name) ?? []) names.add(group.name);
  return [...names].sort();
}

/** Every partition of the topic, also those in which the group has not committed. */
export function* standingsIn(
  groups: GroupsState,
  topic: TopicState,
  group: string,
): Generator<Standing> {
  const slots = groups.byName.get(group)?.topics.get(topic.name)?.slots;
  for (const partition of topic.partitions) {
    const committed = partition.committed.get(group) ?? null;
    yield { group, topic, partition, committed, slot: slots?.[partition.partition] ?? null };
  }
}

/** The topics that the group has joined or committed in, in the order of their ids. */
export function topicsOf(groups: GroupsState, broker: BrokerState, group: string): TopicState[] {
  const topics = new Set<TopicState>();
  for (const name of groups.byName.get(group)?.topics.keys() ?? []) {
    const topic = findTopic(broker, name);
    if (topic !== undefined) topics.add(topic);
  }
  if (broker.groups.has(group)) {
    for (const topic of broker.userTopics.values()) {
      if (topic.partitions.some(({ committed }) => committed.has(group))) topics.add(topic);
    }
  }
  return [...topics].sort((a, b) => a.topicId - b.topicId);
}

export type TopicLag = {
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  readonly lag: number;
};

/** The lag of all groups by topic, without a walk over partitions in which they have not committed. */
export function* topicLags(groups: GroupsState, broker: BrokerState): Generator<TopicLag> {
  for (const topic of broker.userTopics.values()) {
    const read = new Map<string, number>();
    for (const group of groups.byTopic.get(topic.name) ?? []) read.set(group.name, 0);
    let kept = 0;
    for (const partition of topic.partitions) {
      const all = lagIn(partition, null);
      kept += all;
      for (const [group, committed] of partition.committed) {
        read.set(group, (read.get(group) ?? 0) + all - lagIn(partition, committed));
      }
    }
    const partitions = topic.partitions.length;
    for (const [group, count] of read) {
      yield { group, topic: topic.name, partitions, lag: kept - count };
    }
  }
}
