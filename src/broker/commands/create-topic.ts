import { atLeastOne, type CommandKind } from "../../lib/command-kind.ts";
import type { HasBroker } from "../state.ts";
import {
  addTopic,
  type BrokerEffects,
  type BrokerRejected,
  type BrokerState,
  PartitionState,
  rejected,
  TopicState,
} from "../state.ts";

export type CreateTopic = {
  readonly type: "create_topic";
  readonly name: string;
  readonly partitions: number;
};

export type CreateTopicResult =
  | {
      readonly ok: true;
      readonly type: "create_topic";
      readonly topicId: number;
      readonly partitions: number;
      /** False if the topic existed already. */
      readonly created: boolean;
    }
  | BrokerRejected<"topic_exists" | "too_many_partitions">;

export function applyCreateTopic(
  state: BrokerState,
  command: CreateTopic,
  effects: BrokerEffects,
): CreateTopicResult {
  const { name, partitions } = command;
  const existing = state.topicsByName.get(name);
  if (existing !== undefined) {
    const present = existing.partitions.length;
    if (present !== partitions) return rejected("topic_exists", { partitions: present });
    const { topicId } = existing;
    return { ok: true, type: "create_topic", topicId, partitions, created: false };
  }
  const { partitionsMax } = state.limits;
  if (state.partitionCount + partitions > partitionsMax) {
    return rejected("too_many_partitions", { partitions_max: partitionsMax });
  }
  const topicId = state.nextTopicId++;
  const list: PartitionState[] = [];
  for (let i = 0; i < partitions; i++) list.push(new PartitionState(topicId, i));
  const topic = new TopicState(topicId, name, list);
  addTopic(state, topic);
  effects.topicCreated(topic);
  return { ok: true, type: "create_topic", topicId, partitions, created: true };
}

export const createTopic: CommandKind<CreateTopic, CreateTopicResult, HasBroker, BrokerEffects> = {
  type: "create_topic",
  tag: 1,
  summaryId: 8,
  encode(body, { name, partitions }) {
    body.text(name);
    body.varint(partitions);
  },
  decode: (body) => ({
    type: "create_topic",
    name: body.text(),
    partitions: atLeastOne(body.varint()),
  }),
  apply: ({ broker }, command, effects) => applyCreateTopic(broker, command, effects),
};
