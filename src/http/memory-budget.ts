import { type Gauge, LocalGauge } from "../lib/gauge.ts";
import type { Cell } from "../metrics/histogram.ts";

/** Routes without a token may use this fraction (1/n) of a budget. */
const PUBLIC_SHARE = 4;

/** Bytes in use, of all threads that serve HTTP. */
export type BudgetGauges = {
  readonly all: Gauge;
  /** Those of clients without a token. */
  readonly open: Gauge;
};
export const localGauges = (): BudgetGauges => ({ all: new LocalGauge(), open: new LocalGauge() });

/** A limit of bytes in memory that requests share. */
export class MemoryBudget {
  readonly limit: number;
  readonly #gauges: BudgetGauges;
  readonly #used: Cell;
  readonly #refused: Cell;

  /**
   * @param used metric of the bytes that this thread uses.
   * @param refused counter of the requests that did not fit.
   */
  constructor(limit: number, used: Cell, refused: Cell, gauges: BudgetGauges = localGauges()) {
    this.limit = limit;
    this.#used = used;
    this.#refused = refused;
    this.#gauges = gauges;
  }

  get used(): number {
    return this.#gauges.all.value;
  }

  /**
   * True if `bytes` more fit. An empty budget accepts any size, so that no request is impossible.
   */
  hasRoom(bytes: number): boolean {
    const used = this.#gauges.all.value;
    return used === 0 || used + bytes <= this.limit;
  }

  /** Charges `bytes` that are already in memory, even beyond the limit. */
  add(bytes: number): void {
    this.#used.value += bytes;
    this.#gauges.all.add(bytes);
  }

  give(bytes: number): void {
    this.#used.value -= bytes;
    this.#gauges.all.add(-bytes);
  }

  /** Charges `bytes`. @returns false if they do not fit; the request must then be rejected. */
  take(bytes: number): boolean {
    if (this.hasRoom(bytes)) {
      this.add(bytes);
      return true;
    }
    this.#refused.value++;
    return false;
  }

  /** Like `take`, for a client without a token. All such clients share a fraction of the budget. */
  takePublic(bytes: number): boolean {
    const open = this.#gauges.open.value;
    if (open > 0 && open + bytes > this.limit / PUBLIC_SHARE) {
      this.#refused.value++;
      return false;
    }
    if (!this.take(bytes)) return false;
    this.#gauges.open.add(bytes);
    return true;
  }

  givePublic(bytes: number): void {
    this.#gauges.open.add(-bytes);
    this.give(bytes);
  }
}
