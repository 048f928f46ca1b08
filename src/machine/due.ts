/** All parts of the state with things that fall due: the tick command ends them. A new one gets a row. */

import { PRODUCER_WINDOW_MS } from "../broker/producer-sequence.ts";
import { expireDurable } from "../durable/expiry.ts";
import { contextOf } from "../durable/state.ts";
import { endLeases } from "../groups/members.ts";
import type { CommandEffects } from "./commands.ts";
import type { MachineState } from "./state.ts";

export type DueSource = {
  /** Value of a metric's label. */
  readonly name: string;
  readonly size: (state: MachineState) => number;
  /** The time at which the first thing falls due; `Infinity` if there is none. */
  readonly nextAt: (state: MachineState) => number;
  /** Ends at most `max` things that are due now. @returns how many. */
  readonly end: (state: MachineState, max: number, effects: CommandEffects) => number;
};

export const DUE_SOURCES: readonly DueSource[] = [
  {
    name: "group_leases",
    size: ({ parts }) => parts.groups.leases.size,
    nextAt: ({ parts }) => parts.groups.leases.nextAt(),
    end: ({ parts, now }, max, effects) => endLeases(parts.groups, now, max, effects),
  },
  {
    name: "streams",
    size: ({ parts }) => parts.durable.due.size,
    nextAt: ({ parts }) => parts.durable.due.nextAt(),
    end: (state, max, effects) => expireDurable(contextOf(state, effects), max),
  },
  {
    name: "producers",
    size: ({ parts }) => parts.producers.size,
    nextAt: ({ parts }) => parts.producers.oldestAt + PRODUCER_WINDOW_MS,
    end: ({ parts, now }, max) => parts.producers.expire(now, max),
  },
];

/** Limit of one tick for each source, so that its entry does not take long to apply. */
export const DUE_PER_TICK_MAX = 1_000;

/** Ends things that are due now. @returns how many. */
export function endDue(state: MachineState, effects: CommandEffects): number {
  let ended = 0;
  for (const { end } of DUE_SOURCES) ended += end(state, DUE_PER_TICK_MAX, effects);
  return ended;
}

/** The time at which something falls due; `Infinity` if nothing does. */
export function nextDueAt(state: MachineState): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { nextAt } of DUE_SOURCES) next = Math.min(next, nextAt(state));
  return next;
}
