import type { Clock } from "../../env/clock.ts";
import { fireCron } from "../../later/commands/crons.ts";
import type { Cron } from "../../later/state.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Commander } from "../writes/commander.ts";
import { Slots } from "./slots.ts";

/** A slot that is reached later than this was missed, unless the schedule catches up. */
const LATE_MS = 60_000;
/** Slots that one step looks at, so that a schedule by the second that was off for days does not take long. */
const STEP_SLOTS = 200;

export type CronRunnerOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
};

type Step = {
  readonly fireMs: number | null;
  readonly nextMs: number | null;
  readonly missed: number;
};

/** Reaches the slots of schedules on the leader. */
export class CronRunner {
  readonly #options: CronRunnerOptions;
  readonly #slots = new Map<number, Slots>();
  /** Schedules whose command is not applied yet. */
  readonly #inFlight = new Set<number>();

  constructor(options: CronRunnerOptions) {
    this.#options = options;
  }

  /** The next time at which a slot is reached. */
  nextAt(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { nextMs, cronId } of this.#options.machine.parts.later.crons.values()) {
      if (nextMs !== null && !this.#inFlight.has(cronId)) next = Math.min(next, nextMs);
    }
    return next;
  }

  /** Proposes what is due. Calls `done` when something was applied. */
  run(done: () => void): void {
    const nowMs = this.#options.clock.now();
    for (const cron of this.#options.machine.parts.later.crons.values()) {
      const { nextMs, cronId } = cron;
      if (nextMs === null || nextMs > nowMs || this.#inFlight.has(cronId)) continue;
      this.#propose(cron, nextMs, nowMs, done);
    }
  }

  reset(): void {
    this.#inFlight.clear();
    this.#slots.clear();
  }

  #propose(cron: Cron, slotMs: number, nowMs: number, done: () => void): void {
    const { cronId, name, definition } = cron;
    const step = stepOf(this.#slotsOf(cron), definition.catchUp, slotMs, nowMs);
    this.#inFlight.add(cronId);
    this.#options.commander.start(
      {
        kind: fireCron,
        fields: { name, cronId, slotMs, ...step },
        bytes: 512 + definition.value.length,
        grows: true,
        done: () => null,
      },
      () => {
        this.#inFlight.delete(cronId);
        done();
      },
    );
  }

  #slotsOf({ cronId, definition }: Cron): Slots {
    const slots = this.#slots.get(cronId) ?? new Slots(definition.cron, definition.tz);
    this.#slots.set(cronId, slots);
    return slots;
  }
}

/** The slot to produce, if any, and where the schedule stands then. */
export function stepOf(
  slots: Pick<Slots, "after">,
  catchUp: "none" | "one" | "all",
  slotMs: number,
  nowMs: number,
): Step {
  let last = slotMs;
  let next = slots.after(last);
  if (catchUp === "all") return { fireMs: last, nextMs: next, missed: 0 };
  let passed = 0;
  while (next !== null && next <= nowMs) {
    passed++;
    last = next;
    // The remainder follows in the next step.
    if (passed >= STEP_SLOTS) return { fireMs: null, nextMs: last, missed: passed };
    next = slots.after(last);
  }
  const fires = catchUp === "one" || nowMs - last <= LATE_MS;
  return { fireMs: fires ? last : null, nextMs: next, missed: passed + (fires ? 0 : 1) };
}
