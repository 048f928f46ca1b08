import { SlotQueue } from "../lib/slot-queue.ts";

/** Limits the number of concurrent calls. Waiting calls start in the order of their arrival. */
export class Slots {
  readonly #queue: SlotQueue;

  constructor(count: number) {
    this.#queue = new SlotQueue(count);
  }

  async run<T>(call: () => Promise<T>): Promise<T> {
    const queue = this.#queue;
    if (!queue.tryTake()) await new Promise<void>((resolve) => queue.wait(resolve));
    try {
      return await call();
    } finally {
      queue.give();
    }
  }
}
