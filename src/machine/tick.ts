import type { CommandKind } from "../lib/command-kind.ts";
import type { CommandEffects } from "./commands.ts";
import { endDue } from "./due.ts";
import type { MachineState } from "./state.ts";

/** Advances the machine time and frees expired keys. */
export type Tick = { readonly type: "tick" };
export type TickResult = {
  readonly ok: true;
  readonly type: "tick";
  readonly keysFreed: number;
  /** Number of idempotency keys that were dropped. */
  readonly duplicatesForgotten: number;
  /** Number of all other things that were due: see `due.ts`. */
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
    const [keysFreed = 0, duplicatesForgotten = 0, ...others] = endDue(state, effects);
    const dueEnded = others.reduce((sum, count) => sum + count, 0);
    return { ok: true, type: "tick", keysFreed, duplicatesForgotten, dueEnded };
  },
  summarize({ keysFreed, duplicatesForgotten, dueEnded }, summary) {
    summary.numbers(keysFreed, duplicatesForgotten);
    // Versions without these things have the same checksum.
    if (dueEnded > 0) summary.numbers(dueEnded, 0);
  },
};
