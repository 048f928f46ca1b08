import { evictOldKeys } from "../broker/idempotency.ts";
import { expireKeys } from "../kv/commands/expire.ts";
import type { CommandKind } from "../lib/command-kind.ts";
import type { CommandEffects } from "./commands.ts";
import { endDue } from "./due.ts";
import type { MachineState } from "./state.ts";

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
  /** Number of things that were due: see `due.ts`. */
  readonly dueEnded: number;
};

const TICK: Tick = { type: "tick" };

export const tick: CommandKind<Tick, TickResult, MachineState, CommandEffects> = {
  type: "tick",
  tag: 11,
  summaryId: 7,
  encode() {},
  decode: () => TICK,
  apply(state, _command, effects) {
    const { broker, kv, now } = state;
    return {
      ok: true,
      type: "tick",
      keysFreed: expireKeys(kv, now, KEYS_FREED_PER_TICK_MAX),
      duplicatesForgotten: evictOldKeys(broker, now, DUPLICATES_FORGOTTEN_PER_TICK_MAX),
      dueEnded: endDue(state, effects),
    };
  },
  summarize({ keysFreed, duplicatesForgotten, dueEnded }, summary) {
    summary.numbers(keysFreed, duplicatesForgotten);
    // Versions without these things have the same checksum.
    if (dueEnded > 0) summary.numbers(dueEnded, 0);
  },
};
