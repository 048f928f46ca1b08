import type { BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { QUEUES_FEATURE, QUEUES_LEVEL } from "../definition.ts";
import { findQueueByName } from "../find.ts";
import { finishBelow, followRetention } from "../items.ts";
import type { HasQueues } from "../state.ts";
import { type QueueRejected, type QueuesState, queueRejected } from "../state.ts";

export type PurgeQueue = { readonly type: "purge_queue"; readonly name: string };

export type PurgeQueueResult =
  | { readonly ok: true; readonly type: "purge_queue"; readonly purged: number }
  | QueueRejected<"queue_not_found">;

/** Finishes all present records, also the leased ones. The topic keeps them. */
export function applyPurgeQueue(
  state: QueuesState,
  broker: BrokerState,
  { name }: PurgeQueue,
): PurgeQueueResult {
  const found = findQueueByName(state, broker, name);
  if (found === undefined) return queueRejected("queue_not_found");
  const { queue, topic } = found;
  let purged = 0;
  for (const its of topic.partitions) {
    const mine = queue.partitions[its.partition];
    if (mine === undefined) continue;
    followRetention(state, queue, mine, its);
    if (its.endOffset > mine.low) purged += finishBelow(state, queue, mine, its.endOffset);
  }
  queue.purged += purged;
  return { ok: true, type: "purge_queue", purged };
}

export const purgeQueue: LeveledKind<PurgeQueue, PurgeQueueResult, HasBroker & HasQueues> = {
  type: "purge_queue",
  tag: 68,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: (body, { name }) => body.text(name),
  decode: (body) => ({ type: "purge_queue", name: body.text() }),
  apply: ({ broker, parts }, command) => applyPurgeQueue(parts.queues, broker, command),
  summarize: ({ purged }, summary) => summary.numbers(purged, 0),
};
