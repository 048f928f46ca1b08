import type { Millis } from "../../lib/ids.ts";
import { EXPIRED_MEMORY_MS, type KvState, removeEntry } from "../state.ts";

/**
 * Frees keys whose minute of being remembered as expired is over. They have counted as absent
 * since they expired, so it does not matter to anyone when this runs.
 *
 * @param max at most this many keys are freed.
 */
export function expireKeys(state: KvState, now: Millis, max: number): number {
  let freed = 0;
  while (freed < max) {
    const entry = state.expiries.first();
    if (entry === undefined || now - entry.expiresAt < EXPIRED_MEMORY_MS) break;
    removeEntry(state, entry);
    freed++;
  }
  return freed;
}

/** When `expireKeys` has something to do next. */
export function nextKvExpiry(state: KvState): number | null {
  const entry = state.expiries.first();
  return entry === undefined ? null : entry.expiresAt + EXPIRED_MEMORY_MS;
}
