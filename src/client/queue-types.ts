/** Answers about queues and schedules. */
import type { RecordHeaders } from "./values.ts";

export type QueueSummary = {
  readonly queue: string;
  readonly topic: string;
  readonly visibilityMs: number;
  readonly maxDeliveries: number;
  readonly backoffMs: readonly number[];
  /** Null: records that keep failing are dropped. */
  readonly deadLetter: string | null;
  readonly order: "none" | "key";
  readonly maxInFlight: number;
  readonly from: "earliest" | "latest";
  readonly ready: number;
  readonly inFlight: number;
  readonly delayed: number;
  readonly dead: number;
  readonly acked: number;
  readonly purged: number;
  readonly redriven: number;
  readonly lostToRetention: number;
  readonly oldestAgeMs: number;
  /** A redrive with a rate that goes on. `left` null: all. */
  readonly redrive?: { readonly perSecond: number; readonly left: number | null };
};
export type QueueDescription = QueueSummary & {
  readonly partitions: readonly {
    readonly partition: number;
    readonly lowOffset: number;
    readonly endOffset: number;
    readonly unfinished: number;
  }[];
  readonly deadLetters: readonly { readonly partition: number; readonly offset: number }[];
};
export type Settlement = {
  readonly receipt: string;
  readonly ok: boolean;
  readonly error?: "lease_expired" | "unknown_receipt";
};

/** A schedule that repeats, with the field names of the HTTP API. */
export type CronEntry = {
  readonly schedule: string;
  readonly cron: string;
  readonly tz: string;
  readonly topic: string;
  readonly key?: string;
  readonly value?: string;
  readonly value_b64?: string;
  readonly headers?: RecordHeaders;
  readonly catch_up: "none" | "one" | "all";
  readonly next_ms: number | null;
  readonly last_ms: number | null;
  readonly runs: number;
  readonly missed: number;
};
/** Records that wait, with the field names of the HTTP API. */
export type WaitingEntry = {
  readonly schedule_id: string;
  readonly topic: string;
  readonly partition: number;
  readonly count: number;
  readonly deliver_at_ms: number;
};
export type ScheduleEntry = CronEntry | WaitingEntry;
