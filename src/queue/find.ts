import { feature as faultPoint } from "bun:bundle";
import type { BrokerState, PartitionState, TopicState } from "../broker/state.ts";
import type { QueueItem, QueueState, QueuesState } from "./state.ts";
import { type QueuePartition, type QueueRejected, queueRejected } from "./state.ts";

/** A queue whose topic exists. */
export type FoundQueue = { readonly queue: QueueState; readonly topic: TopicState };

export function findQueue(
  state: QueuesState,
  broker: BrokerState,
  queueId: number,
): FoundQueue | QueueRejected<"queue_not_found"> {
  const queue = state.byId.get(queueId);
  const topic = queue === undefined ? undefined : broker.topicsById.get(queue.topicId);
  if (queue === undefined || topic === undefined) return queueRejected("queue_not_found");
  return { queue, topic };
}

/** @returns undefined if there is no such queue, or its topic was deleted. */
export function findQueueByName(
  state: QueuesState,
  broker: BrokerState,
  name: string,
): FoundQueue | undefined {
  const queue = state.byName.get(name);
  const topic = queue === undefined ? undefined : broker.topicsById.get(queue.topicId);
  return queue === undefined || topic === undefined ? undefined : { queue, topic };
}

/** Names one delivery of a record: what a receipt says. */
export type LeaseRef = {
  readonly partition: number;
  readonly offset: number;
  readonly attempt: number;
};

export type LeaseError = "lease_expired" | "unknown_receipt";

/**
 * Returns the item of a lease that is in force at `now`. A delivery that ended in any way, also by
 * an acknowledgement, is a lease that expired. One that never was is unknown.
 */
export function findLease(queue: QueueState, ref: LeaseRef, now: number): QueueItem | LeaseError {
  const partition = queue.partitions[ref.partition];
  if (partition === undefined) return "unknown_receipt";
  const item = partition.items.get(ref.offset);
  if (item === undefined) return partition.isDone(ref.offset) ? "lease_expired" : "unknown_receipt";
  if (ref.attempt > item.attempts) return "unknown_receipt";
  if (faultPoint("late-ack-counts")) return item;
  const isCurrent = ref.attempt === item.attempts && item.isLeased && item.dueAt > now;
  return isCurrent ? item : "lease_expired";
}

/** The partition of the queue and that of its topic. */
export function partitionsOf(
  { queue, topic }: FoundQueue,
  partition: number,
): { readonly mine: QueuePartition; readonly its: PartitionState } | undefined {
  const mine = queue.partitions[partition];
  const its = topic.partitions[partition];
  return mine === undefined || its === undefined ? undefined : { mine, its };
}

/** Dead letters of the queue that are there and were not moved back. */
export function deadLetters({ queue }: FoundQueue, { topicsById }: BrokerState): number {
  const { dead, deadTopicId, redriveFrom, definition } = queue;
  // They are dropped.
  if (definition.deadLetter === null) return dead;
  let present = 0;
  for (const { partition, lowWatermark, endOffset } of topicsById.get(deadTopicId)?.partitions ??
    []) {
    present += Math.max(0, endOffset - Math.max(lowWatermark, redriveFrom[partition] ?? endOffset));
  }
  // Other queues may put records aside into the same topic.
  return Math.min(dead, present);
}

/** True if the state has items in a partition whose oldest records retention has deleted since. */
export const holdsDeleted = ({ queue, topic }: FoundQueue): boolean =>
  queue.items > 0 &&
  queue.partitions.some(({ partition, low, items }) => {
    const { lowWatermark = 0 } = topic.partitions[partition] ?? {};
    return lowWatermark > low && items.size > 0;
  });

/**
 * The numbers of leases and of waits at `now`. The state counts those that are over, and those of
 * records that retention has deleted, until the next command notices.
 */
export function atWork(
  { queue, topic }: FoundQueue,
  now: number,
): { readonly inFlight: number; readonly delayed: number } {
  let { inFlight, delayed } = queue;
  const leave = ({ isLeased }: QueueItem): void => {
    if (isLeased) inFlight--;
    else delayed--;
  };
  for (const item of queue.timed.due(now)) leave(item);
  for (const { partition, low, items } of queue.partitions) {
    const { lowWatermark = 0 } = topic.partitions[partition] ?? {};
    if (lowWatermark <= low) continue;
    for (const item of items.values()) {
      if (item.offset < lowWatermark && item.isInIndex && item.dueAt > now) leave(item);
    }
  }
  return { inFlight, delayed };
}
