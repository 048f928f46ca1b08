import { assert } from "../lib/assert.ts";
import type { LogIndex, Term, TermRun } from "./types.ts";

/** The terms of a stretch of the log, one item per change of term; terms never descend. */
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

  /** Forgets `index` and all above. */
  truncate(index: LogIndex): void {
    const runs = this.#runs;
    while (runs.length > 0 && (runs[runs.length - 1] as TermRun).first >= index) runs.pop();
  }

  /** Forgets all at or below `index`, given that the log goes on to `lastIndex`. */
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

  /** `index` must be within the stretch. */
  termAt(index: LogIndex): Term | undefined {
    return this.#runs[this.#find(index)]?.term;
  }

  /** First index of the run that holds `index`. */
  startOf(index: LogIndex): LogIndex | undefined {
    return this.#runs[this.#find(index)]?.first;
  }

  /** Binary search of the last run that begins at or below `index`; -1 if none. */
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
