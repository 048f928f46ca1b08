import type { Millis } from "../lib/ids.ts";
import { LEVEL_FIRST } from "../lib/log-levels.ts";
import { type AllStates, emptyStates } from "./parts.ts";

/** The replicated state: the parts of `parts.ts`, the clock, and the level of the log. */
export type MachineState = AllStates & {
  /** Level of the log: see `levels.ts`. */
  level: number;
  now: Millis;
};

export const emptyState = (): MachineState => ({
  ...emptyStates(),
  level: LEVEL_FIRST,
  now: 0 as Millis,
});
