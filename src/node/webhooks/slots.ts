/** Bounds the requests to receivers of all webhooks together. */
export class Slots {
  readonly max: number;
  #used = 0;
  /** Called in the order in which they asked, so that a busy webhook does not keep others waiting. */
  readonly #waiting = new Set<() => void>();

  constructor(max: number) {
    this.max = max;
  }

  get used(): number {
    return this.#used;
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
