/**
 * Topics that other parts of the state store their records in. They have one partition, are not among
 * the topics that users see and do not count as their partitions. Their names are not valid topic names,
 * so no request can reach them.
 */
import {
  addTopic,
  type BrokerEffects,
  type BrokerState,
  PartitionState,
  removeTopic,
  streamTopicName,
  TopicState,
} from "./state.ts";

/** Adds a topic that is named after its id. */
export function createHiddenTopic(state: BrokerState, effects: BrokerEffects): TopicState {
  const topicId = state.nextTopicId++;
  const partitions = [new PartitionState(topicId, 0)];
  const topic = new TopicState(topicId, streamTopicName(topicId), partitions);
  addTopic(state, topic);
  effects.topicCreated(topic);
  return topic;
}

/** Deletes a topic with its records. */
export function deleteHiddenTopic(
  state: BrokerState,
  topicId: number,
  effects: BrokerEffects,
): void {
  const topic = state.topicsById.get(topicId);
  if (topic === undefined) return;
  removeTopic(state, topic);
  effects.topicDeleted(topic);
}
