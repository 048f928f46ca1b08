import type { Millis } from "../../lib/ids.ts";
import { EXPIRED_MEMORY_MS, type KvState } from "../state.ts";

/**
 * Frees keys that expired more than a minute ago. They count as absent since they expired, so the
 * time and order of freeing are not observable. The order is that of namespaces and keys, which is
 * the same on every node.
 *
 * @param max maximum number of keys to free.
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

/** Returns the earliest time at which `expireKeys` may free a key. */
export const nextKvExpiry = (state: KvState): number => state.soonest + EXPIRED_MEMORY_MS;
