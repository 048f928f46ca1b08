import type { BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { QUEUES_FEATURE, QUEUES_LEVEL } from "../definition.ts";
import { findQueueByName } from "../find.ts";
import type { HasQueues } from "../state.ts";
import { type QueueRejected, type QueuesState, queueRejected, removeQueue } from "../state.ts";

export type DeleteQueue = { readonly type: "delete_queue"; readonly name: string };

export type DeleteQueueResult =
  | { readonly ok: true; readonly type: "delete_queue"; readonly queueId: number }
  | QueueRejected<"queue_not_found">;

/** Deletes a queue. Its topic and its dead letters stay. */
export function applyDeleteQueue(
  state: QueuesState,
  broker: BrokerState,
  { name }: DeleteQueue,
): DeleteQueueResult {
  const found = findQueueByName(state, broker, name);
  if (found === undefined) return queueRejected("queue_not_found");
  removeQueue(state, found.queue);
  return { ok: true, type: "delete_queue", queueId: found.queue.queueId };
}

export const deleteQueue: LeveledKind<DeleteQueue, DeleteQueueResult, HasBroker & HasQueues> = {
  type: "delete_queue",
  tag: 61,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: (body, { name }) => body.text(name),
  decode: (body) => ({ type: "delete_queue", name: body.text() }),
  apply: ({ broker, parts }, command) => applyDeleteQueue(parts.queues, broker, command),
  summarize: ({ queueId }, summary) => summary.numbers(queueId, 0),
};
