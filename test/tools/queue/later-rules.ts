/** The rules that records for later must keep. */
import { broken } from "./ledger-rules.ts";

/** A record for later as it is in its topic. */
export type LaterRow = {
  readonly value: string;
  /** The time of the cluster when the record was produced. */
  readonly timestamp: number;
  /** When it was to be produced, by the time of the cluster. */
  readonly scheduledFor: number;
};

/**
 * All records that were promised are there, none before its time, and each once. Records with equal
 * values have one idempotency key, and all attempts had the same delay. So the second record of a key
 * is right only if the key was forgotten before it was scheduled: if the times of the two are as far
 * apart as the window. The time of the cluster may leap that far when a leader starts.
 *
 * @throws BrokenRule
 */
export function checkLater(
  promised: readonly string[],
  rows: readonly LaterRow[],
  windowMs: number,
): void {
  const there = new Set(rows.map(({ value }) => value));
  const lost = promised.filter((value) => !there.has(value));
  if (lost.length > 0) broken(`records for later are lost: ${lost.join(" ")}`);
  const times = new Map<string, number>();
  for (const { value, timestamp, scheduledFor } of [...rows].sort(byTime)) {
    if (timestamp < scheduledFor) {
      broken(`${value} came ${scheduledFor - timestamp} ms before its time`);
    }
    const before = times.get(value) ?? Number.NEGATIVE_INFINITY;
    if (scheduledFor - before < windowMs) {
      broken(`a record for later came twice: ${value}, after ${scheduledFor - before} ms`);
    }
    times.set(value, scheduledFor);
  }
}

const byTime = (a: LaterRow, b: LaterRow): number => a.scheduledFor - b.scheduledFor;
