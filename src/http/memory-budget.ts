import type { Cell } from "../metrics/histogram.ts";

/** What routes that need no token may use of a budget: one part of this many. */
const PUBLIC_SHARE = 4;

/** Bytes of memory that many requests share. */
export class MemoryBudget {
  readonly limit: number;
  readonly #used: Cell;
  readonly #refused: Cell;
  #public = 0;

  /**
   * @param used gauge of the bytes in use.
   * @param refused counter of the requests that found no room.
   */
  constructor(limit: number, used: Cell, refused: Cell) {
    this.limit = limit;
    this.#used = used;
    this.#refused = refused;
  }

  get used(): number {
    return this.#used.value;
  }

  /** True if `bytes` more fit. Anything fits into an empty budget, however small it is. */
  hasRoom(bytes: number): boolean {
    return this.#used.value === 0 || this.#used.value + bytes <= this.limit;
  }

  /** Takes `bytes` that exist already, also beyond the limit. */
  add(bytes: number): void {
    this.#used.value += bytes;
  }

  give(bytes: number): void {
    this.#used.value -= bytes;
  }

  /** @returns false if there is no room: the request is refused. */
  take(bytes: number): boolean {
    if (this.hasRoom(bytes)) {
      this.add(bytes);
      return true;
    }
    this.#refused.value++;
    return false;
  }

  /** As `take`, for a client without a token: such clients together get only a part. */
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
