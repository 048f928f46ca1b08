import type { Millis } from "../../lib/ids.ts";
import { EXPIRED_MEMORY_MS, type KvState } from "../state.ts";

/**
 * Frees keys whose minute of being remembered as expired is over. They have counted as absent
 * since they expired, so nobody can tell when this runs, or in which order: it is the order of
 * namespaces and keys, which is the same on every node.
 *
 * @param max at most this many keys are freed.
 */
export function expireKeys(state: KvState, now: Millis, max: number): number {
  const until = now - EXPIRED_MEMORY_MS;
  if (state.soonest > until) return 0;
  let freed = 0;
  let soonest = Number.POSITIVE_INFINITY;
  for (const { keys } of state.namespaces.values()) {
    const removed = keys.removeExpired(until, max - freed);
    freed += removed.count;
    state.bytes -= removed.bytes;
    soonest = Math.min(soonest, keys.soonest());
  }
  state.size -= freed;
  state.soonest = soonest;
  return freed;
}

/** From when on `expireKeys` may have something to do. */
export const nextKvExpiry = (state: KvState): number => state.soonest + EXPIRED_MEMORY_MS;
