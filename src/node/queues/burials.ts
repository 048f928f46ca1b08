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
/** Bytes of dead letters that are read and not committed yet, and one record more. */
const BYTES_AT_A_TIME = 4 * 1024 * 1024;
const NOTHING: Uint8Array = new Uint8Array(0);
const COMMAND_BYTES = 512;

export type BurialsOptions = {
  readonly commander: Commander;
  readonly clock: Clock;
};
type Buried = Settlement | Rejected<BuryReject>;
type DeadLetter = { readonly batch: Uint8Array; readonly logicalBytes: number };

/** Puts records aside: reads them and proposes the dead letters. */
export class Burials {
  readonly #options: BurialsOptions;

  constructor(options: BurialsOptions) {
    this.#options = options;
  }

  /**
   * Large records wait for those before them, so that many of them do not take much memory.
   *
   * @param isLeased the holder of the leases rejects the records; otherwise their deliveries are
   *   exhausted.
   * @returns what became of each, in order.
   */
  async bury(
    found: FoundQueue,
    leases: readonly LeaseRef[],
    reason: string,
    isLeased: boolean,
  ): Promise<readonly Buried[]> {
    const outcomes: Promise<Buried>[] = [];
    let bytes = 0;
    for (const lease of leases) {
      const letter = await this.#letter(found, lease, reason);
      if (bytes > 0 && bytes + sizeOf(letter) > BYTES_AT_A_TIME) {
        await Promise.all(outcomes);
        bytes = 0;
      }
      bytes += sizeOf(letter);
      outcomes.push(this.#propose(found, lease, reason, isLeased, letter));
    }
    return await Promise.all(outcomes);
  }

  /** Reads the record. The letter is empty if there is no dead-letter topic, or no record any more. */
  async #letter(
    { queue: { name, definition }, topic }: FoundQueue,
    lease: LeaseRef,
    reason: string,
  ): Promise<DeadLetter | Rejected<"data_damaged">> {
    const its = definition.deadLetter === null ? undefined : topic.partitions[lease.partition];
    const record = its === undefined ? undefined : await readable(its, lease.offset);
    if (record === undefined) return { batch: NOTHING, logicalBytes: 0 };
    if (record instanceof PartitionDamaged) return { ok: false, code: "data_damaged" };
    const atMs = this.#options.clock.now();
    const dead = { queue: name, topic: topic.name, reason, atMs, lease };
    const { bytes: batch, logicalBytes } = encodeDeadLetter(record, dead);
    return { batch, logicalBytes };
  }

  async #propose(
    found: FoundQueue,
    lease: LeaseRef,
    reason: string,
    isLeased: boolean,
    letter: DeadLetter | Rejected<"data_damaged">,
  ): Promise<Buried> {
    if ("code" in letter) return letter;
    const { queueId } = found.queue;
    const outcome = await this.#options.commander.run({
      kind: buryMessage,
      fields: { queueId, ...lease, isLeased, ...letter },
      bytes: COMMAND_BYTES + letter.batch.length,
      grows: letter.batch.length > 0,
      done: ({ error }) => error,
    });
    if (outcome !== "changed") return outcome;
    // The definition changed since the record was read: it has a dead-letter topic now.
    const again = await this.#letter(found, lease, reason);
    return await this.#propose(found, lease, reason, isLeased, again);
  }

  /**
   * Puts the records of a queue aside whose deliveries are exhausted.
   *
   * @returns the number of items that were looked at, and of those that could not be put aside.
   */
  async sweep(found: FoundQueue): Promise<{ readonly looked: number; readonly failed: number }> {
    const { ready, timed, definition } = found.queue;
    const exhausted: LeaseRef[] = [];
    let looked = 0;
    const look = (items: Iterable<QueueItem>): void => {
      for (const { partition, offset, attempts: attempt } of items) {
        if (exhausted.length >= PASS_MAX) return;
        looked++;
        if (attempt < definition.maxDeliveries) continue;
        exhausted.push({ partition: partition.partition, offset, attempt });
      }
    };
    look(ready);
    look(timed.due(this.#options.clock.now()));
    const outcomes = await this.bury(found, exhausted, EXHAUSTED, false);
    return { looked, failed: outcomes.filter((each) => typeof each === "object" && each).length };
  }
}

const sizeOf = (letter: DeadLetter | Rejected): number =>
  "batch" in letter ? letter.batch.length : 0;
