import { assert } from "../lib/assert.ts";
import type { LogIndex, Term, TermRun } from "./types.ts";

/** The terms of a range of the log, with one item per change of term. Terms never descend. */
export class TermRuns {
  #runs: TermRun[] = [];

  get list(): readonly TermRun[] {
    return this.#runs;
  }

  append(index: LogIndex, term: Term): void {
    const last = this.#runs[this.#runs.length - 1];
    if (last !== undefined && last.term === term) return;
    assert(last === undefined || last.term < term, "terms of a log never descend");
    this.#runs.push({ first: index, term });
  }

  /** Removes `index` and everything above it. */
  truncate(index: LogIndex): void {
    const runs = this.#runs;
    while (runs.length > 0 && (runs[runs.length - 1] as TermRun).first >= index) runs.pop();
  }

  /** Removes everything at or below `index`, given that the log ends at `lastIndex`. */
  dropThrough(index: LogIndex, lastIndex: LogIndex): void {
    if (index >= lastIndex) {
      this.#runs = [];
      return;
    }
    const at = this.#find((index + 1) as LogIndex);
    const run = this.#runs[at];
    if (run === undefined) return;
    this.#runs.splice(0, at);
    this.#runs[0] = { first: (index + 1) as LogIndex, term: run.term };
  }

  /** Returns the term at `index`, which must be within the range. */
  termAt(index: LogIndex): Term | undefined {
    return this.#runs[this.#find(index)]?.term;
  }

  /** Returns the first index of the run that contains `index`. */
  startOf(index: LogIndex): LogIndex | undefined {
    return this.#runs[this.#find(index)]?.first;
  }

  /** Finds the last run that begins at or below `index` by binary search; -1 if there is none. */
  #find(index: LogIndex): number {
    const runs = this.#runs;
    let low = 0;
    let high = runs.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if ((runs[middle] as TermRun).first <= index) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }
}
