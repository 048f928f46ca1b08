import type { Clock } from "../env/clock.ts";

type Wait = { readonly offset: number; readonly wake: () => void };

/**
 * Readers that wait for the next record of one partition. A burst of appends wakes all of them
 * once: a thousand followers cost one pass, and a timer each only if they asked for a deadline.
 */
export class RecordWaits {
  #waits = new Set<Wait>();
  #scheduled = false;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waits.size;
  }

  /** Resolves when the end passes `offset`, after `timeoutMs`, or when `signal` aborts. */
  wait(offset: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        this.#waits.delete(wait);
        cancel();
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const wait: Wait = { offset, wake: finish };
      this.#waits.add(wait);
      const cancel = this.#clock.after(timeoutMs, finish);
      signal.addEventListener("abort", finish, { once: true });
      if (signal.aborted) finish();
    });
  }

  /** The partition ends at `endOffset()` now or soon; looks once after the present burst. */
  appended(endOffset: () => number): void {
    if (this.#waits.size === 0 || this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.soon(() => {
      this.#scheduled = false;
      const end = endOffset();
      for (const wait of [...this.#waits]) if (wait.offset < end) wait.wake();
    });
  }

  /** The topic is gone or the node stops: nobody waits any longer. */
  wakeAll(): void {
    for (const wait of [...this.#waits]) wait.wake();
  }
}
