import type { Leader } from "./operations.ts";
import { Violation } from "./violation.ts";

/**
 * One term has one leader.
 *
 * @returns how many terms had a leader that was seen.
 * @throws Violation
 */
export function checkLeaders(leaders: readonly Leader[]): number {
  const byTerm = new Map<number, Leader>();
  for (const leader of leaders) {
    const term = leader.result?.term;
    if (term === undefined) continue;
    const other = byTerm.get(term);
    if (other !== undefined && other.node !== leader.node) {
      const what = `term ${term} has ${other.node} and ${leader.node}`;
      throw new Violation("two-leaders", what, other, leader);
    }
    byTerm.set(term, leader);
  }
  return byTerm.size;
}
