/** The rounds of one table: all rows take turns, and each ratio is of two results of the same round. */
import { type Measured, medianOf } from "./measure.ts";

/** One thing to load: Ayder, a floor, or a peer. */
export type Row = {
  readonly name: string;
  /** Messages that one answer stands for. */
  readonly messages: number;
  run(seconds: number): Promise<Measured>;
  /** The row that this one is compared with; `null` for what is compared. */
  readonly base: Row | null;
  readonly results: Measured[];
};

export type Rounds = {
  readonly warmupSeconds: number;
  readonly seconds: number;
  readonly rounds: number;
  /** Called before each row of a round. */
  settle?(): void;
};

/**
 * Runs all rows in every round. Each round begins with another row, so that none has always the same
 * one before it, whose dirty pages and garbage it would pay for.
 */
export async function runRounds(rows: readonly Row[], rounds: Rounds): Promise<void> {
  for (const { run } of rows) await run(rounds.warmupSeconds);
  for (let round = 0; round < rounds.rounds; round++) {
    for (let n = 0; n < rows.length; n++) {
      const { run, results } = rows[(n + round) % rows.length] as Row;
      rounds.settle?.();
      results.push(await run(rounds.seconds));
    }
  }
}

/** The rate of the base divided by that of the row, in each round. Empty for a base. */
export function ratiosOf({ base, results, messages }: Row): number[] {
  if (base === null) return [];
  return results.map((result, round) => {
    const ours = (base.results[round]?.perSecond ?? Number.NaN) * base.messages;
    return ours / (result.perSecond * messages);
  });
}

/** The median of each figure by itself. */
export function medians(results: readonly Measured[]): Measured {
  const of = (figure: (result: Measured) => number) => medianOf(results.map(figure));
  return {
    perSecond: of((result) => result.perSecond),
    p50Ms: of((result) => result.p50Ms),
    p99Ms: of((result) => result.p99Ms),
    maxMs: of((result) => result.maxMs),
    errors: Math.max(...results.map((result) => result.errors)),
    bytesPerSecond: of((result) => result.bytesPerSecond),
    answered: of((result) => result.answered),
    mainUs: of((result) => result.mainUs),
    othersUs: of((result) => result.othersUs),
  };
}

const HEADS = ["msg/s", "spread", "req/s", "p50 ms", "p99 ms", "CPU us", "ratio", "low to high"];
const WIDTHS = [12, 8, 10, 9, 9, 13, 8, 16];
const NAME_WIDTH = 36;

export const head = (): string => line("case", HEADS);

/** @returns a line of the table: medians, and how far the lowest and the highest round are apart. */
export function shown(row: Row): string {
  const { perSecond, p50Ms, p99Ms, mainUs, othersUs, errors } = medians(row.results);
  const rates = row.results.map((result) => result.perSecond);
  const spread = ((Math.max(...rates) - Math.min(...rates)) / perSecond) * 100;
  const whole = (value: number) => Math.round(value).toLocaleString("en");
  const cpu = `${mainUs.toFixed(1)}+${othersUs.toFixed(1)}`;
  const ratios = ratiosOf(row);
  const ends = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(2));
  const ratio = ratios.length === 0 ? [] : [medianOf(ratios).toFixed(2), ends.join(" to ")];
  const rate = [whole(perSecond * row.messages), `${spread.toFixed(0)}%`, whole(perSecond)];
  const columns = [...rate, p50Ms.toFixed(2), p99Ms.toFixed(2), cpu, ...ratio];
  return line(row.name, columns) + (errors > 0 ? `  ${errors} errors` : "");
}

function line(name: string, columns: readonly string[]): string {
  return (
    name.padEnd(NAME_WIDTH) + columns.map((text, at) => text.padStart(WIDTHS[at] ?? 0)).join("")
  );
}
