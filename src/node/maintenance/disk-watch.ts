import { feature as faultPoint } from "bun:bundle";
import type { Clock } from "../../env/clock.ts";
import { type Disk, DiskFailure } from "../../env/disk.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import { reserveOn } from "../disk-reserve.ts";
import type { Emit } from "../events.ts";
import type { Storage } from "../recovery/storage.ts";

const CHECK_EVERY_MS = 1_000;

/** Delay before a write that failed for lack of space is retried. */
const ROOM_RETRY_MS = 200;

export type DiskWatchOptions = {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  readonly storage: Storage;
  /** Free bytes below which writes that grow are refused. */
  readonly reserveBytes: number;
  readonly instruments: Pick<Instruments, "diskFreeBytes" | "diskSizeBytes">;
  readonly emit: Emit;
};

/**
 * Watches the free space. If it is below the reserve or a write failed for lack of space, the node
 * refuses produce requests. Deletions are still accepted, because they free space.
 */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  #cancel: (() => void) | null = null;
  #stopped = false;
  #full = false;
  #spareBytes = 0;
  #isStuck = false;
  readonly #stuck = Promise.withResolvers<void>();

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  /** Free bytes above the reserve, up to a second old. 0 while a write fails for lack of space. */
  get spareBytes(): number {
    return this.#full && !faultPoint("kept-on-a-full-disk") ? 0 : this.#spareBytes;
  }

  async start(): Promise<void> {
    await this.check();
    this.#later();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  async check(): Promise<void> {
    const { disk, instruments } = this.#options;
    const { freeBytes, totalBytes } = await disk.space();
    const reserveBytes = reserveOn(totalBytes, this.#options.reserveBytes);
    instruments.diskFreeBytes.value = freeBytes;
    instruments.diskSizeBytes.value = totalBytes;
    this.#spareBytes = Math.max(0, freeBytes - reserveBytes);
    if (this.#isBlocked && freeBytes >= reserveBytes) await this.#retry();
    this.#set(freeBytes < reserveBytes || this.#isBlocked, freeBytes);
  }

  /** A write found the disk full. Marks it as full before the next check. */
  blocked(): void {
    this.#set(true, 0);
  }

  /** Resolves when a journal write fails for lack of space for the first time. */
  get whenStuck(): Promise<void> {
    return this.#stuck.promise;
  }

  /** Called if the journal has no space. Resolves when the write should be retried. */
  async roomNeeded(): Promise<void> {
    const { clock } = this.#options;
    this.blocked();
    this.#setStuck(true);
    this.#stuck.resolve();
    await new Promise<void>((resolve) => clock.after(ROOM_RETRY_MS, resolve));
    await this.#retry();
  }

  /** Called after a journal write succeeded. */
  wrote(): void {
    if (this.#isStuck) this.#setStuck(false);
  }

  #setStuck(stuck: boolean): void {
    if (stuck === this.#isStuck) return;
    this.#isStuck = stuck;
    const { log, emit } = this.#options;
    emit({ type: "journal_full", full: stuck });
    if (stuck) log.error("the journal has no space, every write is refused until space is freed");
    else log.info("the journal has space again");
  }

  /** True if the journal or a partition log failed to write for lack of space. */
  get #isBlocked(): boolean {
    const { journal, generation } = this.#options.storage;
    return journal.spaceLow || generation.store.diskFull;
  }

  /** Called when space may be available again. */
  async #retry(): Promise<void> {
    const { journal, generation } = this.#options.storage;
    generation.store.retryAfterDiskFull();
    if (journal.spaceLow) await journal.retrySpace();
  }

  #set(full: boolean, freeBytes: number): void {
    if (full === this.#full || this.#stopped) return;
    this.#full = full;
    this.#options.emit({ type: "disk_full", full });
    const fields = { free_bytes: freeBytes, reserve_bytes: this.#options.reserveBytes };
    if (full) this.#options.log.warn("disk full, writes are refused, deletion is allowed", fields);
    else this.#options.log.info("disk has free space again", fields);
  }

  #later(): void {
    this.#cancel = this.#options.clock.after(CHECK_EVERY_MS, () => {
      this.check().then(
        () => {
          if (!this.#stopped) this.#later();
        },
        (error: unknown) => {
          if (error instanceof DiskFailure) this.#options.log.warn("free space cannot be read");
          if (!this.#stopped) this.#later();
        },
      );
    });
  }
}
