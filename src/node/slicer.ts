import type { Clock } from "../env/clock.ts";
import type { Steps } from "../stream/steps.ts";

/** The longest that stream processing holds up a request. */
const SLICE_US = 500;
/** While requests keep the loop busy, they have it alone for so long between two slices. */
const REST_MS = 1;
/** A round of the loop that takes less had nothing to do. */
const IDLE_ROUND_US = 50;
/** After a round that had: so long it counts as busy. */
const BUSY_US = 20_000;

/**
 * Shares the loop between requests and long work, which gets all the time that requests leave, and
 * at least a third of it. Workers get slices in turn.
 *
 *     await slicer.turn();
 *     while (step()) if (slicer.isOver) await slicer.turn();
 *
 * After waiting for anything else, a worker asks for a turn again.
 */
export class Slicer {
  readonly #clock: Clock;
  readonly #sliceUs: number;
  readonly #waiting: (() => void)[] = [];
  #scheduled = false;
  #endUs = 0;
  /** When this round of the loop began. */
  #roundUs = 0;
  #busyUntilUs = 0;

  constructor(clock: Clock, sliceUs = SLICE_US) {
    this.#clock = clock;
    this.#sliceUs = sliceUs;
  }

  /** The present slice is used up. */
  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#endUs;
  }

  /** Resolves when a slice begins that is the caller's alone. */
  turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    // What the worker itself took is not the requests' time.
    this.#roundUs = this.#clock.monotonic();
    this.#schedule();
    return promise;
  }

  /** Runs all steps, within turns. */
  async run<T>(steps: Steps<T>): Promise<T> {
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (this.isOver) await this.turn();
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#clock.monotonic() < this.#busyUntilUs) this.#rest();
    else this.#clock.defer(() => this.#look());
  }

  #rest(): void {
    this.#clock.after(REST_MS, () => this.#begin());
  }

  /** After one round of the loop: what it took tells whether there are requests. */
  #look(): void {
    const now = this.#clock.monotonic();
    if (now - this.#roundUs < IDLE_ROUND_US) {
      this.#begin();
      return;
    }
    this.#busyUntilUs = now + BUSY_US;
    this.#rest();
  }

  #begin(): void {
    this.#scheduled = false;
    this.#endUs = this.#clock.monotonic() + this.#sliceUs;
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) this.#schedule();
  }
}
