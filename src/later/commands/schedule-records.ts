import { applyCreateTopic } from "../../broker/commands/create-topic.ts";
import { findDuplicate, type Idempotency, remember } from "../../broker/idempotency.ts";
import {
  appendRecords,
  readIdempotency,
  readRecords,
  writeIdempotency,
  writeRecords,
} from "../../broker/records.ts";
import {
  type BrokerEffects,
  type BrokerState,
  findPartition,
  type HasBroker,
  type PartitionState,
  rejectMissing,
} from "../../broker/state.ts";
import { atLeastOne, type LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import type { Offset } from "../../record/offset.ts";
import {
  addPending,
  CLASSES,
  classOf,
  type HasLater,
  LATER_FEATURE,
  LATER_LEVEL,
  type LaterRejected,
  type LaterState,
  laterRejected,
  nextIdAfter,
  PENDING_MAX,
  PENDING_TOPIC,
  Pending,
} from "../state.ts";

/** Stores records that get their offsets when they are due. */
export type ScheduleRecords = {
  readonly type: "schedule_records";
  readonly topicId: number;
  readonly partition: number;
  readonly deliverAt: number;
  readonly idempotency: Idempotency | null;
  readonly count: number;
  readonly logicalBytes: number;
  readonly batches: Uint8Array;
};

export type ScheduleRecordsResult =
  | {
      readonly ok: true;
      readonly type: "schedule_records";
      /** 0: a duplicate of a produce that was not scheduled. */
      readonly scheduleId: number;
      /** The offset of that produce; 0 otherwise. */
      readonly firstOffset: number;
      readonly duplicate: boolean;
      readonly payloadMatches: boolean;
    }
  | LaterRejected<
      "too_many_schedules" | "topic_not_found" | "partition_not_found" | "too_many_partitions"
    >;

/** An idempotency key whose records were scheduled: the table has the id in place of an offset. */
const SCHEDULED_COUNT = 0;

export function applyScheduleRecords(
  state: LaterState,
  broker: BrokerState,
  command: ScheduleRecords,
  now: Millis,
  effects: BrokerEffects,
): ScheduleRecordsResult {
  const target = findPartition(broker, command.topicId, command.partition);
  if (target === undefined) return rejectMissing(broker, command.topicId);
  const duplicate = duplicateOf(broker, target, command.idempotency, now);
  if (duplicate !== null) return duplicate;
  if (state.due.size >= PENDING_MAX) {
    return laterRejected("too_many_schedules", { schedules_max: PENDING_MAX });
  }
  const itsClass = classOf(command.deliverAt - now);
  const store = pendingPartition(broker, itsClass, effects);
  if ("ok" in store) return store;
  const { count, logicalBytes, batches, topicId, partition, idempotency } = command;
  const offset = appendRecords(store, { count, logicalBytes, batches }, now, effects);
  const id = nextIdAfter(state.nextNumber++, itsClass);
  addPending(state, new Pending(id, topicId, partition, offset, count), command.deliverAt);
  if (idempotency !== null) {
    remember(
      broker,
      target,
      idempotency,
      { firstOffset: id as Offset, count: SCHEDULED_COUNT },
      now,
    );
  }
  return {
    ok: true,
    type: "schedule_records",
    scheduleId: id,
    firstOffset: 0,
    duplicate: false,
    payloadMatches: true,
  };
}

function duplicateOf(
  broker: BrokerState,
  { dedupe }: PartitionState,
  idempotency: Idempotency | null,
  now: Millis,
): ScheduleRecordsResult | null {
  if (idempotency === null || dedupe === null) return null;
  const sequence = findDuplicate(dedupe, idempotency.keyDigest, broker.limits, now);
  if (sequence < 0) return null;
  const isScheduled = dedupe.count(sequence) === SCHEDULED_COUNT;
  const first = dedupe.firstOffset(sequence);
  return {
    ok: true,
    type: "schedule_records",
    scheduleId: isScheduled ? first : 0,
    firstOffset: isScheduled ? 0 : first,
    duplicate: true,
    payloadMatches: dedupe.hasPayload(sequence, idempotency.payloadDigest),
  };
}

function pendingPartition(
  broker: BrokerState,
  itsClass: number,
  effects: BrokerEffects,
): PartitionState | LaterRejected<"too_many_partitions"> {
  let topic = broker.topicsByName.get(PENDING_TOPIC);
  if (topic === undefined) {
    const command = { type: "create_topic", name: PENDING_TOPIC, partitions: CLASSES } as const;
    const created = applyCreateTopic(broker, command, effects);
    if (!created.ok) return laterRejected("too_many_partitions", created.details);
    topic = broker.topicsByName.get(PENDING_TOPIC);
  }
  return topic?.partitions[itsClass] ?? laterRejected("too_many_partitions");
}

export const scheduleRecords: LeveledKind<
  ScheduleRecords,
  ScheduleRecordsResult,
  HasBroker & HasLater,
  BrokerEffects
> = {
  type: "schedule_records",
  tag: 70,
  level: LATER_LEVEL,
  feature: LATER_FEATURE,
  encode(body, fields) {
    body.varint(fields.topicId);
    body.varint(fields.partition);
    body.varint(fields.deliverAt);
    writeIdempotency(body, fields.idempotency);
    writeRecords(body, fields);
  },
  decode(body, end) {
    const where = { topicId: body.varint(), partition: body.varint(), deliverAt: body.varint() };
    const idempotency = readIdempotency(body);
    const records = readRecords(body, end);
    atLeastOne(records.count);
    return { type: "schedule_records", ...where, idempotency, ...records };
  },
  apply: ({ broker, parts, now }, command, effects) =>
    applyScheduleRecords(parts.later, broker, command, now, effects),
  summarize: ({ scheduleId, firstOffset }, summary) => summary.numbers(scheduleId, firstOffset),
};
