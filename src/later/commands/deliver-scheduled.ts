import { feature as faultPoint } from "bun:bundle";
import { appendRecords } from "../../broker/records.ts";
import {
  type BrokerEffects,
  type BrokerState,
  findPartition,
  type HasBroker,
} from "../../broker/state.ts";
import { type LeveledKind, rest } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { type HasLater, LATER_FEATURE, LATER_LEVEL, type LaterState } from "../state.ts";

/** Appends records that are due to their topic. The leader has read them from `PENDING_TOPIC`. */
export type DeliverScheduled = {
  readonly type: "deliver_scheduled";
  readonly scheduleId: number;
  readonly logicalBytes: number;
  readonly batches: Uint8Array;
};

export type DeliverScheduledResult = {
  readonly ok: true;
  readonly type: "deliver_scheduled";
  /** 0: they were delivered or deleted before, or their topic was deleted. */
  readonly delivered: number;
};

export function applyDeliverScheduled(
  state: LaterState,
  broker: BrokerState,
  { scheduleId, batches, logicalBytes }: DeliverScheduled,
  now: Millis,
  effects: BrokerEffects,
): DeliverScheduledResult {
  const pending = state.pending.find(scheduleId);
  if (pending === undefined) return { ok: true, type: "deliver_scheduled", delivered: 0 };
  if (!faultPoint("scheduled-delivered-twice")) state.pending.remove(scheduleId);
  const { topicId, partition, count } = pending;
  const target = findPartition(broker, topicId, partition);
  // Without bytes they could not be read, because their topic is gone.
  if (target === undefined || batches.length === 0) {
    return { ok: true, type: "deliver_scheduled", delivered: 0 };
  }
  appendRecords(broker, target, { count, logicalBytes, batches }, now, effects);
  return { ok: true, type: "deliver_scheduled", delivered: count };
}

export const deliverScheduled: LeveledKind<
  DeliverScheduled,
  DeliverScheduledResult,
  HasBroker & HasLater,
  BrokerEffects
> = {
  type: "deliver_scheduled",
  tag: 71,
  level: LATER_LEVEL,
  feature: LATER_FEATURE,
  encode(body, { scheduleId, logicalBytes, batches }) {
    body.varint(scheduleId);
    body.varint(logicalBytes);
    body.raw(batches);
  },
  decode(body, end) {
    const scheduleId = body.varint();
    const logicalBytes = body.varint();
    return { type: "deliver_scheduled", scheduleId, logicalBytes, batches: rest(body, end) };
  },
  apply: ({ broker, parts, now }, command, effects) =>
    applyDeliverScheduled(parts.later, broker, command, now, effects),
  summarize: ({ delivered }, summary) => summary.numbers(delivered, 0),
};
