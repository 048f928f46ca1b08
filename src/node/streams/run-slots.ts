type Waiting = (admitted: boolean) => void;

/** Bounds how many tasks run and how many wait, in order of arrival. Further ones are refused. */
export class RunSlots {
  readonly #runningMax: number;
  readonly #waitingMax: number;
  readonly #waiting = new Set<Waiting>();
  #running = 0;

  constructor(runningMax: number, waitingMax: number) {
    this.#runningMax = runningMax;
    this.#waitingMax = waitingMax;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Runs `work` when a slot is free.
   *
   * @returns "overloaded" if too many wait, "aborted" if `signal` aborted before a slot was free.
   */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | "overloaded" | "aborted"> {
    if (signal.aborted) return "aborted";
    if (this.#running < this.#runningMax) this.#running++;
    else if (this.#waiting.size >= this.#waitingMax) return "overloaded";
    else if (!(await this.#wait(signal))) return "aborted";
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #wait(signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const aborted = () => settle(false);
    const settle: Waiting = (admitted) => {
      this.#waiting.delete(settle);
      signal.removeEventListener("abort", aborted);
      resolve(admitted);
    };
    this.#waiting.add(settle);
    signal.addEventListener("abort", aborted, { once: true });
    return promise;
  }

  /** Passes the slot to the task that waits the longest. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#running--;
    else next(true);
  }
}
