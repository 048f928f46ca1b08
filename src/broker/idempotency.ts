import type { Millis } from "../lib/ids.ts";
import type { Offset } from "../record/offset.ts";
import { DedupeTable } from "./dedupe-table.ts";
import { type BrokerLimits, type BrokerState, beforeChange, type PartitionState } from "./state.ts";

/** Identity of a produce: `sha256(key, 16)` and `sha256(payload, 8)`. */
export type Idempotency = {
  readonly keyDigest: Uint8Array;
  readonly payloadDigest: Uint8Array;
};

export type FirstWrite = { readonly firstOffset: Offset; readonly count: number };

/** The outcome of a produce whose key is known already. */
export type KnownDuplicate = FirstWrite & { readonly payloadMatches: boolean };

/** Limit of keys that one command drops. Look-ups ignore expired keys that are not dropped yet. */
const EVICTIONS_PER_INSERT = 64;

/**
 * Returns the result of an earlier produce with this key, if it is within the window. The leader may
 * use it to predict the answer; the decision is made at apply.
 */
export function peekDuplicate(
  state: BrokerState,
  partition: PartitionState,
  { keyDigest, payloadDigest }: Idempotency,
  now: Millis,
): KnownDuplicate | null {
  const { dedupe } = partition;
  if (dedupe === null) return null;
  const sequence = findDuplicate(dedupe, keyDigest, state.limits, now);
  if (sequence < 0) return null;
  return {
    firstOffset: dedupe.firstOffset(sequence) as Offset,
    count: dedupe.count(sequence),
    payloadMatches: dedupe.hasPayload(sequence, payloadDigest),
  };
}

/** @returns the entry's sequence number in the table, or -1. */
export function findDuplicate(
  table: DedupeTable,
  keyDigest: Uint8Array,
  limits: BrokerLimits,
  now: Millis,
): number {
  const sequence = table.find(keyDigest, limits.dedupeKeysMax);
  return sequence >= 0 && isWithinWindow(table.at(sequence), limits, now) ? sequence : -1;
}

export function remember(
  state: BrokerState,
  partition: PartitionState,
  idempotency: Idempotency,
  first: FirstWrite,
  now: Millis,
): void {
  if (state.limits.dedupeKeysMax === 0) return;
  beforeChange(state, partition);
  partition.dedupe ??= new DedupeTable();
  const { dedupe } = partition;
  dedupe.push(
    idempotency.keyDigest,
    idempotency.payloadDigest,
    now,
    first.firstOffset,
    first.count,
  );
  state.dedupeKeys++;
  if (now < state.oldestDedupeAt) state.oldestDedupeAt = now;
  evict(state, dedupe, now, EVICTIONS_PER_INSERT);
}

/** Removes the keys of a partition whose topic was deleted. */
export function forgetKeys(state: BrokerState, { dedupe }: PartitionState): void {
  state.dedupeKeys -= dedupe?.size ?? 0;
}

/**
 * Frees the memory of keys that are expired or beyond the limit, in partitions without writes.
 *
 * @param max maximum number of keys to drop.
 */
export function evictOldKeys(state: BrokerState, now: Millis, max: number): number {
  let dropped = 0;
  let oldest = Number.POSITIVE_INFINITY;
  let isOverfull = false;
  for (const topic of state.userTopics.values()) {
    for (const partition of topic.partitions) {
      const { dedupe } = partition;
      if (dedupe === null) continue;
      beforeChange(state, partition);
      dropped += evict(state, dedupe, now, max - dropped);
      if (dedupe.size > state.limits.dedupeKeysMax) isOverfull = true;
      if (dedupe.size === 0) partition.dedupe = null;
      else if (dedupe.oldestAt < oldest) oldest = dedupe.oldestAt;
    }
  }
  state.oldestDedupeAt = oldest;
  state.isOverfull = isOverfull;
  return dropped;
}

function evict(state: BrokerState, table: DedupeTable, now: Millis, max: number): number {
  const { limits } = state;
  let dropped = 0;
  while (dropped < max && table.size > 0) {
    const isWithin = isWithinWindow(table.oldestAt, limits, now);
    if (isWithin && table.size <= limits.dedupeKeysMax) break;
    if (isWithin) state.dedupeKeysCut++;
    table.shift();
    dropped++;
  }
  state.dedupeKeys -= dropped;
  return dropped;
}

const isWithinWindow = (at: number, limits: BrokerLimits, now: Millis): boolean =>
  now - at < limits.dedupeWindowMs;
