/**
 * Bounds the concurrent forwarded requests. The runtime queues requests beyond its own limit
 * without reporting it, so that after a timeout it would be unknown whether a request was sent.
 */
export class ForwardSlots {
  readonly max: number;
  #used = 0;
  /** Waiting requests, in the order of arrival. */
  readonly #waiting = new Set<(hasSlot: boolean) => void>();

  constructor(max: number) {
    this.max = max;
  }

  /** @returns false if no slot became free within `waitMs`. */
  take(waitMs: number): boolean | Promise<boolean> {
    if (this.#used < this.max) {
      this.#used++;
      return true;
    }
    return new Promise((resolve) => {
      const answer = (hasSlot: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(answer);
        resolve(hasSlot);
      };
      const timer = setTimeout(() => answer(false), waitMs);
      this.#waiting.add(answer);
    });
  }

  /** Hands the slot to the request that has waited longest. */
  give(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#used--;
    else next(true);
  }
}
