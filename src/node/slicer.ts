import type { Clock } from "../env/clock.ts";
import type { Steps } from "../lib/steps.ts";

/** The longest time that stream processing delays a request. */
const SLICE_US = 500;
/** While requests keep the loop busy, they have it alone for this long between two slices. */
const REST_MS = 1;
/** An event-loop iteration that takes less than this had no work. */
const IDLE_ROUND_US = 50;
/** After an iteration with work, the loop counts as busy for this long. */
const BUSY_US = 20_000;

/**
 * Shares the event loop between requests and long work. Long work gets the time that requests do not
 * use, and at least a third of all time. Workers get slices round robin.
 *
 *     await slicer.turn();
 *     while (step()) if (slicer.isOver) await slicer.turn();
 *
 * After a worker waited for anything else, it must call `turn` again.
 */
export class Slicer {
  readonly #clock: Clock;
  readonly #sliceUs: number;
  readonly #waiting: (() => void)[] = [];
  #scheduled = false;
  #endUs = 0;
  /** Start of this event-loop iteration. */
  #roundUs = 0;
  #busyUntilUs = 0;

  constructor(clock: Clock, sliceUs = SLICE_US) {
    this.#clock = clock;
    this.#sliceUs = sliceUs;
  }

  /** True if the current slice is used up. */
  get isOver(): boolean {
    return this.#clock.monotonic() >= this.#endUs;
  }

  /** Resolves when a slice begins. Only the caller runs in it. */
  turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    // The time of the worker itself does not count as time of requests.
    this.#roundUs = this.#clock.monotonic();
    this.#schedule();
    return promise;
  }

  /** Runs all steps, in slices. */
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

  /** Called after an event-loop iteration. Its duration shows whether there are requests. */
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
