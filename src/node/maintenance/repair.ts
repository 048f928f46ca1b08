import type { Clock } from "../../env/clock.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import type { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { BatchesHandler } from "../../transport/batch-exchange.ts";
import type { Emit } from "../events.ts";
import type { Cluster } from "../peers/cluster.ts";
import type { Storage } from "../recovery/storage.ts";
import type { Checkpointer } from "./checkpointer.ts";
import { firstUnreadable } from "./journal-scrub.ts";
import { Repairer } from "./repairer.ts";
import { Scrubber } from "./scrubber.ts";

export type RepairOptions = {
  readonly storage: Storage;
  readonly checkpointer: Checkpointer;
  readonly peers: Pick<Cluster, "reachable" | "askBatches">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly instruments: Instruments;
  readonly scrubBytesPerSecond: number;
  readonly emit: Emit;
};

/** Finds damaged files, and repairs them from peers or replaces them. */
export class Repair {
  readonly #repairer: Repairer;
  readonly #scrubber: Scrubber;
  readonly #options: RepairOptions;
  #isDropping = false;
  readonly serve: BatchesHandler;

  constructor(options: RepairOptions) {
    this.#options = options;
    const { storage, peers, emit } = options;
    const store = () => storage.generation.store;
    const fault = (error: unknown) => emit({ type: "failed", error });
    this.#repairer = new Repairer({
      ...options,
      store,
      peers: () => peers.reachable(),
      ask: (peer, wanted) => peers.askBatches(peer, wanted),
      fault,
    });
    this.#scrubber = new Scrubber({
      ...options,
      store,
      fault,
      bytesPerSecond: options.scrubBytesPerSecond,
      repair: (damage) => this.repair(damage),
      passed: async () => {
        if (await this.#renewCheckpoints()) await this.#readJournal();
      },
    });
    this.serve = this.#repairer.serve;
  }

  start(): void {
    this.#scrubber.start();
  }

  stop(): void {
    this.#scrubber.stop();
    this.#repairer.stop();
  }

  repair(damage: PartitionDamaged): Promise<boolean> {
    return this.#repairer.repair(damage);
  }

  /** Called if a snapshot from this node was damaged. Repairs segments and takes a new checkpoint. */
  lookForDamage(): void {
    const { checkpointer, emit } = this.#options;
    const looked = this.#scrubber.hurry().then(() => checkpointer.take());
    looked.catch((error: unknown) => emit({ type: "failed", error }));
  }

  /** Called once a second. Deletes journal segments that recovery skipped, before the next start. */
  maintain(): void {
    const { checkpointer, storage, instruments, log, emit } = this.#options;
    if (storage.journal.damagedUpTo === null || this.#isDropping) return;
    this.#isDropping = true;
    const dropped = checkpointer.dropDamagedJournal();
    dropped
      .then((isGone) => {
        this.#isDropping = false;
        if (!isGone) return;
        log.info("damaged journal segments deleted, a new checkpoint covers them");
        instruments.repairs.journal.value++;
      })
      .catch((error: unknown) => emit({ type: "failed", error }));
  }

  /** @returns whether the newest checkpoint is intact. */
  async #renewCheckpoints(): Promise<boolean> {
    const { checkpointer, instruments, log } = this.#options;
    const { damaged, renewed } = await checkpointer.renewDamaged();
    if (damaged === 0) return true;
    log.error("checkpoint is damaged", { damaged, renewed });
    instruments.damage.checkpoint.value += damaged;
    if (renewed) instruments.repairs.checkpoint.value += damaged;
    return renewed;
  }

  /** Releases damaged journal that a checkpoint covers, so that the next start does not read it. */
  async #readJournal(): Promise<void> {
    const { checkpointer, storage, instruments, log } = this.#options;
    const pace = (bytes: number) => this.#scrubber.pace(bytes);
    const from = await firstUnreadable(storage.journal, pace);
    if (from === null || !(await pace(0))) return;
    log.error("journal is damaged", { at_or_after: from });
    instruments.damage.journal.value++;
    await checkpointer.compact("nobody");
    if ((await firstUnreadable(storage.journal, pace)) === null)
      instruments.repairs.journal.value++;
  }
}
