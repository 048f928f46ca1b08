/**
 * Cursors of live reads. Caches between clients and server collapse equal requests; a cursor that grows
 * keeps a client from getting the same cached answer for ever. It counts intervals since an epoch.
 */
const EPOCH_MS = Date.UTC(2024, 9, 9);
const INTERVAL_MS = 20_000;
/** Highest number of intervals that a cursor jumps ahead, an hour. */
const JUMP_MAX = 180;

/** @param given the cursor of the request, which the new one must be above. */
export function nextCursor(given: string | null, nowMs: number, random = Math.random()): string {
  const present = Math.floor((nowMs - EPOCH_MS) / INTERVAL_MS);
  const before = given !== null && /^[0-9]{1,15}$/.test(given) ? Number(given) : -1;
  if (before < present) return String(present);
  return String(before + 1 + Math.floor(random * JUMP_MAX));
}
