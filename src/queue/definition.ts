import { LEVEL_SHARED_WORK } from "../lib/log-levels.ts";

/** Level of the log that queues need. */
export const QUEUES_LEVEL = LEVEL_SHARED_WORK;
export const QUEUES_FEATURE = "Queues";

/** Bounds of a queue. Changing one of these changes what apply does, so it needs a new command. */
export const QUEUES_MAX = 1_000;
/** Records above the low offset of a partition that a queue keeps track of. */
export const QUEUE_SPAN_MAX = 100_000;
/** Records that are leased or wait for a retry, in all queues together. */
export const QUEUE_ITEMS_MAX = 2_000_000;
/** Messages of one receive. */
export const RECEIVE_MAX = 100;
/** Receipts of one request. */
export const RECEIPTS_MAX = 1_000;
/** Length of the reason for which a record is put aside. */
export const REASON_CHARACTERS_MAX = 1_024;
/** A lease ends at most this long after the last change of it. */
export const LEASE_MS_MAX = 12 * 3_600_000;
export const BACKOFFS_MAX = 16;
export const MAX_DELIVERIES_MAX = 10_000;
export const MAX_IN_FLIGHT_MAX = 100_000;
/** The longest wait for a retry: one year. */
export const DELAY_MS_MAX = 366 * 24 * 3_600_000;

export type QueueOrder = "none" | "key";
export type QueueStart = "earliest" | "latest";

/** The definition of a queue. Replaced, never changed. */
export type QueueDefinition = {
  readonly topic: string;
  readonly visibilityMs: number;
  readonly maxDeliveries: number;
  /** Waits after the first failure, the second, and so on; the last one repeats. At least one. */
  readonly backoffMs: readonly number[];
  /** Topic of the records that are put aside. Null: they are dropped. */
  readonly deadLetter: string | null;
  readonly order: QueueOrder;
  readonly maxInFlight: number;
  readonly from: QueueStart;
};

export const isSameDefinition = (a: QueueDefinition, b: QueueDefinition): boolean =>
  fixedDifference(a, b) === null &&
  a.visibilityMs === b.visibilityMs &&
  a.maxDeliveries === b.maxDeliveries &&
  a.deadLetter === b.deadLetter &&
  a.maxInFlight === b.maxInFlight &&
  sameBackoff(a.backoffMs, b.backoffMs);

export const sameBackoff = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((ms, at) => ms === b[at]);

/** Names of queues that another part of the state owns. A client cannot use the colon. */
export const isOwnedQueue = (name: string): boolean => name.includes(":");

/** Returns the first field that differs and cannot be changed, or null. */
export function fixedDifference(
  a: QueueDefinition,
  b: QueueDefinition,
): "topic" | "order" | "from" | null {
  if (a.topic !== b.topic) return "topic";
  if (a.order !== b.order) return "order";
  return a.from === b.from ? null : "from";
}

/** The wait before the next delivery of a record that failed at its attempt number `attempt`. */
export const backoffOf = ({ backoffMs }: QueueDefinition, attempt: number): number =>
  backoffMs[Math.min(attempt, backoffMs.length) - 1] ?? 0;
