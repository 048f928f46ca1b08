import { type Gauge, LocalGauge } from "../lib/gauge.ts";
import type { Cell } from "../metrics/histogram.ts";
import { ApiError } from "./errors.ts";

export const FOLLOW_STREAMS_MAX = 10_000;

/** Bounds the streams that follow new records, over all threads that serve HTTP. */
export class FollowLimit {
  readonly #open: Cell;
  readonly #all: Gauge;
  readonly #max: number;

  /**
   * @param open metric of the streams of this thread.
   * @param all the streams of all threads.
   */
  constructor(open: Cell, all: Gauge = new LocalGauge(), max = FOLLOW_STREAMS_MAX) {
    this.#open = open;
    this.#all = all;
    this.#max = max;
  }

  /** Counts a stream until `end`. @throws ApiError `overloaded`; then it is not counted. */
  begin(): void {
    if (this.#all.value >= this.#max) {
      throw new ApiError("overloaded", `${this.#max} streams are open, which is the limit`);
    }
    this.#add(1);
  }

  end(): void {
    this.#add(-1);
  }

  #add(count: number): void {
    this.#open.value += count;
    this.#all.add(count);
  }
}
