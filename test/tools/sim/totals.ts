/** The results of many seeds, in this process and in a file that runs append to. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Report } from "./simulation.ts";

const COUNTERS = [
  "seeds",
  "events",
  "simulatedMs",
  "operations",
  "acknowledged",
  "leaderChanges",
  "applied",
  "seconds",
] as const;
type Counters = Record<(typeof COUNTERS)[number], number>;

/** One line of the file. */
type Line = Counters & {
  readonly failed: readonly number[];
  readonly effects: Readonly<Record<string, number>>;
};

export class Totals {
  readonly counters: Counters = {
    seeds: 0,
    events: 0,
    simulatedMs: 0,
    operations: 0,
    acknowledged: 0,
    leaderChanges: 0,
    applied: 0,
    seconds: 0,
  };
  readonly failed: number[] = [];
  readonly effects = new Map<string, number>();

  add({ plan, violation, effects, ...report }: Report): void {
    this.#merge({
      ...report,
      seeds: 1,
      seconds: 0,
      failed: violation === null ? [] : [plan.seed],
      effects: Object.fromEntries(effects),
    });
  }

  #merge(line: Line): void {
    for (const name of COUNTERS) this.counters[name] += line[name];
    this.failed.push(...line.failed);
    for (const [kind, count] of Object.entries(line.effects)) {
      this.effects.set(kind, (this.effects.get(kind) ?? 0) + count);
    }
  }

  /** Adds what runs before this one appended. */
  read(path: string): void {
    if (!existsSync(path)) return;
    for (const line of readFileSync(path, "utf8").split("\n")) {
      if (line.startsWith("{")) this.#merge(JSON.parse(line) as Line);
    }
  }

  append(path: string): void {
    const { counters, failed } = this;
    const line = { ...counters, failed, effects: Object.fromEntries(this.effects) };
    appendFileSync(path, `${JSON.stringify(line)}\n`);
  }

  print(): void {
    const { seeds, events, simulatedMs, seconds } = this.counters;
    const { operations, applied, acknowledged, leaderChanges } = this.counters;
    const effects = [...this.effects].sort().map(([kind, count]) => `${kind} ${count}`);
    const faults = [...this.effects.values()].reduce((sum, count) => sum + count, 0);
    console.log(
      `${seeds} seeds, ${events} events (${Math.round(events / seconds)}/s), ` +
        `${Math.round(simulatedMs / 1000)} s simulated in ${seconds.toFixed(1)} s, ` +
        `${applied} entries, ${operations} operations, ${acknowledged} acknowledged produces, ` +
        `${leaderChanges} leaders\n${faults} faults with effect: ${effects.join(", ")}\n` +
        `failed: ${this.failed.length === 0 ? "none" : this.failed.join(" ")}`,
    );
  }
}
