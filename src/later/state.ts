/** Records that wait for their time, and schedules that produce records again and again. */
import { type CommandRejected, commandRejected, type Rejecting } from "../lib/command-rejected.ts";
import { LEVEL_SHARED_WORK } from "../lib/log-levels.ts";
import { PendingIndex } from "./pending-index.ts";

/** Changing one of these changes what apply does, so it needs a new command. */
export const PENDING_MAX = 1_000_000;
export const CRONS_MAX = 1_000;
/** Bytes of key, value, headers and texts of all schedules together. */
export const CRON_BYTES_MAX = 64 * 1024 * 1024;

/** Level of the log that schedules need. */
export const LATER_LEVEL = LEVEL_SHARED_WORK;
export const LATER_FEATURE = "Schedules";

/**
 * Topic of the records that wait. Its name is not one that a client can use. Its partitions separate
 * short waits from long ones, so that a long one does not retain the disk space of all short ones.
 */
export const PENDING_TOPIC = "schedules:pending";
const MINUTE_MS = 60_000;
const CLASS_LIMITS_MS: readonly number[] = [
  MINUTE_MS,
  60 * MINUTE_MS,
  24 * 60 * MINUTE_MS,
  30 * 24 * 60 * MINUTE_MS,
];
export const CLASSES = CLASS_LIMITS_MS.length + 1;
/** The class is a part of the id, so that an id is found in the map of its class. */
const CLASS_FACTOR = 8;

/** The partition of `PENDING_TOPIC` for a record that waits this long. */
export function classOf(waitMs: number): number {
  const at = CLASS_LIMITS_MS.findIndex((limit) => waitMs < limit);
  return at < 0 ? CLASSES - 1 : at;
}

export const classOfId = (id: number): number => id % CLASS_FACTOR;
export const numberOfId = (id: number): number => Math.floor(id / CLASS_FACTOR);
export const nextIdAfter = (number: number, itsClass: number): number =>
  number * CLASS_FACTOR + itsClass;

export type CatchUp = "none" | "one" | "all";

export type CronDefinition = {
  readonly cron: string;
  /** Name of a time zone; empty: UTC. */
  readonly tz: string;
  readonly topic: string;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  /** Encoded as in `record/headers.ts`. */
  readonly headers: Uint8Array;
  readonly catchUp: CatchUp;
};

/** Replaced, never changed: a snapshot may still refer to it. */
export type Cron = {
  readonly cronId: number;
  readonly name: string;
  readonly definition: CronDefinition;
  /** The next slot; null if there is none any more. */
  readonly nextMs: number | null;
  readonly lastMs: number | null;
  readonly runs: number;
  readonly missed: number;
};

export class LaterState {
  readonly pending = new PendingIndex(CLASSES, classOfId);
  /** Grows with every scheduled produce, from 1. */
  nextNumber = 1;
  readonly crons = new Map<string, Cron>();
  nextCronId = 1;
  /** Not replicated as such: bytes of all definitions, and how often schedules changed. */
  cronBytes = 0;
  cronChanges = 0;
}

export type HasLater = { readonly parts: { readonly later: LaterState } };

export function setCron(state: LaterState, cron: Cron): void {
  const before = state.crons.get(cron.name);
  if (before !== undefined) state.cronBytes -= bytesOf(before.definition);
  state.crons.set(cron.name, cron);
  state.cronBytes += bytesOf(cron.definition);
  state.cronChanges++;
}

export function removeCron(state: LaterState, cron: Cron): void {
  state.crons.delete(cron.name);
  state.cronBytes -= bytesOf(cron.definition);
  state.cronChanges++;
}

export const bytesOf = ({ cron, tz, topic, key, value, headers }: CronDefinition): number =>
  cron.length + tz.length + topic.length + (key?.length ?? 0) + value.length + headers.length;

export type LaterRejectCode =
  | "too_many_schedules"
  | "schedule_not_found"
  | "topic_not_found"
  | "partition_not_found"
  | "too_many_partitions";

export type LaterRejected<Code extends LaterRejectCode = LaterRejectCode> = CommandRejected<
  Code,
  number
>;

export const laterRejected: Rejecting<LaterRejectCode, number> = commandRejected;
