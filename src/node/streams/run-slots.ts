import { SlotQueue } from "../../lib/slot-queue.ts";

/** Bounds how many tasks run and how many wait, in order of arrival. Further ones are refused. */
export class RunSlots {
  readonly #queue: SlotQueue;
  readonly #waitingMax: number;

  constructor(runningMax: number, waitingMax: number) {
    this.#queue = new SlotQueue(runningMax);
    this.#waitingMax = waitingMax;
  }

  get running(): number {
    return this.#queue.used;
  }

  get waiting(): number {
    return this.#queue.waiting;
  }

  /**
   * Runs `work` when a slot is free.
   *
   * @returns "overloaded" if too many wait, "aborted" if `signal` aborted before a slot was free.
   */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | "overloaded" | "aborted"> {
    const queue = this.#queue;
    if (signal.aborted) return "aborted";
    if (!queue.tryTake()) {
      if (queue.waiting >= this.#waitingMax) return "overloaded";
      if (!(await this.#wait(signal))) return "aborted";
    }
    try {
      return await work();
    } finally {
      queue.give();
    }
  }

  #wait(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const aborted = () => {
        cancel();
        resolve(false);
      };
      const cancel = this.#queue.wait(() => {
        signal.removeEventListener("abort", aborted);
        resolve(true);
      });
      signal.addEventListener("abort", aborted, { once: true });
    });
  }
}
