import type { Micros, Millis } from "../lib/ids.ts";

export interface Clock {
  /** Wall clock; may jump. */
  now(): Millis;
  /** Never goes back; only differences mean something. */
  monotonic(): Micros;
  /** Runs `run` once after `delayMs`, unless cancelled by the function that it returns. */
  after(delayMs: number, run: () => void): () => void;
  /** Runs `run` once, after the events that are ready now were handled: how a turn collects. */
  defer(run: () => void): void;
}
