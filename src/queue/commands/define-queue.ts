import { applyCreateTopic } from "../../broker/commands/create-topic.ts";
import type { BrokerEffects, BrokerState, HasBroker, TopicState } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { decodeDefineQueue, encodeDefineQueue } from "../command-format.ts";
import {
  fixedDifference,
  isOwnedQueue,
  isSameDefinition,
  QUEUES_FEATURE,
  QUEUES_LEVEL,
  QUEUES_MAX,
  type QueueDefinition,
} from "../definition.ts";
import { findQueueByName } from "../find.ts";
import type { HasQueues } from "../state.ts";
import {
  addQueue,
  QueuePartition,
  type QueueRejected,
  QueueState,
  type QueuesState,
  queueRejected,
} from "../state.ts";
import { removeOrphans } from "./forget-queues.ts";

export type DefineQueue = {
  readonly type: "define_queue";
  readonly name: string;
  readonly definition: QueueDefinition;
};

export type DefineQueueResult =
  | {
      readonly ok: true;
      readonly type: "define_queue";
      readonly queueId: number;
      /** False if the queue existed already; its definition may have changed. */
      readonly created: boolean;
    }
  | QueueRejected<"queue_exists" | "too_many_queues" | "topic_not_found" | "too_many_partitions">;

export type OwnedQueueResult =
  | Extract<DefineQueueResult, { readonly ok: true }>
  | QueueRejected<"queue_exists" | "topic_not_found" | "too_many_partitions">;

/** Creates a queue or changes its definition. Creates the dead-letter topic if it does not exist. */
export function applyDefineQueue(
  state: QueuesState,
  broker: BrokerState,
  command: DefineQueue,
  effects: BrokerEffects,
): DefineQueueResult {
  return define(state, broker, command, effects, QUEUES_MAX);
}

/** The same for a queue that another part of the state owns, and whose number that part bounds. */
export function defineOwnedQueue(
  state: QueuesState,
  broker: BrokerState,
  queue: Omit<DefineQueue, "type">,
  effects: BrokerEffects,
): OwnedQueueResult {
  const result = define(state, broker, queue, effects, Number.POSITIVE_INFINITY);
  // Without a bound there are never too many.
  return result as OwnedQueueResult;
}

function define(
  state: QueuesState,
  broker: BrokerState,
  { name, definition }: Omit<DefineQueue, "type">,
  effects: BrokerEffects,
  max: number,
): DefineQueueResult {
  const topic = broker.topicsByName.get(definition.topic);
  if (topic === undefined) return queueRejected("topic_not_found");
  const found = findQueueByName(state, broker, name);
  const different =
    found === undefined ? null : fixedDifference(found.queue.definition, definition);
  if (different !== null) return queueRejected("queue_exists", { field: different });
  if (found === undefined) {
    removeOrphans(state, broker);
    if (state.byName.size >= max && ownQueues(state) >= max) {
      return queueRejected("too_many_queues", { queues_max: QUEUES_MAX });
    }
  }
  const rejected = ensureDeadLetterTopic(broker, definition, effects);
  if (rejected !== null) return rejected;
  if (found === undefined) {
    const { queueId } = create(state, topic, name, definition);
    return { ok: true, type: "define_queue", queueId, created: true };
  }
  const { queue } = found;
  if (!isSameDefinition(queue.definition, definition)) queue.definition = definition;
  return { ok: true, type: "define_queue", queueId: queue.queueId, created: false };
}

function create(
  state: QueuesState,
  topic: TopicState,
  name: string,
  definition: QueueDefinition,
): QueueState {
  const isLatest = definition.from === "latest";
  const partitions = topic.partitions.map(
    ({ partition, lowWatermark, endOffset }) =>
      new QueuePartition(partition, isLatest ? endOffset : lowWatermark),
  );
  const queue = new QueueState(state.nextQueueId++, name, topic.topicId, definition, partitions);
  addQueue(state, queue);
  return queue;
}

/** Number of queues that clients have made. */
function ownQueues({ byName }: QueuesState): number {
  let count = 0;
  for (const name of byName.keys()) if (!isOwnedQueue(name)) count++;
  return count;
}

/** @returns why the dead-letter topic cannot be created, or null if it exists or is not needed. */
export function ensureDeadLetterTopic(
  broker: BrokerState,
  { deadLetter }: QueueDefinition,
  effects: BrokerEffects,
): QueueRejected<"too_many_partitions"> | null {
  if (deadLetter === null || broker.topicsByName.has(deadLetter)) return null;
  const command = { type: "create_topic", name: deadLetter, partitions: 1 } as const;
  const created = applyCreateTopic(broker, command, effects);
  return created.ok ? null : queueRejected("too_many_partitions", created.details);
}

export const defineQueue: LeveledKind<
  DefineQueue,
  DefineQueueResult,
  HasBroker & HasQueues,
  BrokerEffects
> = {
  type: "define_queue",
  tag: 60,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: encodeDefineQueue,
  decode: decodeDefineQueue,
  apply: ({ broker, parts }, command, effects) =>
    applyDefineQueue(parts.queues, broker, command, effects),
  summarize: ({ queueId }, summary) => summary.numbers(queueId, 0),
};
