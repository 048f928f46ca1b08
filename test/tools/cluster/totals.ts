/** The results of many runs, in a file that each of them appends a line to. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Report } from "./execute.ts";

type Ran = {
  readonly scenario: string;
  readonly seed: number;
  readonly nodes: number;
  /** From the first start to the verdict. */
  readonly seconds: number;
  /** 0 passed, 1 violated, 2 showed too little. */
  readonly code: number;
};
type Line = Ran & {
  readonly ok: number;
  readonly unknown: number;
  readonly fail: number;
  readonly records: number;
  readonly faults: number;
  readonly leaderChanges: number;
  readonly takeovers: readonly number[];
};

export function appendRun(path: string, ran: Ran, { verdict, takeovers }: Report): void {
  const { ok, unknown, fail, records, faults, leaderChanges } = verdict.counts;
  const rounded = takeovers.map((ms) => Math.round(ms));
  const counts = { ok, unknown, fail, records, faults, leaderChanges, takeovers: rounded };
  appendFileSync(path, `${JSON.stringify({ ...ran, ...counts })}\n`);
}

const VERDICTS = ["passed", "violated", "invalid"] as const;

/** A row for each scenario and one for all of them. */
export function tableOf(path: string): string {
  const lines = existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line) as Line)
    : [];
  const scenarios = [...new Set(lines.map(({ scenario }) => scenario))].sort();
  const rows = scenarios.map((name) =>
    rowOf(
      name,
      lines.filter(({ scenario }) => scenario === name),
    ),
  );
  return [...rows, rowOf("all", lines)].join("\n");
}

function rowOf(name: string, lines: readonly Line[]): string {
  const sum = (of: (line: Line) => number) => lines.reduce((total, line) => total + of(line), 0);
  const verdicts = VERDICTS.map(
    (verdict, code) => `${lines.filter((line) => line.code === code).length} ${verdict}`,
  );
  const takeovers = lines.flatMap((line) => line.takeovers).sort((a, b) => a - b);
  const times =
    takeovers.length === 0
      ? ""
      : `; takeovers: ${takeovers.length}, median ${takeovers[takeovers.length >> 1]} ms, ` +
        `longest ${takeovers.at(-1)} ms`;
  return (
    `${name}: ${lines.length} runs in ${(sum(({ seconds }) => seconds) / 60).toFixed(1)} min, ` +
    `${verdicts.join(", ")}; operations ${sum(({ ok }) => ok)} ok, ` +
    `${sum(({ unknown }) => unknown)} unknown, ${sum(({ fail }) => fail)} fail; ` +
    `${sum(({ records }) => records)} records acknowledged; ` +
    `${sum(({ faults }) => faults)} faults, ` +
    `${sum(({ leaderChanges }) => leaderChanges)} leader changes${times}`
  );
}
