import type { Millis } from "../../lib/ids.ts";
import type { KeyPage } from "../key-page.ts";
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
  if (state.expiries.nextAt() > until) return 0;
  const due = new Map<number, KeyPage[]>();
  for (const page of state.expiries.due(until)) {
    const pages = due.get(page.owner);
    if (pages === undefined) due.set(page.owner, [page]);
    else pages.push(page);
  }
  let freed = 0;
  for (const { id, keys } of state.namespaces.values()) {
    if (freed >= max) break;
    const removed = keys.removeExpired(until, max - freed, due.get(id) ?? []);
    freed += removed.count;
    state.bytes -= removed.bytes;
  }
  state.size -= freed;
  return freed;
}

/** Returns the earliest time at which `expireKeys` may free a key. */
export const nextKvExpiry = ({ expiries }: KvState): number =>
  expiries.nextAt() + EXPIRED_MEMORY_MS;
