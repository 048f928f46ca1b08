import type { BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind, Summary } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import {
  decodeAckMessages,
  decodeExtendLeases,
  decodeNackMessages,
  encodeAckMessages,
  encodeExtendLeases,
  encodeNackMessages,
} from "../command-format.ts";
import { backoffOf, LEASE_MS_MAX, QUEUES_FEATURE, QUEUES_LEVEL } from "../definition.ts";
import { type FoundQueue, findLease, findQueue, type LeaseError, type LeaseRef } from "../find.ts";
import { delay, expire, finish, followRetention, prolong } from "../items.ts";
import type { HasQueues, QueueItem, QueueRejected, QueueState, QueuesState } from "../state.ts";

/** Acknowledges deliveries: their records are finished. */
export type AckMessages = {
  readonly type: "ack_messages";
  readonly queueId: number;
  readonly leases: readonly LeaseRef[];
};
/** Ends deliveries without success: their records are given out again after a wait. */
export type NackMessages = {
  readonly type: "nack_messages";
  readonly queueId: number;
  readonly leases: readonly LeaseRef[];
  /** Null: the backoff of the queue. */
  readonly delayMs: number | null;
};
/** Prolongs leases. It is not an attempt. */
export type ExtendLeases = {
  readonly type: "extend_leases";
  readonly queueId: number;
  readonly leases: readonly LeaseRef[];
  readonly byMs: number;
};
export type SettleMessages = AckMessages | NackMessages | ExtendLeases;

/** For each delivery, in order: the time at which the record becomes visible, or what is wrong. */
export type Settled = readonly (Millis | LeaseError)[];
export type SettleResult<Type extends SettleMessages["type"]> =
  | { readonly ok: true; readonly type: Type; readonly settled: Settled }
  | QueueRejected<"queue_not_found">;

export function applyAckMessages(
  state: QueuesState,
  broker: BrokerState,
  command: AckMessages,
  now: Millis,
): SettleResult<"ack_messages"> {
  const found = findQueue(state, broker, command.queueId);
  if ("ok" in found) return found;
  const settled = settle(state, found, command.leases, now, (queue, item) => {
    finish(state, queue, item);
    queue.acked++;
    return now;
  });
  return { ok: true, type: "ack_messages", settled };
}

export function applyNackMessages(
  state: QueuesState,
  broker: BrokerState,
  command: NackMessages,
  now: Millis,
): SettleResult<"nack_messages"> {
  const found = findQueue(state, broker, command.queueId);
  if ("ok" in found) return found;
  const settled = settle(state, found, command.leases, now, (queue, item) => {
    const { definition } = queue;
    // The leader puts an exhausted record aside as soon as it is visible.
    const isExhausted = item.attempts >= definition.maxDeliveries;
    const delayMs = isExhausted ? 0 : (command.delayMs ?? backoffOf(definition, item.attempts));
    const visibleAt = (now + delayMs) as Millis;
    delay(queue, item, visibleAt);
    return visibleAt;
  });
  return { ok: true, type: "nack_messages", settled };
}

export function applyExtendLeases(
  state: QueuesState,
  broker: BrokerState,
  command: ExtendLeases,
  now: Millis,
): SettleResult<"extend_leases"> {
  const found = findQueue(state, broker, command.queueId);
  if ("ok" in found) return found;
  const settled = settle(state, found, command.leases, now, (queue, item) => {
    const visibleAt = Math.min(item.dueAt + command.byMs, now + LEASE_MS_MAX) as Millis;
    prolong(queue, item, visibleAt);
    return visibleAt;
  });
  return { ok: true, type: "extend_leases", settled };
}

function settle(
  state: QueuesState,
  { queue, topic }: FoundQueue,
  leases: readonly LeaseRef[],
  now: Millis,
  apply: (queue: QueueState, item: QueueItem) => Millis,
): Settled {
  expire(queue, now);
  let partition = -1;
  const settled: (Millis | LeaseError)[] = [];
  for (const ref of leases) {
    // Most deliveries are of the same partition as the one before.
    if (ref.partition !== partition) {
      partition = ref.partition;
      const mine = queue.partitions[partition];
      const its = topic.partitions[partition];
      if (mine !== undefined && its !== undefined) followRetention(state, queue, mine, its);
    }
    const item = findLease(queue, ref, now);
    settled.push(typeof item === "string" ? item : apply(queue, item));
  }
  return settled;
}

export const ackMessages: LeveledKind<
  AckMessages,
  SettleResult<"ack_messages">,
  HasBroker & HasQueues
> = {
  type: "ack_messages",
  tag: 63,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: encodeAckMessages,
  decode: decodeAckMessages,
  apply: ({ broker, parts, now }, command) => applyAckMessages(parts.queues, broker, command, now),
  summarize: summarizeSettled,
};

export const nackMessages: LeveledKind<
  NackMessages,
  SettleResult<"nack_messages">,
  HasBroker & HasQueues
> = {
  type: "nack_messages",
  tag: 64,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: encodeNackMessages,
  decode: decodeNackMessages,
  apply: ({ broker, parts, now }, command) => applyNackMessages(parts.queues, broker, command, now),
  summarize: summarizeSettled,
};

export const extendLeases: LeveledKind<
  ExtendLeases,
  SettleResult<"extend_leases">,
  HasBroker & HasQueues
> = {
  type: "extend_leases",
  tag: 65,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: encodeExtendLeases,
  decode: decodeExtendLeases,
  apply: ({ broker, parts, now }, command) => applyExtendLeases(parts.queues, broker, command, now),
  summarize: summarizeSettled,
};

function summarizeSettled({ settled }: { readonly settled: Settled }, summary: Summary): void {
  const failed = settled.filter((each) => typeof each === "string").length;
  summary.numbers(settled.length, failed);
}
