import type { BrokerState } from "../../broker/state.ts";
import { findQueueByName } from "../find.ts";
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
