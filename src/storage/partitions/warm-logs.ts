import { Fifo } from "../../lib/fifo.ts";
import type { PartitionLog } from "./log.ts";

/** Partitions that are looked at in one event-loop iteration. */
const LOOKS = 512;
const PARTITIONS_PER_TOPIC_MAX = 2 ** 20;
/** Keys of logs that are not here any more may be in the queue up to this number in any case. */
const STALE_MAX = 1000;

/** Names a partition by one number. */
export const keyOf = (topicId: number, partition: number): number =>
  topicId * PARTITIONS_PER_TOPIC_MAX + partition;

/** How partitions are parked. */
export type Cooling = {
  /** The number of partitions that stay objects in any case. */
  readonly sizeMin: number;
  /** Tells whether nothing is lost when the object is dropped. */
  readonly mayPark: (log: PartitionLog) => boolean;
  /** Gets each that is removed. */
  readonly park: (key: number, log: PartitionLog) => void;
  readonly nextTurn: () => Promise<void>;
};

/** The partitions of a store that are objects, and a queue of those that may be parked. */
export class WarmLogs {
  readonly #byKey = new Map<number, PartitionLog>();
  /** Their keys; some may be deleted or parked, or be in it twice. It retains no objects. */
  readonly #queue = new Fifo<number>();

  get size(): number {
    return this.#byKey.size;
  }

  get(key: number): PartitionLog | undefined {
    return this.#byKey.get(key);
  }

  keys(): IterableIterator<number> {
    return this.#byKey.keys();
  }

  values(): IterableIterator<PartitionLog> {
    return this.#byKey.values();
  }

  add(key: number, log: PartitionLog): void {
    this.#byKey.set(key, log);
    this.#queue.push(key);
  }

  delete(key: number): void {
    this.#byKey.delete(key);
    // Now and then, so that a deletion costs the same for any number of partitions.
    if (this.#queue.size <= 2 * this.size + STALE_MAX) return;
    const seen = new Set<number>();
    this.#queue.retain((one) => {
      const isFirst = !seen.has(one);
      seen.add(one);
      return isFirst && this.#byKey.has(one);
    });
  }

  /**
   * Looks at the oldest ones, and removes those that may be parked.
   *
   * @param looks the number of those to look at.
   */
  cool(looks: number, { sizeMin, mayPark, park }: Cooling): void {
    for (let left = Math.min(looks, this.#queue.size); left > 0; left--) {
      const key = this.size > sizeMin ? this.#queue.shift() : undefined;
      if (key === undefined) return;
      const log = this.#byKey.get(key);
      if (log === undefined) continue;
      if (mayPark(log)) {
        this.#byKey.delete(key);
        park(key, log);
      } else this.#queue.push(key);
    }
  }

  /** Removes all that may be parked. */
  async coolAll(cooling: Cooling): Promise<void> {
    for (let left = this.size; left > 0; left -= LOOKS) {
      this.cool(LOOKS, cooling);
      await cooling.nextTurn();
    }
  }

  /** Removes those of the given ones that may be parked. */
  async coolThese(logs: readonly PartitionLog[], cooling: Cooling): Promise<void> {
    const { sizeMin, mayPark, park, nextTurn } = cooling;
    let looks = 0;
    for (const log of logs) {
      if (this.size <= sizeMin) return;
      const key = keyOf(log.topicId, log.partition);
      if (this.#byKey.get(key) === log && mayPark(log)) {
        this.delete(key);
        park(key, log);
      }
      if (++looks % LOOKS === 0) await nextTurn();
    }
  }
}
