import type { Micros, Millis } from "../lib/ids.ts";
import type { Clock } from "./clock.ts";

/** The longest delay that a timer of the runtime takes; it runs a longer one at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The clock of the machine, with its timers. */
export class BunClock implements Clock {
  now(): Millis {
    return Date.now() as Millis;
  }

  monotonic(): Micros {
    return Math.floor(performance.now() * 1000) as Micros;
  }

  after(delayMs: number, run: () => void): () => void {
    if (delayMs > TIMER_MS_MAX) return this.#afterParts(delayMs, run);
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  }

  #afterParts(delayMs: number, run: () => void): () => void {
    let cancel = this.after(TIMER_MS_MAX, () => {
      cancel = this.after(delayMs - TIMER_MS_MAX, run);
    });
    return () => cancel();
  }

  defer(run: () => void): void {
    setImmediate(run);
  }
}
