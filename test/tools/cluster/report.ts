import type { Verdict } from "../history/check.ts";
import type { Operation } from "../history/operations.ts";
import type { Report } from "./execute.ts";

/** Text of a report; its last line is the verdict. */
export function reportText(name: string, { verdict, findings, notes, operations }: Report): string {
  const { counts } = verdict;
  const lines = [
    `operations: ${counts.ok} ok, ${counts.unknown} unknown, ${counts.fail} fail; ` +
      `${counts.records} records acknowledged`,
    `faults: ${kindsOf(operations)}; leader changes: ${counts.leaderChanges}`,
    ...notes,
    ...findings.map((finding) => `FINDING: ${finding}`),
    ...detailsOf(verdict),
    `${name}: ${verdictLine(verdict, findings.length)}`,
  ];
  return lines.join("\n");
}

/** 0 passed, 1 violated, 2 showed too little. */
export function exitCodeOf({ verdict, findings }: Report): 0 | 1 | 2 {
  if (verdict.kind === "violation" || findings.length > 0) return 1;
  return verdict.kind === "passed" ? 0 : 2;
}

function kindsOf(operations: readonly Operation[]): string {
  const kinds = new Map<string, number>();
  for (const one of operations) {
    if (one.op === "fault") kinds.set(one.args.kind, (kinds.get(one.args.kind) ?? 0) + 1);
  }
  return [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ") || "none";
}

const SHOWN_MAX = 12;
const SHOWN_CHARACTERS_MAX = 500;

function detailsOf(verdict: Verdict): string[] {
  if (verdict.kind === "passed") return [];
  if (verdict.kind === "invalid") return verdict.reasons.map((reason) => `too little: ${reason}`);
  const shown = verdict.operations.slice(0, SHOWN_MAX).map((one) => JSON.stringify(one));
  return [
    `VIOLATION of ${verdict.rule}: ${verdict.message}`,
    ...shown.map((text) => `  ${text.slice(0, SHOWN_CHARACTERS_MAX)}`),
  ];
}

function verdictLine(verdict: Verdict, findings: number): string {
  if (verdict.kind === "violation") return `VIOLATED (${verdict.rule})`;
  if (findings > 0) return `VIOLATED (${findings} findings beside the history)`;
  return verdict.kind === "passed" ? "passed" : "invalid: it showed too little";
}
