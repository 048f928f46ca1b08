import type { Micros, Millis } from "../lib/ids.ts";

export interface Clock {
  /** Wall clock; may jump. */
  now(): Millis;
  /** Never goes back. Only differences between two values are meaningful. */
  monotonic(): Micros;
  /** Runs `run` once after `delayMs`. The returned function cancels it. */
  after(delayMs: number, run: () => void): () => void;
  /** Runs `run` once, after the events that are ready now were handled, so that work is batched. */
  defer(run: () => void): void;
}
