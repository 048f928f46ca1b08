/**
 * The bound on the idempotency keys of all partitions together. Nothing is decided at apply: the
 * leader lowers the number of keys that each partition may keep, which is replicated and which all
 * versions understand, and every node then forgets the same keys.
 */
import type { BrokerState } from "./state.ts";

/** The level is lowered so far below the bound that the next key does not lower it again. */
const LOWERED_TO = 0.9;
/** Below this share of the bound, the level is raised again. */
const RAISED_BELOW = 0.8;

/**
 * The number of keys that each partition may keep, so that all of them hold at most `totalMax`. The
 * partitions with the most keys lose their oldest ones; those with few lose none. A partition may
 * always keep one key, because 0 would switch idempotency off.
 *
 * @param keysMax the setting for one partition.
 */
export function keysPerPartition(state: BrokerState, keysMax: number, totalMax: number): number {
  const present = Math.min(state.limits.dedupeKeysMax, keysMax);
  if (present === keysMax && state.dedupeKeys <= totalMax) return keysMax;
  const sizes = sizesOf(state);
  // Keys beyond the level that are not freed yet count as gone.
  const held = sizes.reduce((sum, size) => sum + Math.min(size, present), 0);
  const mayRise = present < keysMax && held < totalMax * RAISED_BELOW;
  if (held <= totalMax && !mayRise) return present;
  // Partitions at the level would hold more if they could: how many is not known.
  const wanted = sizes.map((size) => (size >= present ? Number.POSITIVE_INFINITY : size));
  const level = levelOf(wanted, Math.floor(totalMax * LOWERED_TO));
  return Math.max(1, Math.min(level, keysMax));
}

function sizesOf({ userTopics }: BrokerState): number[] {
  const sizes: number[] = [];
  for (const { partitions } of userTopics.values()) {
    for (const { dedupe } of partitions) if (dedupe !== null) sizes.push(dedupe.size);
  }
  return sizes;
}

/** The largest level for which the amounts, each cut at the level, add up to at most `total`. */
function levelOf(amounts: readonly number[], total: number): number {
  const ascending = [...amounts].sort((a, b) => a - b);
  let rest = total;
  for (const [i, amount] of ascending.entries()) {
    const share = Math.floor(rest / (ascending.length - i));
    if (amount > share) return share;
    rest -= amount;
  }
  return Number.POSITIVE_INFINITY;
}
