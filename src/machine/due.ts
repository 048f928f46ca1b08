/** All parts of the state with things that fall due: the tick command ends them. A new one gets a row. */

import { evictOldKeys } from "../broker/idempotency.ts";
import { PRODUCER_WINDOW_MS } from "../broker/producer-sequence.ts";
import { expireDurable } from "../durable/expiry.ts";
import { contextOf } from "../durable/state.ts";
import { endLeases } from "../groups/members.ts";
import { expireKeys, nextKvExpiry } from "../kv/commands/expire.ts";
import { endSecrets } from "../webhook/state.ts";
import type { CommandEffects } from "./commands.ts";
import type { MachineState } from "./state.ts";

export type DueSource = {
  readonly name: string;
  readonly size: (state: MachineState) => number;
  /** The time at which the first thing falls due; `Infinity` if there is none. */
  readonly nextAt: (state: MachineState) => number;
  /** Nobody sees whether a thing is ended within this time. It saves entries of the log. */
  readonly graceMs: number;
  /** Ends at most `max` things that are due now. @returns how many. */
  readonly end: (state: MachineState, max: number, effects: CommandEffects) => number;
  /** Limit of one tick, so that its entry does not take long to apply. */
  readonly perTickMax: number;
};

const GRACE_MS = 900;
export const KEYS_FREED_PER_TICK_MAX = 2_000;
export const DUPLICATES_FORGOTTEN_PER_TICK_MAX = 10_000;
export const DUE_PER_TICK_MAX = 1_000;

/** The tick ends them in this order, and its result counts the first two by themselves. */
export const DUE_SOURCES = [
  {
    name: "keys",
    size: ({ kv }) => kv.expiring,
    nextAt: ({ kv }) => nextKvExpiry(kv),
    graceMs: GRACE_MS,
    end: ({ kv, now }, max) => expireKeys(kv, now, max),
    perTickMax: KEYS_FREED_PER_TICK_MAX,
  },
  {
    name: "idempotency_keys",
    size: ({ broker }) => broker.dedupeKeys,
    nextAt: ({ broker, now }) =>
      broker.isOverfull ? now : broker.oldestDedupeAt + broker.limits.dedupeWindowMs,
    graceMs: GRACE_MS,
    end: ({ broker, now }, max) => evictOldKeys(broker, now, max),
    perTickMax: DUPLICATES_FORGOTTEN_PER_TICK_MAX,
  },
  {
    name: "group_leases",
    size: ({ parts }) => parts.groups.leases.size,
    nextAt: ({ parts }) => parts.groups.leases.nextAt(),
    graceMs: 0,
    end: ({ parts, now }, max, effects) => endLeases(parts.groups, now, max, effects),
    perTickMax: DUE_PER_TICK_MAX,
  },
  {
    name: "streams",
    size: ({ parts }) => parts.durable.due.size,
    nextAt: ({ parts }) => parts.durable.due.nextAt(),
    graceMs: 0,
    end: (state, max, effects) => expireDurable(contextOf(state, effects), max),
    perTickMax: DUE_PER_TICK_MAX,
  },
  {
    name: "producers",
    size: ({ parts }) => parts.producers.size,
    nextAt: ({ parts }) => parts.producers.oldestAt + PRODUCER_WINDOW_MS,
    graceMs: 0,
    end: ({ parts, now }, max) => parts.producers.expire(now, max),
    perTickMax: DUE_PER_TICK_MAX,
  },
  {
    name: "webhook_secrets",
    size: ({ parts }) => parts.webhooks.due.size,
    nextAt: ({ parts }) => parts.webhooks.due.nextAt(),
    graceMs: 0,
    end: ({ parts, now }, max) => endSecrets(parts.webhooks, now, max),
    perTickMax: DUE_PER_TICK_MAX,
  },
] as const satisfies readonly DueSource[];

/** Ends things that are due now. @returns how many of each source, in the order of the sources. */
export const endDue = (state: MachineState, effects: CommandEffects): number[] =>
  DUE_SOURCES.map(({ end, perTickMax }) => end(state, perTickMax, effects));

/** The time at which something falls due; `Infinity` if nothing does. */
export const nextDueAt = (state: MachineState): number => earliest(state, () => 0);

/** The time at which something has to be ended, after the time that it may wait. */
export const nextUrgentAt = (state: MachineState): number =>
  earliest(state, ({ graceMs }) => graceMs);

function earliest(state: MachineState, laterMs: (source: DueSource) => number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const source of DUE_SOURCES) next = Math.min(next, source.nextAt(state) + laterMs(source));
  return next;
}
