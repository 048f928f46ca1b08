import type { Clock } from "../../env/clock.ts";

export type WaitClock = Pick<Clock, "monotonic" | "after" | "defer">;

/** `untilMs` is a time of the monotonic clock. */
type Wait = { readonly offset: number; readonly untilMs: number; readonly wake: () => void };

/** Maximum delay of a deadline, so that deadlines close together share one check. */
const LOOK_EVERY_MS = 10;

/** Most partitions have nobody who waits, and there may be very many partitions. */
const NO_WAITS: ReadonlySet<Wait> = new Set();
const NO_WATCHES: ReadonlySet<() => void> = new Set();

/**
 * Readers that wait for the next record of one partition. A burst of appends wakes all of them once,
 * and all deadlines share one timer, so a thousand readers cost one pass over them.
 */
export class RecordWaits {
  #waits: ReadonlySet<Wait> = NO_WAITS;
  #watches: ReadonlySet<() => void> = NO_WATCHES;
  #scheduled = false;
  #timer: { readonly dueMs: number; readonly cancel: () => void } | null = null;
  readonly #clock: WaitClock;

  constructor(clock: WaitClock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waits.size;
  }

  /** True if nobody waits, and no wake-up is on its way. */
  get isIdle(): boolean {
    return this.#waits.size === 0 && this.#watches.size === 0 && !this.#scheduled;
  }

  /** Resolves when the end passes `offset`, soon after `timeoutMs`, or when `signal` aborts. */
  wait(offset: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const untilMs = this.#nowMs() + timeoutMs;
      const wake = () => {
        waits.delete(wait);
        if (waits.size === 0) this.#stopTimer();
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const wait: Wait = { offset, untilMs, wake };
      const waits = this.#ownWaits();
      waits.add(wait);
      this.#lookAt(untilMs);
      signal.addEventListener("abort", wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  /** Calls `wake` after each burst of appends, until the returned function is called. */
  watch(wake: () => void): () => void {
    const watch = () => wake();
    if (this.#watches === NO_WATCHES) this.#watches = new Set();
    const watches = this.#watches as Set<() => void>;
    watches.add(watch);
    return () => watches.delete(watch);
  }

  #ownWaits(): Set<Wait> {
    if (this.#waits === NO_WAITS) this.#waits = new Set();
    return this.#waits as Set<Wait>;
  }

  /** Called when the end of the partition moves. Checks the waits once after the current burst. */
  appended(endOffset: () => number): void {
    if ((this.#waits.size === 0 && this.#watches.size === 0) || this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.defer(() => {
      this.#scheduled = false;
      const end = endOffset();
      for (const wait of [...this.#waits]) if (wait.offset < end) wait.wake();
      for (const watch of [...this.#watches]) watch();
    });
  }

  /** Ends all waits, because the topic was deleted or the node stops. */
  wakeAll(): void {
    for (const wait of [...this.#waits]) wait.wake();
    for (const watch of [...this.#watches]) watch();
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
