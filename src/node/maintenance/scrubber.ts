import type { Clock } from "../../env/clock.ts";
import { DiskFailure } from "../../env/disk.ts";
import type { Logger } from "../../metrics/log.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { PartitionStore } from "../../storage/partitions/store.ts";

/** Pause between two passes over all segments. */
const REST_MS = 60_000;
/** A short segment counts as this many bytes, because its read costs more than its bytes. */
const READ_BYTES_MIN = 4096;

export type ScrubberOptions = {
  readonly store: () => PartitionStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** Rate of a pass. 0: only `hurry` starts a pass. */
  readonly bytesPerSecond: number;
  readonly repair: (damage: PartitionDamaged) => Promise<boolean>;
  /** Called after each pass. */
  readonly passed: () => Promise<void>;
  readonly fault: (error: unknown) => void;
};

/**
 * Reads all segments periodically at a low rate, so that damage is found while peers still have the
 * data to repair it.
 */
export class Scrubber {
  readonly #options: ScrubberOptions;
  #cancel: (() => void) | null = null;
  #stopped = false;
  #passing: Promise<void> | null = null;
  /** Rests that are too short for a timer, until they are long enough together. */
  #owedMs = 0;

  constructor(options: ScrubberOptions) {
    this.#options = options;
  }

  start(): void {
    const { bytesPerSecond, clock, fault } = this.#options;
    if (this.#stopped || bytesPerSecond === 0) return;
    this.#cancel = clock.after(REST_MS, () => {
      this.#tryPass(bytesPerSecond).then(() => this.start(), fault);
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** Runs a pass now, as fast as requests allow. Joins such a pass that is in progress. */
  hurry(): Promise<void> {
    this.#passing ??= this.#tryPass(Number.POSITIVE_INFINITY).finally(() => {
      this.#passing = null;
    });
    return this.#passing;
  }

  async #pass(bytesPerSecond: number): Promise<void> {
    const { store, repair } = this.#options;
    const present = store();
    const pace = (bytes: number) =>
      this.#rest((Math.max(bytes, READ_BYTES_MIN) / bytesPerSecond) * 1000);
    const found = new Set<string>();
    for (const key of present.keys()) {
      const log = present.at(key);
      if (log === null) continue;
      for (const { baseOffset: segmentOffset, label: path } of [...log.segments]) {
        if (this.#stopped || store() !== present) return;
        const { topicId, partition } = log;
        const place = { topicId, partition, segmentOffset };
        const range = await present.damagedRange(place, pace, found).catch((error: unknown) => {
          return this.#unreadable(path, error);
        });
        if (range === null) continue;
        const { position, fromOffset } = range;
        await repair(new PartitionDamaged(path, position, "found by reading all", fromOffset));
      }
    }
  }

  /** An installed snapshot replaces the store, so it is read for each pass. */
  async #tryPass(bytesPerSecond: number): Promise<void> {
    const { store } = this.#options;
    const present = store();
    try {
      await this.#pass(bytesPerSecond);
      if (!this.#stopped) await this.#options.passed();
    } catch (error) {
      if (this.#stopped || store() !== present) return;
      throw error;
    }
  }

  /** Logs a segment that cannot be read. A request for its records is refused the same way. */
  #unreadable(path: string, error: unknown): null {
    if (!(error instanceof DiskFailure)) throw error;
    this.#options.log.error("reading a segment failed", { path, detail: error.message });
    return null;
  }

  /** Limits the rate of another reader. @returns false if that reader must stop. */
  async pace(bytes: number): Promise<boolean> {
    const { bytesPerSecond } = this.#options;
    await this.#rest(bytesPerSecond === 0 ? 0 : (bytes / bytesPerSecond) * 1000);
    return !this.#stopped;
  }

  #rest(ms: number): Promise<void> {
    const { clock } = this.#options;
    this.#owedMs += ms;
    const owedMs = Math.floor(this.#owedMs);
    this.#owedMs -= owedMs;
    return new Promise((resolve) => {
      if (this.#stopped || owedMs < 1) clock.defer(resolve);
      else clock.after(owedMs, resolve);
    });
  }
}
