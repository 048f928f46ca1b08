/**
 * Bounds the forwarded requests under way. The runtime sends only so many at the same time and lets
 * others wait unseen, so that it is not known whether a late one was sent.
 */
export class ForwardSlots {
  readonly max: number;
  #used = 0;
  /** In the order of arrival. */
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
