import type { MaybePromise } from "../lib/maybe-promise.ts";
import type { EncodedRecords } from "../record/batch-builder.ts";
import type { Result, WriteAck, WriteReject } from "./api.ts";

/** Records that are produced at a later time, once or again and again. */
export interface LaterApi {
  schedule(request: ScheduleRequest): Promise<Result<Scheduled, ScheduleReject>>;
  deleteScheduled(scheduleId: number): Promise<Result<object, DeleteScheduleReject>>;
  /** Records that wait, in the order of their ids. */
  listScheduled(request: ListScheduledRequest): MaybePromise<readonly ScheduledSummary[]>;
  findScheduled(scheduleId: number): MaybePromise<ScheduledSummary | null>;
  putCron(name: string, cron: CronRequest): Promise<Result<{ created: boolean }, PutCronReject>>;
  deleteCron(name: string): Promise<Result<object, DeleteScheduleReject>>;
  listCrons(): MaybePromise<readonly CronSummary[]>;
}

export type ScheduleRequest = {
  readonly topic: string;
  readonly partition: number | null;
  readonly key: Uint8Array | null;
  readonly idempotencyKey: Uint8Array | null;
  readonly records: EncodedRecords;
  /** Milliseconds from now; null: `deliverAtMs`. */
  readonly delayMs: number | null;
  readonly deliverAtMs: number;
  readonly timeoutMs: number | null;
  readonly traced: boolean;
};
export type Scheduled = WriteAck & {
  /** 0: a duplicate of a produce that was not scheduled; `firstOffset` is its offset. */
  readonly scheduleId: number;
  readonly firstOffset: number;
  readonly partition: number;
  readonly count: number;
  /** Null: a duplicate that was delivered already. */
  readonly deliverAtMs: number | null;
  readonly duplicate: boolean;
  readonly payloadMatches: boolean;
  /** False: not known to be committed yet. For a duplicate, this describes the first write. */
  readonly committed: boolean;
};
export type ScheduleReject =
  | WriteReject
  | "cluster_not_upgraded"
  | "topic_not_found"
  | "partition_not_found"
  | "too_many_partitions"
  | "too_many_schedules"
  | "delay_too_long";
export type DeleteScheduleReject = WriteReject | "cluster_not_upgraded" | "schedule_not_found";
export type PutCronReject =
  | WriteReject
  | "cluster_not_upgraded"
  | "topic_not_found"
  | "too_many_schedules"
  | "invalid_cron";
export type LaterRejectCode = ScheduleReject | DeleteScheduleReject | PutCronReject;

export type ListScheduledRequest = {
  /** Null: all topics. */
  readonly topic: string | null;
  /** Only ids above this one. */
  readonly after: number;
  readonly limit: number;
};
export type ScheduledSummary = {
  readonly scheduleId: number;
  readonly topic: string;
  readonly partition: number;
  readonly count: number;
  readonly deliverAtMs: number;
};
export type CronRequest = {
  readonly cron: string;
  readonly tz: string;
  readonly topic: string;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: Uint8Array;
  readonly catchUp: "none" | "one" | "all";
};
export type CronSummary = CronRequest & {
  readonly name: string;
  readonly nextMs: number | null;
  readonly lastMs: number | null;
  readonly runs: number;
  readonly missed: number;
};
