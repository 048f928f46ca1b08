/**
 * Helpers of the injected faults of this folder (see `lib/fault-points.d.ts`). A build without
 * faults does not contain them.
 */
import type { Produced } from "../api.ts";
import type { Expected } from "./produce-waiter.ts";

/** Returns the result that a write got before its duplicate was applied, or null. */
export function duplicateAtPropose(
  partition: number,
  expected: Expected,
): (Produced & { readonly ok: true }) | null {
  if (expected.kind !== "duplicate") return null;
  const { firstOffset, count } = expected.first;
  return {
    ok: true,
    partition,
    firstOffset,
    count,
    duplicate: true,
    payloadMatches: true,
    committed: true,
    batchId: 0,
    synced: true,
    ackedBy: 2,
    queueUs: 0,
    syncWaitUs: 0,
  };
}
