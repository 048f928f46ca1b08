import type { Cell } from "../metrics/histogram.ts";

/** Routes without a token may use this fraction (1/n) of a budget. */
const PUBLIC_SHARE = 4;

/** A limit of bytes in memory that requests share. */
export class MemoryBudget {
  readonly limit: number;
  readonly #used: Cell;
  readonly #refused: Cell;
  #public = 0;

  /**
   * @param used gauge of the bytes in use.
   * @param refused counter of the requests that did not fit.
   */
  constructor(limit: number, used: Cell, refused: Cell) {
    this.limit = limit;
    this.#used = used;
    this.#refused = refused;
  }

  get used(): number {
    return this.#used.value;
  }

  /**
   * True if `bytes` more fit. An empty budget accepts any size, so that no request is impossible.
   */
  hasRoom(bytes: number): boolean {
    return this.#used.value === 0 || this.#used.value + bytes <= this.limit;
  }

  /** Charges `bytes` that are already in memory, even beyond the limit. */
  add(bytes: number): void {
    this.#used.value += bytes;
  }

  give(bytes: number): void {
    this.#used.value -= bytes;
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
    if (this.#public > 0 && this.#public + bytes > this.limit / PUBLIC_SHARE) {
      this.#refused.value++;
      return false;
    }
    if (!this.take(bytes)) return false;
    this.#public += bytes;
    return true;
  }

  givePublic(bytes: number): void {
    this.#public -= bytes;
    this.give(bytes);
  }
}
