import { Fifo } from "../../lib/fifo.ts";
import type { PartitionLog } from "./log.ts";

const PARTITIONS_PER_TOPIC_MAX = 2 ** 20;
/** Deleted logs that may be in the queue in any case. */
const DELETED_MAX = 1000;

/** Names a partition by one number. */
export const keyOf = (topicId: number, partition: number): number =>
  topicId * PARTITIONS_PER_TOPIC_MAX + partition;

/** The partitions of a store that are objects, and a queue of those that may be parked. */
export class WarmLogs {
  readonly #byKey = new Map<number, PartitionLog>();
  /** Some may be deleted or parked. */
  readonly #queue = new Fifo<PartitionLog>();

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
    this.#queue.push(log);
  }

  delete(key: number): void {
    this.#byKey.delete(key);
    // Now and then, so that a deletion costs the same for any number of partitions.
    if (this.#queue.size <= 2 * this.size + DELETED_MAX) return;
    this.#queue.retain((log) => this.#byKey.get(keyOf(log.topicId, log.partition)) === log);
  }

  /**
   * Looks at the oldest ones, and removes those that may be parked.
   *
   * @param looks the number of those to look at.
   * @param sizeMin the number that stays in any case.
   * @param mayPark tells whether nothing is lost when the object is dropped.
   * @param park gets each that is removed.
   */
  cool(
    looks: number,
    sizeMin: number,
    mayPark: (log: PartitionLog) => boolean,
    park: (key: number, log: PartitionLog) => void,
  ): void {
    for (let left = Math.min(looks, this.#queue.size); left > 0; left--) {
      const log = this.size > sizeMin ? this.#queue.shift() : undefined;
      if (log === undefined) return;
      const key = keyOf(log.topicId, log.partition);
      if (this.#byKey.get(key) !== log) continue;
      if (mayPark(log)) {
        this.#byKey.delete(key);
        park(key, log);
      } else this.#queue.push(log);
    }
  }
}
