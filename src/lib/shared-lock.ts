/** Mutual exclusion between threads, for sections of a few instructions. */
export class SharedLock {
  readonly #word: Int32Array;

  /** @param word one element of shared memory, 0 at first. */
  constructor(word: Int32Array) {
    this.#word = word;
  }

  /** `section` must not wait for anything. */
  run<T>(section: () => T): T {
    const word = this.#word;
    while (Atomics.compareExchange(word, 0, 0, 1) !== 0) Atomics.wait(word, 0, 1, 1);
    try {
      return section();
    } finally {
      Atomics.store(word, 0, 0);
      Atomics.notify(word, 0, 1);
    }
  }
}
