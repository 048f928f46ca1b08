import type { Clock } from "../../env/clock.ts";
import { fireCron } from "../../later/commands/crons.ts";
import type { Cron } from "../../later/state.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Commander } from "../writes/commander.ts";
import { InvalidCron, Slots } from "./slots.ts";

/** A slot that is reached later than this was missed, unless the schedule catches up. */
const LATE_MS = 60_000;
/** Slots that one step looks at, so that a schedule by the second that was off for days does not take long. */
const STEP_SLOTS = 200;
/** Slots that one run looks at, so that many such schedules do not take long either. */
const RUN_SLOTS = 1_000;

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

/** Expressions of schedules that are gone may stay parsed, beside as many as there are. */
const SLOTS_SPARE = 16;

/** Reaches the slots of schedules on the leader. */
export class CronRunner {
  readonly #options: CronRunnerOptions;
  readonly #slots = new Map<number, Slots>();
  /** Schedules whose command is not applied yet. */
  readonly #inFlight = new Set<number>();
  /** Schedules that this version cannot read, such as those of a time zone that is newer. */
  readonly #unknown = new Set<number>();
  #nextAt = Number.POSITIVE_INFINITY;
  /** `#nextAt` is that of this many changes of the schedules. Negative: it is not known. */
  #changes = -1;

  constructor(options: CronRunnerOptions) {
    this.#options = options;
  }

  /** The next time at which a slot is reached. */
  nextAt(): number {
    const { crons, cronChanges } = this.#options.machine.parts.later;
    if (this.#changes === cronChanges) return this.#nextAt;
    this.#changes = cronChanges;
    this.#nextAt = Number.POSITIVE_INFINITY;
    for (const { nextMs, cronId } of crons.values()) {
      if (nextMs === null || this.#inFlight.has(cronId) || this.#unknown.has(cronId)) continue;
      this.#nextAt = Math.min(this.#nextAt, nextMs);
    }
    return this.#nextAt;
  }

  /**
   * Proposes what is due, the oldest first. Calls `done` when something was applied.
   *
   * @returns true if the log refused something.
   */
  run(done: () => void): boolean {
    const nowMs = this.#options.clock.now();
    if (this.nextAt() > nowMs) return false;
    const due: [slotMs: number, cron: Cron][] = [];
    for (const cron of this.#options.machine.parts.later.crons.values()) {
      const { nextMs, cronId } = cron;
      const waits = nextMs === null || nextMs > nowMs || this.#inFlight.has(cronId);
      if (!waits && !this.#unknown.has(cronId)) due.push([nextMs, cron]);
    }
    due.sort(([a, one], [b, other]) => a - b || one.cronId - other.cronId);
    let slots = 0;
    for (const [slotMs, cron] of due) {
      if (slots >= RUN_SLOTS) break;
      const its = this.#slotsOf(cron);
      if (its === null) continue;
      const step = stepOf(its, cron.definition.catchUp, slotMs, nowMs);
      slots += step.missed + 1;
      if (!this.#propose(cron, slotMs, step, done)) return true;
    }
    return false;
  }

  reset(): void {
    this.#inFlight.clear();
    this.#slots.clear();
    this.#unknown.clear();
    this.#changes = -1;
  }

  /** @returns false if the log refused it. */
  #propose(cron: Cron, slotMs: number, step: Step, done: () => void): boolean {
    const { cronId, name, definition } = cron;
    let isRefused = false;
    this.#inFlight.add(cronId);
    this.#changes = -1;
    this.#options.commander.start(
      {
        kind: fireCron,
        fields: { name, cronId, slotMs, ...step },
        bytes: 512 + definition.value.length,
        grows: true,
        done: () => null,
      },
      (outcome) => {
        isRefused = outcome !== null;
        this.#inFlight.delete(cronId);
        this.#changes = -1;
        done();
      },
    );
    return !isRefused;
  }

  /** @returns null if this version cannot read the schedule: it waits for a leader that can. */
  #slotsOf({ cronId, definition }: Cron): Slots | null {
    const known = this.#slots.get(cronId);
    if (known !== undefined) return known;
    const { crons } = this.#options.machine.parts.later;
    // Those of schedules that were replaced or deleted.
    if (this.#slots.size > 2 * crons.size + SLOTS_SPARE) this.#slots.clear();
    try {
      const slots = new Slots(definition.cron, definition.tz);
      this.#slots.set(cronId, slots);
      return slots;
    } catch (error) {
      if (!(error instanceof InvalidCron)) throw error;
      this.#unknown.add(cronId);
      this.#changes = -1;
      return null;
    }
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
