import { feature as faultPoint } from "bun:bundle";
import type { CommandKind } from "../../lib/command-kind.ts";
import { forgetOffset } from "../groups.ts";
import { forgetKeys } from "../idempotency.ts";
import type { HasProducers } from "../producers-part.ts";
import {
  type BrokerEffects,
  type BrokerRejected,
  type HasBroker,
  rejected,
  removeTopic,
} from "../state.ts";

export type DeleteTopic = { readonly type: "delete_topic"; readonly name: string };

export type DeleteTopicResult =
  | { readonly ok: true; readonly type: "delete_topic"; readonly topicId: number }
  | BrokerRejected<"topic_not_found">;

/** Deletes a topic with its groups, idempotency keys, producers and policies. */
export function applyDeleteTopic(
  { broker: state, parts }: HasBroker & HasProducers,
  command: DeleteTopic,
  effects: BrokerEffects,
): DeleteTopicResult {
  const topic = state.topicsByName.get(command.name);
  if (topic === undefined) return rejected("topic_not_found");
  removeTopic(state, topic);
  for (const partition of topic.partitions) {
    for (const group of partition.committed.keys()) forgetOffset(state, group);
    forgetKeys(state, partition);
  }
  if (!faultPoint("producers-outlive-their-topic")) {
    parts.producers.forgetTopic(topic.topicId, topic.partitions.length);
  }
  effects.topicDeleted(topic);
  return { ok: true, type: "delete_topic", topicId: topic.topicId };
}

export const deleteTopic: CommandKind<
  DeleteTopic,
  DeleteTopicResult,
  HasBroker & HasProducers,
  BrokerEffects
> = {
  type: "delete_topic",
  tag: 2,
  summaryId: 9,
  encode: (body, { name }) => body.text(name),
  decode: (body) => ({ type: "delete_topic", name: body.text() }),
  apply: applyDeleteTopic,
};
