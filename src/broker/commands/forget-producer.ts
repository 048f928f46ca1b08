import { checkedProducerId } from "../../broker/producer-sequence.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { LEVEL_SHARED_WORK } from "../../lib/log-levels.ts";
import type { HasProducers } from "../producers-part.ts";
import { type BrokerRejected, type HasBroker, rejected } from "../state.ts";

/** Forgets the last writes of a producer in all partitions of a topic. */
export type ForgetProducer = {
  readonly type: "forget_producer";
  readonly topicId: number;
  readonly id: string;
};

export type ForgetProducerResult =
  | {
      readonly ok: true;
      readonly type: "forget_producer";
      /** Number of partitions that the producer had written to. */
      readonly partitions: number;
    }
  | BrokerRejected<"topic_not_found" | "producer_not_found">;

export function applyForgetProducer(
  { broker, parts }: HasBroker & HasProducers,
  { topicId, id }: ForgetProducer,
): ForgetProducerResult {
  const topic = broker.topicsById.get(topicId);
  if (topic === undefined) return rejected("topic_not_found");
  const numbers = topic.partitions.map(({ partition }) => partition);
  const partitions = parts.producers.forget(topicId, numbers, id);
  if (partitions === 0) return rejected("producer_not_found");
  return { ok: true, type: "forget_producer", partitions };
}

export const forgetProducer: LeveledKind<
  ForgetProducer,
  ForgetProducerResult,
  HasBroker & HasProducers
> = {
  type: "forget_producer",
  tag: 31,
  level: LEVEL_SHARED_WORK,
  feature: "Numbered writes of producers",
  encode(body, { topicId, id }) {
    body.varint(topicId);
    body.text(id);
  },
  decode: (body) => ({
    type: "forget_producer",
    topicId: body.varint(),
    id: checkedProducerId(body.text()),
  }),
  apply: applyForgetProducer,
  summarize: ({ partitions }, summary) => summary.numbers(partitions, 0),
};
