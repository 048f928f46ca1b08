import type { Clock } from "../../env/clock.ts";
import type { MaybePromise } from "../../lib/maybe-promise.ts";
import type { Machine } from "../../machine/machine.ts";
import { QUEUE_ITEMS_MAX } from "../../queue/definition.ts";
import { atWork, type FoundQueue } from "../../queue/find.ts";
import { NO_KEY, type QueueItem, type QueueState } from "../../queue/state.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import { type Budget, type Feed, KeyedFeed, OpenFeed, type Taken } from "./feed.ts";
import { readable } from "./records.ts";

/** Keys, values and headers of one answer, unless a single message is larger. */
const RECEIVE_BYTES = 2 * 1024 * 1024;
/** Unreadable records that one request passes over. */
const UNREADABLE_MAX = 100;

export type SelectorOptions = {
  readonly machine: Machine;
  readonly clock: Clock;
  /** Makes the feed of a partition. Default: as the order of the queue says. */
  readonly feedOf?: (partition: number) => Feed;
};

/** Chooses the records of one queue that can be given out, and reserves them. */
export class Selector {
  readonly #options: SelectorOptions;
  readonly #feeds: Feed[] = [];
  /** Records in commands that are not applied yet. */
  #reserved = 0;
  #firstPartition = 0;

  constructor(options: SelectorOptions) {
    this.#options = options;
  }

  get reserved(): number {
    return this.#reserved;
  }

  /**
   * Reserves records: first those that are given out again. All of them fit into one answer.
   *
   * @returns a promise only if a file has to be read, or if the order of keys matters.
   */
  select(found: FoundQueue, max: number): MaybePromise<readonly Taken[] | PartitionDamaged> {
    const records = Math.min(max, this.room(found));
    const budget: Budget = { records, bytes: RECEIVE_BYTES };
    const taken: Taken[] = [];
    if (records <= 0) return taken;
    const start = this.#firstPartition++ % found.topic.partitions.length;
    // The readable ones are given out. The damaged one is repaired, or it answers the next request.
    const orDamaged = (error: unknown): readonly Taken[] | PartitionDamaged => {
      if (!(error instanceof PartitionDamaged)) throw error;
      return taken.length === 0 ? error : taken;
    };
    try {
      const selected = this.#hasRetries(found.queue)
        ? this.#takeAll(found, budget, taken, start)
        : this.#takeFresh(found, budget, taken, start, 0);
      return selected instanceof Promise ? selected.catch(orDamaged) : selected;
    } catch (error) {
      return orDamaged(error);
    }
  }

  /** Number of records that may be leased in addition. */
  room(found: FoundQueue): number {
    const { machine, clock } = this.#options;
    if (machine.parts.queues.items >= QUEUE_ITEMS_MAX) return 0;
    const { definition, inFlight } = found.queue;
    const room = definition.maxInFlight - inFlight - this.#reserved;
    return room > 0 ? room : room + inFlight - atWork(found, clock.now()).inFlight;
  }

  /** The outcome of the command with these records is known. */
  release({ queue }: FoundQueue, taken: readonly Taken[]): void {
    for (const each of taken) {
      const mine = queue.partitions[each.partition];
      if (mine !== undefined) this.#feed(queue, each.partition).release(mine, each);
      this.#reserved--;
    }
  }

  async #takeAll(
    found: FoundQueue,
    budget: Budget,
    taken: Taken[],
    start: number,
  ): Promise<readonly Taken[] | PartitionDamaged> {
    const damaged = await this.#takeRetries(found, budget, taken);
    await this.#takeFresh(found, budget, taken, start, 0);
    return taken.length === 0 && damaged !== null ? damaged : taken;
  }

  /** @param from number of partitions that were looked at. */
  #takeFresh(
    found: FoundQueue,
    budget: Budget,
    taken: Taken[],
    start: number,
    from: number,
  ): MaybePromise<readonly Taken[]> {
    const { length } = found.topic.partitions;
    for (let i = from; i < length; i++) {
      if (budget.records <= 0 || (budget.bytes <= 0 && taken.length > 0)) break;
      const at = (start + i) % length;
      const [mine, its] = [found.queue.partitions[at], found.topic.partitions[at]];
      if (mine === undefined || its === undefined) continue;
      const fresh = this.#feed(found.queue, at).take(mine, its, budget);
      if (fresh instanceof Promise) {
        return fresh.then((all) => {
          this.#took(all, taken);
          return this.#takeFresh(found, budget, taken, start, i + 1);
        });
      }
      this.#took(fresh, taken);
    }
    return taken;
  }

  #took(fresh: readonly Taken[], taken: Taken[]): void {
    this.#reserved += fresh.length;
    for (const each of fresh) taken.push(each);
  }

  #hasRetries({ ready, timed }: QueueState): boolean {
    return ready.size > 0 || timed.nextAt() <= this.#options.clock.now();
  }

  /** Leaves out damaged records. @returns the damage of one of them, or null. */
  async #takeRetries(
    found: FoundQueue,
    budget: Budget,
    taken: Taken[],
  ): Promise<PartitionDamaged | null> {
    const { queue, topic } = found;
    const unreadable = new Set<QueueItem>();
    let damaged: PartitionDamaged | null = null;
    let more = true;
    // An unreadable one does not take the place of those behind it.
    while (more && unreadable.size < UNREADABLE_MAX) {
      more = false;
      for (const item of this.#retries(found, budget.records, unreadable)) {
        const { partition, offset } = item;
        const its = topic.partitions[partition.partition];
        if (its === undefined || (budget.bytes <= 0 && taken.length > 0)) return damaged;
        const { reserved } = this.#feed(queue, partition.partition);
        reserved.add(offset);
        const record = await readable(its, offset);
        if (record === undefined || record instanceof PartitionDamaged) {
          reserved.delete(offset);
          damaged = record ?? damaged;
          unreadable.add(item);
          more = true;
          continue;
        }
        this.#reserved++;
        budget.records--;
        budget.bytes -= record.bytes;
        taken.push({ partition: partition.partition, offset, key: NO_KEY, record });
      }
    }
    return damaged;
  }

  /** The items that can be given out again, as far as this leader knows. */
  #retries(
    { queue, topic }: FoundQueue,
    max: number,
    without: ReadonlySet<QueueItem>,
  ): QueueItem[] {
    const items: QueueItem[] = [];
    const { maxDeliveries } = queue.definition;
    const add = (item: QueueItem): void => {
      const { partition, offset, attempts } = item;
      const { lowWatermark = 0 } = topic.partitions[partition.partition] ?? {};
      const { reserved } = this.#feed(queue, partition.partition);
      const isThere = offset >= lowWatermark && !without.has(item);
      if (isThere && attempts < maxDeliveries && !reserved.has(offset)) items.push(item);
    };
    for (const item of queue.ready) {
      if (items.length >= max) return items;
      add(item);
    }
    for (const item of queue.timed.due(this.#options.clock.now())) {
      if (items.length >= max) return items;
      add(item);
    }
    return items;
  }

  #feed({ definition }: QueueState, partition: number): Feed {
    const feed = this.#feeds[partition];
    if (feed !== undefined) return feed;
    const { clock } = this.#options;
    const pause = () => new Promise<void>((resolve) => clock.after(0, resolve));
    const ofOrder = () =>
      definition.order === "key" ? new KeyedFeed(undefined, pause) : new OpenFeed();
    const created = this.#options.feedOf?.(partition) ?? ofOrder();
    this.#feeds[partition] = created;
    return created;
  }
}
