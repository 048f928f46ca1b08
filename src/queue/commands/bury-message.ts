import { appendRecords } from "../../broker/records.ts";
import type { BrokerEffects, BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { decodeBuryMessage, encodeBuryMessage } from "../command-format.ts";
import { QUEUES_FEATURE, QUEUES_LEVEL } from "../definition.ts";
import { findLease, findQueue, type LeaseError, type LeaseRef, partitionsOf } from "../find.ts";
import { expire, finish, followRetention, isReady } from "../items.ts";
import type { HasQueues, QueueItem, QueueRejected, QueueState, QueuesState } from "../state.ts";
import { ensureDeadLetterTopic } from "./define-queue.ts";

/**
 * Puts a record aside: removes it from the queue and appends it to the dead-letter topic. The leader
 * has read the record, since the state does not contain it.
 */
export type BuryMessage = LeaseRef & {
  readonly type: "bury_message";
  readonly queueId: number;
  /** True: the holder of the lease rejects it. False: its deliveries are exhausted. */
  readonly isLeased: boolean;
  /** Keys, values and headers of the dead letter. */
  readonly logicalBytes: number;
  /** The dead letter as a batch. Empty if the queue has no dead-letter topic. */
  readonly batch: Uint8Array;
};

export type BuryMessageResult =
  | {
      readonly ok: true;
      readonly type: "bury_message";
      /** Null: done. `changed`: the queue has a dead-letter topic now and had none before. */
      readonly error: LeaseError | "changed" | null;
    }
  | QueueRejected<"queue_not_found" | "too_many_partitions">;

const outcome = (error: LeaseError | "changed" | null): BuryMessageResult => ({
  ok: true,
  type: "bury_message",
  error,
});

export function applyBuryMessage(
  state: QueuesState,
  broker: BrokerState,
  command: BuryMessage,
  now: Millis,
  effects: BrokerEffects,
): BuryMessageResult {
  const found = findQueue(state, broker, command.queueId);
  if ("ok" in found) return found;
  const { queue } = found;
  expire(queue, now);
  const pair = partitionsOf(found, command.partition);
  if (pair !== undefined) followRetention(state, queue, pair.mine, pair.its);
  const item = command.isLeased
    ? findLease(queue, command, now)
    : findExhausted(queue, command, now);
  if (typeof item === "string") return outcome(item);
  const { definition } = queue;
  if (definition.deadLetter !== null) {
    if (command.batch.length === 0) return outcome("changed");
    const rejected = ensureDeadLetterTopic(broker, definition, effects);
    if (rejected !== null) return rejected;
    appendDeadLetter(broker, queue, command, now, effects);
  }
  finish(state, queue, item);
  queue.dead++;
  return outcome(null);
}

function findExhausted(queue: QueueState, ref: LeaseRef, now: Millis): QueueItem | LeaseError {
  const item = queue.partitions[ref.partition]?.items.get(ref.offset);
  if (item === undefined || item.attempts !== ref.attempt) return "lease_expired";
  const isExhausted = item.attempts >= queue.definition.maxDeliveries;
  return isExhausted && isReady(item, now) ? item : "lease_expired";
}

function appendDeadLetter(
  broker: BrokerState,
  queue: QueueState,
  { partition, batch, logicalBytes }: BuryMessage,
  now: Millis,
  effects: BrokerEffects,
): void {
  const topic = broker.topicsByName.get(queue.definition.deadLetter ?? "");
  if (topic === undefined) return;
  const { partitions } = topic;
  if (queue.deadTopicId !== topic.topicId) {
    queue.deadTopicId = topic.topicId;
    queue.redriveFrom = partitions.map(({ endOffset }) => endOffset);
  }
  const target = partitions[partition % partitions.length];
  if (target === undefined) return;
  appendRecords(broker, target, { batches: batch, count: 1, logicalBytes }, now, effects);
}

export const buryMessage: LeveledKind<
  BuryMessage,
  BuryMessageResult,
  HasBroker & HasQueues,
  BrokerEffects
> = {
  type: "bury_message",
  tag: 66,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: encodeBuryMessage,
  decode: decodeBuryMessage,
  apply: ({ broker, parts, now }, command, effects) =>
    applyBuryMessage(parts.queues, broker, command, now, effects),
  summarize: ({ error }, summary) => summary.flag(error === null),
};
