import { feature as faultPoint } from "bun:bundle";
import type { BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { decodeReceive, encodeReceive } from "../command-format.ts";
import { QUEUE_ITEMS_MAX, QUEUE_SPAN_MAX, QUEUES_FEATURE, QUEUES_LEVEL } from "../definition.ts";
import { findQueue, type LeaseRef, partitionsOf } from "../find.ts";
import { addItem, expire, followRetention, isReady, lease } from "../items.ts";
import type { HasQueues } from "../state.ts";
import {
  NO_KEY,
  type QueueItem,
  type QueuePartition,
  type QueueRejected,
  type QueueState,
  type QueuesState,
} from "../state.ts";

/** Attempts fit below it, so that partition and attempt are one number in a summary. */
const ATTEMPTS = 2 ** 20;

/**
 * Leases records. The leader names the records, because it has read them: their size bounds the
 * answer, and their keys are not in the state. Apply gives out those that can still be given out.
 */
export type Receive = {
  readonly type: "receive";
  readonly queueId: number;
  readonly visibilityMs: number;
  /** In the order in which they are to be given out. */
  readonly candidates: readonly Candidate[];
};

export type Candidate = {
  readonly partition: number;
  readonly offset: number;
  /** Hash of its key if the queue keeps the order of keys, otherwise `NO_KEY`. */
  readonly key: number;
};

export type ReceiveResult =
  | {
      readonly ok: true;
      readonly type: "receive";
      readonly leases: readonly LeaseRef[];
      readonly visibleAt: Millis;
    }
  | QueueRejected<"queue_not_found">;

export function applyReceive(
  state: QueuesState,
  broker: BrokerState,
  command: Receive,
  now: Millis,
): ReceiveResult {
  const found = findQueue(state, broker, command.queueId);
  if ("ok" in found) return found;
  const { queue } = found;
  expire(queue, now);
  for (const mine of queue.partitions) {
    const its = found.topic.partitions[mine.partition];
    if (its !== undefined) followRetention(state, queue, mine, its);
  }
  const visibleAt = (now + command.visibilityMs) as Millis;
  const leases: LeaseRef[] = [];
  for (const candidate of command.candidates) {
    const isFull = queue.inFlight >= queue.definition.maxInFlight;
    if (isFull && !faultPoint("in-flight-without-bound")) break;
    const pair = partitionsOf(found, candidate.partition);
    if (pair === undefined) continue;
    const { mine, its } = pair;
    if (candidate.offset >= its.endOffset) continue;
    const item = itemFor(state, queue, mine, candidate, now);
    if (item === null) continue;
    lease(queue, item, visibleAt);
    leases.push({ partition: mine.partition, offset: item.offset, attempt: item.attempts });
  }
  return { ok: true, type: "receive", leases, visibleAt };
}

/** @returns null if the record cannot be given out now. */
function itemFor(
  state: QueuesState,
  queue: QueueState,
  partition: QueuePartition,
  { offset, key }: Candidate,
  now: number,
): QueueItem | null {
  if (partition.isDone(offset)) return null;
  const item = partition.items.get(offset);
  if (item !== undefined) {
    const isExhausted = item.attempts >= queue.definition.maxDeliveries;
    return isReady(item, now) && !isExhausted ? item : null;
  }
  const isBlocked = key !== NO_KEY && partition.keys.has(key);
  const isBeyond = offset - partition.low >= QUEUE_SPAN_MAX;
  if ((isBlocked && !faultPoint("keys-do-not-wait")) || isBeyond || state.items >= QUEUE_ITEMS_MAX)
    return null;
  return addItem(state, queue, partition, offset, key);
}

export const receive: LeveledKind<Receive, ReceiveResult, HasBroker & HasQueues> = {
  type: "receive",
  tag: 62,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: encodeReceive,
  decode: decodeReceive,
  apply: ({ broker, parts, now }, command) => applyReceive(parts.queues, broker, command, now),
  summarize: ({ leases }, summary) => {
    for (const { partition, offset, attempt } of leases) {
      summary.numbers(offset, partition * ATTEMPTS + attempt);
    }
  },
};
