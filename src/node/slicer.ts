import type { Clock } from "../env/clock.ts";
import type { Steps } from "../stream/steps.ts";

/** The longest that stream processing holds up a request. */
const SLICE_US = 500;

/**
 * Shares the loop between requests and long work: between two slices of any work, everything that
 * has become ready is handled first, and workers get their slices in turn.
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
    this.#clock.soon(() => {
      this.#scheduled = false;
      this.#endUs = this.#clock.monotonic() + this.#sliceUs;
      this.#waiting.shift()?.();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }
}
