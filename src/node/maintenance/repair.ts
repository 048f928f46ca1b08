import type { Journal } from "../../storage/journal/journal.ts";
import type { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { BatchesHandler } from "../../transport/batch-exchange.ts";
import type { Checkpointer } from "../replica/checkpointer.ts";
import { firstUnreadable } from "./journal-scrub.ts";
import { Repairer, type RepairerOptions } from "./repairer.ts";
import { Scrubber, type ScrubberOptions } from "./scrubber.ts";

export type HealingOptions = RepairerOptions &
  Omit<ScrubberOptions, "heal" | "passed"> & {
    readonly checkpointer: () => Checkpointer;
    readonly journal: () => Journal;
  };

/** Damaged records: looked for, and brought back from peers. */
export class Healing {
  readonly #repairer: Repairer;
  readonly #scrubber: Scrubber;
  readonly #options: HealingOptions;
  #isDropping = false;
  readonly serve: BatchesHandler;

  constructor(options: HealingOptions) {
    this.#options = options;
    this.#repairer = new Repairer(options);
    this.#scrubber = new Scrubber({
      ...options,
      heal: (damage) => this.heal(damage),
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

  heal(damage: PartitionDamaged): Promise<boolean> {
    return this.#repairer.heal(damage);
  }

  /** What this node sent was not whole: segments are healed, and a new checkpoint is taken. */
  lookForDamage(): void {
    const { checkpointer, fault } = this.#options;
    const looked = this.#scrubber.hurry().then(() => checkpointer().take());
    looked.catch(fault);
  }

  /** Once a second: what a start did without in the journal goes, before another has to read it. */
  swept(): void {
    const { checkpointer, journal, instruments, log, fault } = this.#options;
    if (journal().damagedUpTo === null || this.#isDropping) return;
    this.#isDropping = true;
    const dropped = checkpointer().dropDamagedJournal();
    dropped
      .then((isGone) => {
        this.#isDropping = false;
        if (!isGone) return;
        log.info("damaged journal segments deleted, a new checkpoint covers them");
        instruments.repairs.journal.value++;
      })
      .catch(fault);
  }

  /** @returns whether the newest is whole. */
  async #renewCheckpoints(): Promise<boolean> {
    const { checkpointer, instruments, log } = this.#options;
    const { damaged, renewed } = await checkpointer().renewDamaged();
    if (damaged === 0) return true;
    log.error("checkpoint is damaged", { damaged, renewed });
    instruments.damage.checkpoint.value += damaged;
    if (renewed) instruments.repairs.checkpoint.value += damaged;
    return renewed;
  }

  /** What a checkpoint covers of a damaged journal is let go, before a start has to read it. */
  async #readJournal(): Promise<void> {
    const { checkpointer, journal, instruments, log } = this.#options;
    const pace = (bytes: number) => this.#scrubber.pace(bytes);
    const from = await firstUnreadable(journal(), pace);
    if (from === null || !(await pace(0))) return;
    log.error("journal is damaged", { at_or_after: from });
    instruments.damage.journal.value++;
    await checkpointer().compact("nobody");
    if ((await firstUnreadable(journal(), pace)) === null) instruments.repairs.journal.value++;
  }
}
