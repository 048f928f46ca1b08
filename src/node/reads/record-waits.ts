import type { Clock } from "../../env/clock.ts";

/** `untilMs` is of the monotonic clock. */
type Wait = { readonly offset: number; readonly untilMs: number; readonly wake: () => void };

/** A deadline may be met so much later: those that lie together cost one look. */
const LOOK_EVERY_MS = 10;

/**
 * Readers that wait for the next record of one partition. A burst of appends wakes all of them once,
 * and all deadlines share one timer: a thousand followers cost one pass over them, and nothing more.
 */
export class RecordWaits {
  #waits = new Set<Wait>();
  #scheduled = false;
  #timer: { readonly dueMs: number; readonly cancel: () => void } | null = null;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waits.size;
  }

  /** Resolves when the end passes `offset`, soon after `timeoutMs`, or when `signal` aborts. */
  wait(offset: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const untilMs = this.#nowMs() + timeoutMs;
      const wake = () => {
        this.#waits.delete(wait);
        if (this.#waits.size === 0) this.#stopTimer();
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const wait: Wait = { offset, untilMs, wake };
      this.#waits.add(wait);
      this.#lookAt(untilMs);
      signal.addEventListener("abort", wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  /** The partition ends at `endOffset()` now or soon; looks once after the present burst. */
  appended(endOffset: () => number): void {
    if (this.#waits.size === 0 || this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.defer(() => {
      this.#scheduled = false;
      const end = endOffset();
      for (const wait of [...this.#waits]) if (wait.offset < end) wait.wake();
    });
  }

  /** The topic is gone or the node stops: nobody waits any longer. */
  wakeAll(): void {
    for (const wait of [...this.#waits]) wait.wake();
  }

  #nowMs(): number {
    return this.#clock.monotonic() / 1000;
  }

  #lookAt(dueMs: number): void {
    if (this.#timer !== null && this.#timer.dueMs <= dueMs) return;
    this.#stopTimer();
    const delayMs = Math.max(0, Math.ceil(dueMs - this.#nowMs()));
    this.#timer = { dueMs, cancel: this.#clock.after(delayMs, () => this.#look()) };
  }

  #look(): void {
    this.#timer = null;
    const nowMs = this.#nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const wait of [...this.#waits]) {
      if (wait.untilMs <= nowMs) wait.wake();
      else nextMs = Math.min(nextMs, wait.untilMs);
    }
    if (this.#waits.size > 0) this.#lookAt(Math.max(nextMs, nowMs + LOOK_EVERY_MS));
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
