import { SlotQueue } from "../lib/slot-queue.ts";

/**
 * Bounds the concurrent forwarded requests. The runtime queues requests beyond its own limit
 * without reporting it, so that after a timeout it would be unknown whether a request was sent.
 */
export class ForwardSlots {
  readonly #queue: SlotQueue;

  constructor(max: number) {
    this.#queue = new SlotQueue(max);
  }

  get max(): number {
    return this.#queue.max;
  }

  /** @returns false if no slot became free within `waitMs`. */
  take(waitMs: number): boolean | Promise<boolean> {
    const queue = this.#queue;
    if (queue.tryTake()) return true;
    return new Promise((resolve) => {
      const cancel = queue.wait(() => {
        clearTimeout(timer);
        resolve(true);
      });
      const timer = setTimeout(() => {
        cancel();
        resolve(false);
      }, waitMs);
    });
  }

  /** Hands the slot to the request that has waited longest. */
  give(): void {
    this.#queue.give();
  }
}
