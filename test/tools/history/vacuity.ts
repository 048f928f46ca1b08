/** Rule 13: what a history holds, and whether that is enough to prove anything. */
import { checkLeaders } from "./leaders.ts";
import type { Operation } from "./operations.ts";
import { Violation } from "./violation.ts";

export type Demands = {
  readonly okProduces: number;
  readonly unknown: number;
  readonly faults: number;
  readonly leaderChanges: number;
  /** Acknowledged produces that overlap the median fault window. */
  readonly okPerFault: number;
  readonly dumps: number;
};

export type Counts = {
  readonly operations: number;
  readonly ok: number;
  readonly unknown: number;
  readonly fail: number;
  readonly okProduces: number;
  readonly records: number;
  readonly faults: number;
  readonly leaderChanges: number;
};

const NOT_BY_CLIENTS = new Set<Operation["op"]>(["fault", "leader", "heal"]);

export function countsOf(operations: readonly Operation[]): Counts {
  const outcomes = { ok: 0, unknown: 0, fail: 0 };
  let okProduces = 0;
  let records = 0;
  let faults = 0;
  for (const operation of operations) {
    if (operation.op === "fault") faults++;
    if (NOT_BY_CLIENTS.has(operation.op)) continue;
    outcomes[operation.outcome]++;
    if (operation.op !== "produce" || operation.outcome !== "ok") continue;
    okProduces++;
    records += operation.args.values.length;
  }
  const all = outcomes.ok + outcomes.unknown + outcomes.fail;
  const leaderChanges = changes(operations);
  return { operations: all, ...outcomes, okProduces, records, faults, leaderChanges };
}

export function shortcomings(
  operations: readonly Operation[],
  counts: Counts,
  demands: Partial<Demands>,
): string[] {
  const reasons: string[] = [];
  const need = (what: string, found: number, wanted = 0) => {
    if (found < wanted) reasons.push(`${what}: ${found}, at least ${wanted} are needed`);
  };
  need("acknowledged produces", counts.okProduces, demands.okProduces);
  need("unknown outcomes", counts.unknown, demands.unknown);
  need("faults", counts.faults, demands.faults);
  need("leader changes", counts.leaderChanges, demands.leaderChanges);
  need("dumps", operations.filter(({ op }) => op === "dump").length, demands.dumps);
  if (demands.okPerFault !== undefined) {
    need("acknowledged produces per fault", okPerFault(operations), demands.okPerFault);
  }
  return reasons;
}

function changes(operations: readonly Operation[]): number {
  const leaders = operations.filter((one) => one.op === "leader");
  try {
    return Math.max(0, checkLeaders(leaders) - 1);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return leaders.length;
  }
}

/** Median over fault windows, each taken up to the begin of the next fault. */
function okPerFault(operations: readonly Operation[]): number {
  const starts = operations
    .filter(({ op }) => op === "fault")
    .map(({ call }) => call)
    .sort((a, b) => a - b);
  const counts = new Array<number>(starts.length).fill(0);
  const rets = operations
    .filter(({ op, outcome }) => op === "produce" && outcome === "ok")
    .map(({ ret }) => ret)
    .sort((a, b) => a - b);
  let window = -1;
  for (const ret of rets) {
    while (window + 1 < starts.length && (starts[window + 1] as number) <= ret) window++;
    if (window >= 0) counts[window] = (counts[window] as number) + 1;
  }
  counts.sort((a, b) => a - b);
  return counts[counts.length >> 1] ?? 0;
}
