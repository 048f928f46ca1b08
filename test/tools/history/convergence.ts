/** Rule 12: at the end all nodes have the same, and the cluster takes writes again. */
import { type Dump, groupBy, type KvDump, type Operation } from "./operations.ts";
import { Violation } from "./violation.ts";

/** Values need no comparison here: agreement has compared them offset by offset. */
export function checkEqual(dumps: readonly Dump[], kvDumps: readonly KvDump[]): void {
  const partitions = groupBy(dumps, ({ args }) => `${args.topic}/${args.partition}`);
  for (const [name, group] of partitions) {
    compare(name, group, ({ result }) => {
      const committed = Object.entries(result?.committed ?? {}).sort();
      return JSON.stringify([result?.low, result?.end, committed]);
    });
  }
  for (const [name, group] of groupBy(kvDumps, ({ args }) => args.ns)) {
    compare(name, group, ({ result }) => JSON.stringify(result?.entries));
  }
}

function compare<T extends Operation>(
  name: string,
  group: readonly T[],
  shown: (one: T) => string,
): void {
  const [first] = group;
  for (const other of group) {
    if (first === undefined || shown(first) === shown(other)) continue;
    const what = `${name}: ${shown(first).slice(0, 300)} and ${shown(other).slice(0, 300)}`;
    throw new Violation("not-equal", what, first, other);
  }
}

/**
 * @returns milliseconds from the end of the faults to the first acknowledged write that began after
 * it.
 */
export function recoveryMs(operations: readonly Operation[]): number | null {
  const healed = operations.filter(({ op }) => op === "heal").at(-1);
  if (healed === undefined) return null;
  let first = Number.POSITIVE_INFINITY;
  for (const { op, outcome, call, ret } of operations) {
    if (op === "produce" && outcome === "ok" && call >= healed.call) first = Math.min(first, ret);
  }
  return first - healed.call;
}
