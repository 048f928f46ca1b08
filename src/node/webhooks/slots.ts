/** Bounds the requests to receivers of all webhooks together. */
export class Slots {
  readonly max: number;
  readonly #changed: (used: number) => void;
  #used = 0;
  /** Called in the order in which they asked, so that a busy webhook does not keep others waiting. */
  readonly #waiting = new Set<() => void>();

  /** @param changed is called with the number of slots in use. */
  constructor(max: number, changed: (used: number) => void) {
    this.max = max;
    this.#changed = changed;
  }

  /**
   * Takes up to `wanted` slots. If there are none, `wake` is called once when there are some again.
   *
   * @returns how many.
   */
  take(wanted: number, wake: () => void): number {
    const count = Math.min(wanted, this.max - this.#used);
    if (count <= 0) {
      this.#waiting.add(wake);
      return 0;
    }
    this.#used += count;
    this.#changed(this.#used);
    return count;
  }

  /** Takes one slot, when there is one. */
  async one(): Promise<void> {
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (this.take(1, resolve) === 1) return;
      await promise;
    }
  }

  give(count: number): void {
    if (count === 0) return;
    this.#used -= count;
    this.#changed(this.#used);
    for (const wake of [...this.#waiting].slice(0, count)) {
      this.#waiting.delete(wake);
      wake();
    }
  }

  /** Ends a wait. */
  forget(wake: () => void): void {
    this.#waiting.delete(wake);
  }
}
