import type { Clock } from "../../env/clock.ts";
import { buryMessage } from "../../queue/commands/bury-message.ts";
import type { FoundQueue, LeaseRef } from "../../queue/find.ts";
import type { QueueItem } from "../../queue/state.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Rejected } from "../api.ts";
import type { BuryReject, Settlement } from "../queue-api.ts";
import type { Commander } from "../writes/commander.ts";
import { EXHAUSTED, encodeDeadLetter } from "./dead-letter.ts";
import { readable } from "./records.ts";

/** Dead letters that one pass puts aside. */
const PASS_MAX = 1_000;
const NOTHING: Uint8Array = new Uint8Array(0);
const COMMAND_BYTES = 512;

export type BurialsOptions = {
  readonly commander: Commander;
  readonly clock: Clock;
};

/** Puts records aside: reads them and proposes the dead letters. */
export class Burials {
  readonly #options: BurialsOptions;

  constructor(options: BurialsOptions) {
    this.#options = options;
  }

  /**
   * @param isLeased the holder of the lease rejects the record; otherwise its deliveries are
   *   exhausted.
   */
  async bury(
    { queue, topic }: FoundQueue,
    lease: LeaseRef,
    reason: string,
    isLeased: boolean,
  ): Promise<Settlement | Rejected<BuryReject>> {
    const { commander, clock } = this.#options;
    const { queueId, name, definition } = queue;
    let batch = NOTHING;
    let logicalBytes = 0;
    if (definition.deadLetter !== null) {
      const its = topic.partitions[lease.partition];
      const record = its === undefined ? undefined : await readable(its, lease.offset);
      if (record instanceof PartitionDamaged) return { ok: false, code: "data_damaged" };
      if (record !== undefined) {
        const dead = { queue: name, topic: topic.name, reason, atMs: clock.now(), lease };
        ({ bytes: batch, logicalBytes } = encodeDeadLetter(record, dead));
      }
    }
    const outcome = await commander.run({
      kind: buryMessage,
      fields: { queueId, ...lease, isLeased, logicalBytes, batch },
      bytes: COMMAND_BYTES + batch.length,
      done: ({ error }) => error,
    });
    // The definition changed since the record was read: it has a dead-letter topic now.
    return outcome === "changed"
      ? await this.bury({ queue, topic }, lease, reason, isLeased)
      : outcome;
  }

  /** Puts the records of a queue aside whose deliveries are exhausted. */
  async sweep(found: FoundQueue): Promise<void> {
    const { queue } = found;
    const { maxDeliveries } = queue.definition;
    const exhausted: LeaseRef[] = [];
    const add = ({ partition: { partition }, offset, attempts: attempt }: QueueItem): void => {
      if (attempt >= maxDeliveries) exhausted.push({ partition, offset, attempt });
    };
    for (const item of queue.ready) if (exhausted.length < PASS_MAX) add(item);
    for (const item of queue.timed.due(this.#options.clock.now())) {
      if (exhausted.length < PASS_MAX) add(item);
    }
    await Promise.all(exhausted.map((lease) => this.bury(found, lease, EXHAUSTED, false)));
  }
}
