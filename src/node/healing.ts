import type { PartitionDamaged } from "../storage/partition-damaged.ts";
import type { BatchesHandler } from "../transport/batch-exchange.ts";
import { Repairer, type RepairerOptions } from "./repairer.ts";
import { Scrubber, type ScrubberOptions } from "./scrubber.ts";

export type HealingOptions = RepairerOptions & Omit<ScrubberOptions, "heal">;

/** Damaged records: looked for, and brought back from peers. */
export class Healing {
  readonly #repairer: Repairer;
  readonly #scrubber: Scrubber;
  readonly serve: BatchesHandler;

  constructor(options: HealingOptions) {
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

  /** Looks through everything at once: a copy that went to a peer was not whole. */
  scrub(): Promise<void> {
    return this.#scrubber.hurry();
  }
}
