import type { Micros, Millis } from "../lib/ids.ts";
import type { Clock } from "./clock.ts";

/** The clock of the machine, with its timers. */
export class BunClock implements Clock {
  now(): Millis {
    return Date.now() as Millis;
  }

  monotonic(): Micros {
    return Math.floor(performance.now() * 1000) as Micros;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  }

  defer(run: () => void): void {
    setImmediate(run);
  }
}
