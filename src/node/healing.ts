import type { PartitionDamaged } from "../storage/partition-damaged.ts";
import type { BatchesHandler } from "../transport/batch-exchange.ts";
import { Repairer, type RepairerOptions } from "./repairer.ts";
import { Scrubber, type ScrubberOptions } from "./scrubber.ts";

export type HealingOptions = RepairerOptions &
  Omit<ScrubberOptions, "heal"> & {
    /** Takes one, if anything was applied since the last. */
    readonly checkpoint: () => Promise<void>;
  };

/** Damaged records: looked for, and brought back from peers. */
export class Healing {
  readonly #repairer: Repairer;
  readonly #scrubber: Scrubber;
  readonly #options: HealingOptions;
  readonly serve: BatchesHandler;

  constructor(options: HealingOptions) {
    this.#options = options;
    this.#repairer = new Repairer(options);
    this.#scrubber = new Scrubber({ ...options, heal: (damage) => this.heal(damage) });
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
    const { checkpoint, fault } = this.#options;
    this.#scrubber.hurry().then(checkpoint).catch(fault);
  }
}
