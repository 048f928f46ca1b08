/** Schedules: put, fire, delete. The leader computes slots, because time zones are tables of its own. */
import { feature as faultPoint } from "bun:bundle";
import { appendRecords } from "../../broker/records.ts";
import type { BrokerEffects, BrokerState, HasBroker, TopicState } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { partitionOfKey } from "../../lib/partitioner.ts";
import { encodeRecord } from "../../record/batch-builder.ts";
import { decodeHeaders, encodeHeaders } from "../../record/headers.ts";
import {
  decodeCronDefinition,
  decodeTime,
  encodeCronDefinition,
  encodeTime,
  isSameCron,
} from "../cron-format.ts";
import {
  bytesOf,
  CRON_BYTES_MAX,
  CRONS_MAX,
  type Cron,
  type CronDefinition,
  type HasLater,
  LATER_FEATURE,
  LATER_LEVEL,
  type LaterRejected,
  type LaterState,
  laterRejected,
  removeCron,
  setCron,
} from "../state.ts";

/** Header of records that were produced later: when they were to be produced. */
export const SCHEDULED_FOR = "scheduled-for-ms";

export type PutCron = {
  readonly type: "put_cron";
  readonly name: string;
  readonly definition: CronDefinition;
  /** The first slot, unless the schedule exists already with this definition. */
  readonly nextMs: number | null;
};
export type PutCronResult =
  | { readonly ok: true; readonly type: "put_cron"; readonly created: boolean }
  | LaterRejected<"too_many_schedules" | "topic_not_found">;

/** Reaches a slot: produces its record, or leaves it out, and sets the next slot. */
export type FireCron = {
  readonly type: "fire_cron";
  readonly name: string;
  readonly cronId: number;
  /** The slot at which the schedule stands. Otherwise nothing is done, so no slot fires twice. */
  readonly slotMs: number;
  /** The slot that is produced; null: none. */
  readonly fireMs: number | null;
  readonly nextMs: number | null;
  /** Number of slots that were left out. */
  readonly missed: number;
};
export type FireCronResult = {
  readonly ok: true;
  readonly type: "fire_cron";
  readonly fired: boolean;
};

const NOT_FIRED: FireCronResult = { ok: true, type: "fire_cron", fired: false };

export type DeleteCron = { readonly type: "delete_cron"; readonly name: string };
export type DeleteCronResult =
  | { readonly ok: true; readonly type: "delete_cron" }
  | LaterRejected<"schedule_not_found">;

export function applyPutCron(
  state: LaterState,
  broker: BrokerState,
  { name, definition, nextMs }: PutCron,
): PutCronResult {
  if (!broker.topicsByName.has(definition.topic)) return laterRejected("topic_not_found");
  const before = state.crons.get(name);
  if (before !== undefined && isSameCron(before.definition, definition)) {
    return { ok: true, type: "put_cron", created: false };
  }
  const bytes = state.cronBytes + bytesOf(definition);
  const isFull = before === undefined && state.crons.size >= CRONS_MAX;
  if (isFull || bytes > CRON_BYTES_MAX) {
    return laterRejected("too_many_schedules", { schedules_max: CRONS_MAX });
  }
  const { lastMs = null, runs = 0, missed = 0 } = before ?? {};
  setCron(state, { cronId: state.nextCronId++, name, definition, nextMs, lastMs, runs, missed });
  return { ok: true, type: "put_cron", created: before === undefined };
}

export function applyFireCron(
  state: LaterState,
  broker: BrokerState,
  { name, cronId, slotMs, fireMs, nextMs, missed }: FireCron,
  now: Millis,
  effects: BrokerEffects,
): FireCronResult {
  const cron = state.crons.get(name);
  if (cron === undefined || cron.cronId !== cronId) return NOT_FIRED;
  if (cron.nextMs !== slotMs && !faultPoint("slot-fires-twice")) return NOT_FIRED;
  const topic = broker.topicsByName.get(cron.definition.topic);
  const fires = fireMs !== null && topic !== undefined;
  // A slot whose topic was deleted is missed.
  const lost = fireMs !== null && topic === undefined ? 1 : 0;
  setCron(state, {
    ...cron,
    nextMs,
    lastMs: fires ? fireMs : cron.lastMs,
    runs: cron.runs + (fires ? 1 : 0),
    missed: cron.missed + missed + lost,
  });
  if (fires) produceSlot(broker, cron, topic, fireMs, now, effects);
  return { ok: true, type: "fire_cron", fired: fires };
}

function produceSlot(
  broker: BrokerState,
  { definition, runs }: Cron,
  { partitions }: TopicState,
  slotMs: number,
  now: Millis,
  effects: BrokerEffects,
): void {
  const { key, value, headers } = definition;
  const own = { name: SCHEDULED_FOR, value: String(slotMs) };
  const others = decodeHeaders(headers, 0, headers.length).filter(
    ({ name }) => name !== SCHEDULED_FOR,
  );
  const { bytes: batches, ...rest } = encodeRecord(key, value, encodeHeaders([...others, own]));
  const at = key === null ? runs % partitions.length : partitionOfKey(key, partitions.length);
  const partition = partitions[at];
  if (partition !== undefined) appendRecords(broker, partition, { ...rest, batches }, now, effects);
}

export function applyDeleteCron(state: LaterState, { name }: DeleteCron): DeleteCronResult {
  const cron = state.crons.get(name);
  if (cron === undefined) return laterRejected("schedule_not_found");
  removeCron(state, cron);
  return { ok: true, type: "delete_cron" };
}

const LEVELED = { level: LATER_LEVEL, feature: LATER_FEATURE } as const;

export const putCron: LeveledKind<PutCron, PutCronResult, HasBroker & HasLater> = {
  ...LEVELED,
  type: "put_cron",
  tag: 73,
  encode(body, { name, definition, nextMs }) {
    body.text(name);
    encodeTime(body, nextMs);
    encodeCronDefinition(body, definition);
  },
  decode(body) {
    const name = body.text();
    const nextMs = decodeTime(body);
    return { type: "put_cron", name, nextMs, definition: decodeCronDefinition(body) };
  },
  apply: ({ broker, parts }, command) => applyPutCron(parts.later, broker, command),
  summarize: ({ created }, summary) => summary.flag(created),
};

export const fireCron: LeveledKind<FireCron, FireCronResult, HasBroker & HasLater, BrokerEffects> =
  {
    ...LEVELED,
    type: "fire_cron",
    tag: 74,
    encode(body, { name, cronId, slotMs, fireMs, nextMs, missed }) {
      body.text(name);
      body.varint(cronId);
      body.varint(slotMs);
      encodeTime(body, fireMs);
      encodeTime(body, nextMs);
      body.varint(missed);
    },
    decode(body) {
      const name = body.text();
      const [cronId, slotMs] = [body.varint(), body.varint()];
      const [fireMs, nextMs] = [decodeTime(body), decodeTime(body)];
      return { type: "fire_cron", name, cronId, slotMs, fireMs, nextMs, missed: body.varint() };
    },
    apply: ({ broker, parts, now }, command, effects) =>
      applyFireCron(parts.later, broker, command, now, effects),
    summarize: ({ fired }, summary) => summary.flag(fired),
  };

export const deleteCron: LeveledKind<DeleteCron, DeleteCronResult, HasLater> = {
  ...LEVELED,
  type: "delete_cron",
  tag: 75,
  encode: (body, { name }) => body.text(name),
  decode: (body) => ({ type: "delete_cron", name: body.text() }),
  apply: ({ parts }, command) => applyDeleteCron(parts.later, command),
};
