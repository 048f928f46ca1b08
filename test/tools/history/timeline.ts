/** Questions about time in O(log n): both answers come with the operation that is their reason. */
import type { Operation } from "./operations.ts";

export type Moment = { readonly time: number; readonly value: number; readonly by: Operation };

/** The largest value among the moments before a time. */
export class LargestBefore {
  readonly #times: Float64Array;
  readonly #best: Moment[] = [];

  constructor(moments: readonly Moment[]) {
    const sorted = [...moments].sort((a, b) => a.time - b.time);
    this.#times = Float64Array.from(sorted, ({ time }) => time);
    let best: Moment | null = null;
    for (const moment of sorted) {
      if (best === null || moment.value > best.value) best = moment;
      this.#best.push(best);
    }
  }

  /** @returns null if nothing lies strictly before `time`. */
  at(time: number): Moment | null {
    return this.#best[lowerBound(this.#times, time) - 1] ?? null;
  }
}

/** The smallest value among the moments at or after a time. */
export class SmallestFrom {
  readonly #times: Float64Array;
  readonly #best: Moment[];

  constructor(moments: readonly Moment[]) {
    const sorted = [...moments].sort((a, b) => a.time - b.time);
    this.#times = Float64Array.from(sorted, ({ time }) => time);
    this.#best = new Array(sorted.length);
    let best: Moment | null = null;
    for (let i = sorted.length - 1; i >= 0; i--) {
      const moment = sorted[i] as Moment;
      if (best === null || moment.value < best.value) best = moment;
      this.#best[i] = best;
    }
  }

  at(time: number): Moment | null {
    return this.#best[lowerBound(this.#times, time)] ?? null;
  }
}

/** Index of the first element that is not below `time`. */
function lowerBound(times: Float64Array, time: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] as number) < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
