import { feature as faultPoint } from "bun:bundle";
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
import { type ByteReader, type ByteWriter, DecodeError } from "../../lib/bytes.ts";
import {
  atLeastOne,
  type FieldsOf,
  type LeveledKind,
  type Summary,
} from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { LEVEL_DELIVERY } from "../../lib/log-levels.ts";
import type { Offset } from "../../record/offset.ts";
import {
  CLASSES,
  classOf,
  classOfId,
  type HasLater,
  LATER_FEATURE,
  LATER_LEVEL,
  type LaterRejected,
  type LaterState,
  laterRejected,
  nextIdAfter,
  numberOfId,
  PENDING_MAX,
  PENDING_TOPIC,
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

/** The same with an id, which the leader knows before the command is committed. */
export type ScheduleRecordsAs = Omit<ScheduleRecords, "type"> & {
  readonly type: "schedule_records_as";
  readonly id: number;
};

type Result<Type extends string> =
  | {
      readonly ok: true;
      readonly type: Type;
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
export type ScheduleRecordsResult = Result<"schedule_records">;
export type ScheduleRecordsAsResult = Result<"schedule_records_as">;
type Scheduled = Omit<Extract<ScheduleRecordsResult, { readonly ok: true }>, "ok" | "type">;

/** An idempotency key whose records were scheduled: the table has the id in place of an offset. */
export const SCHEDULED_COUNT = 0;

/** @param id null: the next one. */
function applySchedule(
  state: LaterState,
  broker: BrokerState,
  command: Omit<ScheduleRecords, "type">,
  id: number | null,
  now: Millis,
  effects: BrokerEffects,
): Scheduled | Exclude<ScheduleRecordsResult, { readonly ok: true }> {
  const target = findPartition(broker, command.topicId, command.partition);
  if (target === undefined) return rejectMissing(broker, command.topicId);
  const duplicate = duplicateOf(broker, target, command.idempotency, now);
  if (duplicate !== null) return duplicate;
  if (state.pending.size >= PENDING_MAX) {
    return laterRejected("too_many_schedules", { schedules_max: PENDING_MAX });
  }
  const itsClass = id === null ? classOf(command.deliverAt - now) : classOfId(id);
  const store = pendingPartition(broker, itsClass, effects);
  if ("ok" in store) return store;
  const { count, logicalBytes, batches, topicId, partition, idempotency } = command;
  const offset = appendRecords(broker, store, { count, logicalBytes, batches }, now, effects);
  // Numbers grow. A leader that has not seen all of them chose one that is taken.
  const wanted = id === null ? 0 : numberOfId(id);
  let number = Math.max(state.nextNumber, wanted);
  if (wanted > 0 && faultPoint("schedule-id-taken-twice")) number = wanted;
  state.nextNumber = number + 1;
  const scheduleId = nextIdAfter(number, itsClass);
  const dueAt = command.deliverAt;
  state.pending.add({ id: scheduleId, dueAt, topicId, partition, offset, count });
  if (idempotency !== null) {
    const first = { firstOffset: scheduleId as Offset, count: SCHEDULED_COUNT };
    remember(broker, target, idempotency, first, now);
  }
  return { scheduleId, firstOffset: 0, duplicate: false, payloadMatches: true };
}

function duplicateOf(
  broker: BrokerState,
  { dedupe }: PartitionState,
  idempotency: Idempotency | null,
  now: Millis,
): Scheduled | null {
  if (idempotency === null || dedupe === null) return null;
  const sequence = findDuplicate(dedupe, idempotency.keyDigest, broker.limits, now);
  if (sequence < 0) return null;
  const isScheduled = dedupe.count(sequence) === SCHEDULED_COUNT;
  const first = dedupe.firstOffset(sequence);
  return {
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
  encode: encodeFields,
  decode: (body, end) => ({ type: "schedule_records", ...decodeFields(body, end) }),
  apply({ broker, parts, now }, command, effects) {
    const outcome = applySchedule(parts.later, broker, command, null, now, effects);
    return "ok" in outcome ? outcome : { ok: true, type: "schedule_records", ...outcome };
  },
  summarize,
};

/** @see scheduleRecords */
export const scheduleRecordsAs: LeveledKind<
  ScheduleRecordsAs,
  ScheduleRecordsAsResult,
  HasBroker & HasLater,
  BrokerEffects
> = {
  type: "schedule_records_as",
  tag: 76,
  level: LEVEL_DELIVERY,
  feature: LATER_FEATURE,
  encode(body, fields) {
    body.varint(fields.id);
    encodeFields(body, fields);
  },
  decode(body, end) {
    const id = body.varint();
    if (numberOfId(id) < 1 || classOfId(id) >= CLASSES) throw new DecodeError("not an id");
    return { type: "schedule_records_as", id, ...decodeFields(body, end) };
  },
  apply({ broker, parts, now }, command, effects) {
    const outcome = applySchedule(parts.later, broker, command, command.id, now, effects);
    return "ok" in outcome ? outcome : { ok: true, type: "schedule_records_as", ...outcome };
  },
  summarize,
};

function encodeFields(body: ByteWriter, fields: FieldsOf<ScheduleRecords>): void {
  body.varint(fields.topicId);
  body.varint(fields.partition);
  body.varint(fields.deliverAt);
  writeIdempotency(body, fields.idempotency);
  writeRecords(body, fields);
}

function decodeFields(body: ByteReader, end: number): FieldsOf<ScheduleRecords> {
  const where = { topicId: body.varint(), partition: body.varint(), deliverAt: body.varint() };
  const idempotency = readIdempotency(body);
  const records = readRecords(body, end);
  atLeastOne(records.count);
  return { ...where, idempotency, ...records };
}

function summarize({ scheduleId, firstOffset }: Scheduled, summary: Summary): void {
  summary.numbers(scheduleId, firstOffset);
}
