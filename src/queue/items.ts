/** Changes of single records of a queue. All of them keep the indexes and the counts. */
import { feature as faultPoint } from "bun:bundle";
import type { PartitionState } from "../broker/state.ts";
import { QUEUE_SPAN_MAX } from "./definition.ts";
import {
  NO_KEY,
  QueueItem,
  type QueuePartition,
  type QueueState,
  type QueuesState,
  touch,
} from "./state.ts";

/** Number of leases and waits that one command ends. Later commands end the others. */
const EXPIRED_MAX = 10_000;

/** Moves items whose lease or wait is over to the ready ones. */
export function expire(queue: QueueState, now: number): void {
  for (let left = EXPIRED_MAX; left > 0; left--) {
    const item = queue.timed.take(now);
    if (item === null) return;
    touch(item.partition);
    if (item.isLeased) queue.inFlight--;
    else queue.delayed--;
    item.isLeased = false;
    queue.ready.add(item);
  }
}

/** True if the record can be given out again, or has to be put aside. */
export const isReady = (item: QueueItem, now: number): boolean => item.dueAt <= now;

/** Begins a lease of the item: its next attempt. */
export function lease(queue: QueueState, item: QueueItem, visibleAt: number): void {
  touch(item.partition);
  leave(queue, item);
  item.attempts = faultPoint("attempts-begin-anew") ? 1 : item.attempts + 1;
  item.isLeased = true;
  queue.inFlight++;
  queue.timed.set(item, visibleAt);
}

/** Prolongs the lease of the item. It is not an attempt. */
export function prolong(queue: QueueState, item: QueueItem, visibleAt: number): void {
  touch(item.partition);
  queue.timed.set(item, visibleAt);
}

/** Ends the lease. The item waits until `dueAt`. */
export function delay(queue: QueueState, item: QueueItem, dueAt: number): void {
  touch(item.partition);
  leave(queue, item);
  item.isLeased = false;
  queue.delayed++;
  queue.timed.set(item, dueAt);
}

/** Begins to keep track of a record that is given out for the first time. */
export function addItem(
  state: QueuesState,
  queue: QueueState,
  partition: QueuePartition,
  offset: number,
  key: number,
): QueueItem {
  touch(partition);
  const item = new QueueItem(queue.queueId, partition, offset, key);
  partition.items.set(offset, item);
  if (key !== NO_KEY) partition.keys.set(key, offset);
  state.items++;
  return item;
}

/** Removes the record from the queue: it is finished. */
export function finish(state: QueuesState, queue: QueueState, item: QueueItem): void {
  const { partition, offset } = item;
  forget(state, queue, item);
  finishOffset(partition, offset);
}

/** Finishes a record that was never given out. @returns false if it was, or is finished already. */
export function skip(partition: QueuePartition, offset: number): boolean {
  if (partition.isDone(offset) || partition.items.has(offset)) return false;
  if (offset - partition.low >= QUEUE_SPAN_MAX) return false;
  touch(partition);
  finishOffset(partition, offset);
  return true;
}

function finishOffset(partition: QueuePartition, offset: number): void {
  if (offset !== partition.low) partition.done.add(offset, partition.low);
  else if (partition.done.size === 0) partition.low = offset + 1;
  else partition.low = partition.done.raise(offset, offset + 1).low;
}

/**
 * Finishes the records that retention has deleted.
 *
 * @returns the number of those that were not finished before.
 */
export function followRetention(
  state: QueuesState,
  queue: QueueState,
  partition: QueuePartition,
  { lowWatermark }: PartitionState,
): number {
  if (lowWatermark <= partition.low || faultPoint("queue-ignores-retention")) return 0;
  const lost = finishBelow(state, queue, partition, lowWatermark);
  queue.lost += lost;
  return lost;
}

/** @returns the number of records below `to` that were not finished before. */
export function finishBelow(
  state: QueuesState,
  queue: QueueState,
  partition: QueuePartition,
  to: number,
): number {
  touch(partition);
  for (const item of partition.items.values()) if (item.offset < to) forget(state, queue, item);
  const { low: before } = partition;
  const { low, removed } = partition.done.raise(before, to);
  partition.low = low;
  return to - before - removed;
}

function forget(state: QueuesState, queue: QueueState, item: QueueItem): void {
  const { partition, offset, key } = item;
  touch(partition);
  leave(queue, item);
  partition.items.delete(offset);
  if (key !== NO_KEY) partition.keys.delete(key);
  state.items--;
}

/** Takes the item out of the index or the ready ones. */
function leave(queue: QueueState, item: QueueItem): void {
  if (!queue.timed.remove(item)) queue.ready.delete(item);
  else if (item.isLeased) queue.inFlight--;
  else queue.delayed--;
}
