/** The position of each live entry of the journal. Positions are sparse: one per 64 KiB. */
import { assert } from "../../lib/assert.ts";
import type { LogIndex, Term, TermRun } from "../../raft/types.ts";
import type { Segment } from "./segment.ts";

const MARK_EVERY_BYTES = 64 * 1024;

/** Consecutive entries that are contiguous in one segment. */
export type Run = {
  readonly segment: Segment;
  readonly first: number;
  last: number;
  /** Pairs of index and position, ascending. */
  readonly marks: number[];
};

export class JournalIndex {
  #baseIndex = 0;
  #baseTerm = 0;
  #last = 0;
  readonly #runs: Run[] = [];
  /** The changes of term: pairs of first index and term, ascending. */
  readonly #terms: number[] = [];
  #lastMark = 0;
  /** Set after a truncation: there are dead frames between the last entry and the next. */
  #runEnds = false;

  get firstIndex(): number {
    return this.#baseIndex + 1;
  }

  get lastIndex(): number {
    return this.#last;
  }

  get baseTerm(): number {
    return this.#baseTerm;
  }

  get lastTerm(): number {
    return this.#terms.at(-1) ?? this.#baseTerm;
  }

  /** Creates an empty index that continues after `index`. */
  reset(index: number, term: number): void {
    this.#baseIndex = index;
    this.#baseTerm = term;
    this.#last = index;
    this.#runEnds = true;
    this.#runs.length = 0;
    this.#terms.length = 0;
  }

  /** Records that the entry after `lastIndex` is at `position`. */
  add(segment: Segment, index: number, term: number, position: number): void {
    assert(index === this.#last + 1, "the index has no gaps");
    this.#last = index;
    if (term !== this.lastTerm) this.#terms.push(index, term);
    const run = this.#runs.at(-1);
    if (run === undefined || run.segment !== segment || this.#runEnds) {
      this.#runs.push({ segment, first: index, last: index, marks: [index, position] });
      this.#lastMark = position;
      this.#runEnds = false;
      return;
    }
    run.last = index;
    if (position - this.#lastMark >= MARK_EVERY_BYTES) {
      run.marks.push(index, position);
      this.#lastMark = position;
    }
  }

  /** Removes the entries after `index`. */
  truncateTo(index: number): void {
    assert(index >= this.#baseIndex, "entries that a checkpoint covers are never truncated");
    if (index >= this.#last) return;
    while ((this.#runs.at(-1)?.first ?? 0) > index) this.#runs.pop();
    const last = this.#runs.at(-1);
    if (last !== undefined) last.last = Math.min(last.last, index);
    while ((this.#terms.at(-2) ?? 0) > index) this.#terms.length -= 2;
    this.#last = index;
    this.#runEnds = true;
  }

  /** Removes all entries in segments that are released. */
  dropSegment(segment: Segment): void {
    let runs = 0;
    while (this.#runs[runs]?.segment === segment) runs++;
    const last = this.#runs[runs - 1];
    if (last === undefined) return;
    const baseTerm = this.termAt(last.last);
    assert(baseTerm !== null, "a live entry has a term");
    this.#runs.splice(0, runs);
    this.#baseIndex = last.last;
    this.#baseTerm = baseTerm;
    let passed = 0;
    while ((this.#terms[passed] ?? Number.MAX_VALUE) <= last.last) passed += 2;
    this.#terms.splice(0, passed);
  }

  /** Returns the highest live index in the segment, or null if all its entries are dead. */
  lastIn(segment: Segment): number | null {
    let last: number | null = null;
    for (const run of this.#runs) if (run.segment === segment) last = run.last;
    return last;
  }

  /** @returns null if the entry is not in the journal. The base itself has a term. */
  termAt(index: number): Term | null {
    if (index === this.#baseIndex) return this.#baseTerm as Term;
    if (index < this.#baseIndex || index > this.#last) return null;
    let term = this.#baseTerm;
    for (let i = 0; i < this.#terms.length; i += 2) {
      if ((this.#terms[i] ?? 0) > index) break;
      term = this.#terms[i + 1] ?? 0;
    }
    return term as Term;
  }

  /** Returns the terms of all entries, in the form that the core needs at start. */
  termRuns(): TermRun[] {
    const runs: TermRun[] = [];
    const first = this.firstIndex;
    if (this.#last >= first && this.#terms[0] !== first) {
      runs.push({ first: first as LogIndex, term: this.#baseTerm as Term });
    }
    for (let i = 0; i < this.#terms.length; i += 2) {
      runs.push({ first: this.#terms[i] as LogIndex, term: this.#terms[i + 1] as Term });
    }
    return runs;
  }

  /** Returns the run that contains a live entry. */
  find(index: number): Run {
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#runs[middle]?.first ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    const run = this.#runs[low];
    assert(run !== undefined && run.first <= index && index <= run.last, "the entry is live");
    return run;
  }
}

/**
 * Returns the last mark at or before `index`, from which a search begins. Marks after a truncation
 * are dead.
 */
export function markBefore(run: Run, index: number): { index: number; position: number } {
  const { marks } = run;
  let low = 0;
  let high = marks.length / 2 - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((marks[middle * 2] ?? 0) <= index) low = middle;
    else high = middle - 1;
  }
  return { index: marks[low * 2] ?? 0, position: marks[low * 2 + 1] ?? 0 };
}
