import { evictOldKeys } from "../broker/idempotency.ts";
import type { HasBroker } from "../broker/state.ts";
import { expireKeys } from "../kv/commands/expire.ts";
import type { HasKv } from "../kv/state.ts";
import type { CommandKind } from "../lib/command-kind.ts";

/** Limits of one tick, so that an entry does not take long to apply. */
export const KEYS_FREED_PER_TICK_MAX = 2_000;
export const DUPLICATES_FORGOTTEN_PER_TICK_MAX = 10_000;

/** Advances the machine time and frees expired keys. */
export type Tick = { readonly type: "tick" };
export type TickResult = {
  readonly ok: true;
  readonly type: "tick";
  readonly keysFreed: number;
  /** Number of idempotency keys that were dropped. */
  readonly duplicatesForgotten: number;
};

const TICK: Tick = { type: "tick" };

export const tick: CommandKind<Tick, TickResult, HasBroker & HasKv> = {
  type: "tick",
  tag: 11,
  summaryId: 7,
  encode() {},
  decode: () => TICK,
  apply: ({ broker, kv, now }) => ({
    ok: true,
    type: "tick",
    keysFreed: expireKeys(kv, now, KEYS_FREED_PER_TICK_MAX),
    duplicatesForgotten: evictOldKeys(broker, now, DUPLICATES_FORGOTTEN_PER_TICK_MAX),
  }),
  summarize: ({ keysFreed, duplicatesForgotten }, summary) =>
    summary.numbers(keysFreed, duplicatesForgotten),
};
