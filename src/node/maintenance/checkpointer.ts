import type { Clock } from "../../env/clock.ts";
import { DiskFull } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import { encodeConfiguration } from "../../raft/config-codec.ts";
import type { Core } from "../../raft/core.ts";
import type { LogIndex, Term } from "../../raft/types.ts";
import type { DataDir } from "../../storage/data-dir.ts";
import type { Emit } from "../events.ts";
import type { Storage } from "../recovery/storage.ts";
import type { JournalRetention, RetainedFor } from "./journal-retention.ts";

/** Encoded in one event-loop iteration: a chunk of many small streams takes some milliseconds. */
const CHUNK_BYTES = 64 * 1024;
/** Delay after a checkpoint that failed for lack of space. */
const REST_US = 1_000_000;

export type CheckpointerOptions = {
  readonly core: Core;
  readonly machine: Machine;
  readonly storage: Storage;
  readonly retention: JournalRetention;
  readonly clock: Clock;
  readonly log: Logger;
  readonly dataDir: DataDir;
  /** A checkpoint is due after this many bytes of journal, or when this many wait for removal. */
  readonly everyBytes: number;
  readonly instruments: Pick<Instruments, "checkpointSeconds">;
  readonly emit: Emit;
};

/** Takes checkpoints while the node serves requests, and releases the journal that they replace. */
export class Checkpointer {
  readonly #options: CheckpointerOptions;
  #bytesSince = 0;
  #running: Promise<void> | null = null;
  #restUntilUs = 0;
  /** The last checkpoint failed for lack of space. A snapshot to a follower may wait for it. */
  #isOwed = false;

  constructor(options: CheckpointerOptions, bytesSince: number) {
    this.#options = options;
    this.#bytesSince = bytesSince;
  }

  /** Bytes of the journal that are retained only for peers. */
  get retainedBytes(): number {
    return this.#options.retention.retainedBytes;
  }

  /** Records that `bytes` were appended to the journal. */
  appended(bytes: number): void {
    this.#bytesSince += bytes;
  }

  /** Called after each append and once a second. Starts a checkpoint if one is due. */
  maybeTake(): void {
    const { everyBytes, clock } = this.#options;
    const isDue = this.#isOwed || this.#bytesSince >= everyBytes;
    if (this.#running !== null || !isDue) return;
    if (clock.monotonic() < this.#restUntilUs) return;
    this.begin();
  }

  /** Takes a checkpoint now. The caller does not wait for it. */
  begin(): void {
    // The failure was already reported.
    this.take().catch(() => undefined);
  }

  /** Takes a checkpoint, after the one in progress if any. Does nothing if nothing new was applied. */
  async take(): Promise<void> {
    await this.#takeNew();
    this.#tidy();
  }

  /** Releases journal that is not needed any more. Does nothing while other work is in progress. */
  release(): void {
    if (this.#running !== null) return;
    this.#run(() => this.#release("peers")).catch(() => undefined);
  }

  /** Frees as much as possible, including the journal that only the older checkpoint needs. */
  async compact(keptFor: RetainedFor): Promise<{ checkpointIndex: number; freedBytes: number }> {
    const { checkpoints, journal, generation } = this.#options.storage;
    const sizeBefore = journal.bytes + generation.store.describe().pendingRemovalBytes;
    while (this.#running !== null) await this.#running;
    await this.#run(async () => {
      if (this.#isAnythingNew()) await this.#take();
      await this.#dropPredecessor(keptFor);
    });
    this.#tidy();
    const sizeAfter = journal.bytes + generation.store.describe().pendingRemovalBytes;
    return {
      checkpointIndex: checkpoints.indexes.at(-1) ?? 0,
      freedBytes: Math.max(0, sizeBefore - sizeAfter),
    };
  }

  /**
   * Releases damaged journal that a checkpoint covers, once the entries after the damage in the same
   * file were applied too.
   *
   * @returns whether damaged journal was deleted.
   */
  async dropDamagedJournal(): Promise<boolean> {
    const { core, storage } = this.#options;
    const { damagedUpTo } = storage.journal;
    if (damagedUpTo === null || core.appliedIndex < damagedUpTo) return false;
    await this.compact("nobody");
    return storage.journal.damagedUpTo === null;
  }

  /**
   * Verifies the retained checkpoints, and takes a new one in place of each damaged one.
   *
   * @returns how many were damaged, and whether all of them were replaced. A new checkpoint is only
   *   possible if entries were applied since the damaged one.
   */
  async renewDamaged(): Promise<{ damaged: number; renewed: boolean }> {
    const { checkpoints } = this.#options.storage;
    const damaged = await checkpoints.findDamaged();
    if (damaged.length === 0) return { damaged: 0, renewed: false };
    await this.take();
    if (damaged.includes(checkpoints.indexes.at(-1) ?? 0)) {
      return { damaged: damaged.length, renewed: false };
    }
    if (checkpoints.indexes.some((index) => damaged.includes(index))) {
      await this.without(() => this.#dropPredecessor("peers"));
    }
    return { damaged: damaged.length, renewed: true };
  }

  /**
   * Takes one before the node stops. It only shortens the next start, because the journal has
   * everything.
   *
   * @returns false if it is not complete after `withinMs`: then the files must not be closed.
   */
  async takeLast(withinMs: number): Promise<boolean> {
    const { clock, log } = this.#options;
    const late = Promise.withResolvers<false>();
    const cancel = clock.after(withinMs, () => late.resolve(false));
    const taken = this.#takeNew()
      .then(() => this.settled())
      .then(() => true);
    const isTaken = await Promise.race([taken, late.promise]);
    cancel();
    if (isTaken) return true;
    // A failure is reported where it happens.
    taken.catch(() => undefined);
    log.warn("stopped without a last checkpoint, the next start reads more of the journal");
    return false;
  }

  /** Resolves when no checkpoint is in progress. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  /** Runs `work` while no checkpoint is in progress, because it changes machine and partition logs. */
  async without(work: () => Promise<void>): Promise<void> {
    while (this.#running !== null) await this.#running;
    this.#running = work().finally(() => {
      this.#running = null;
    });
    await this.#running;
  }

  async #takeNew(): Promise<void> {
    while (this.#running !== null) await this.#running;
    if (this.#isAnythingNew()) await this.#run(() => this.#take());
  }

  /** Frees space in shared files before the next checkpoint. Nobody waits for it. */
  #tidy(): void {
    if (this.#running !== null) return;
    this.#run(() => this.#options.storage.generation.store.tidy()).catch(() => undefined);
  }

  #isAnythingNew(): boolean {
    const { core, storage } = this.#options;
    return core.appliedIndex > (storage.checkpoints.indexes.at(-1) ?? 0);
  }

  /** Reports a failure. A failed sync is final, even if the request only gets a 500. */
  async #run(work: () => Promise<void>): Promise<void> {
    this.#running = work()
      .catch((error: unknown) => {
        this.#options.emit({ type: "failed", error });
        throw error;
      })
      .finally(() => {
        this.#running = null;
      });
    await this.#running;
  }

  async #take(): Promise<void> {
    const { core, machine, storage, clock, log, dataDir, instruments } = this.#options;
    const clusterId = dataDir.identity.clusterId ?? "";
    const begin = clock.monotonic();
    const bytesBefore = this.#bytesSince;
    const index = core.appliedIndex;
    // The consistent point: machine and partition logs at this index, in one step.
    const snapshot = machine.beginSnapshot();
    const chunks = { next: () => snapshot.next(CHUNK_BYTES) };
    const configuration = encodeConfiguration(core.configuration);
    const term = this.#termOf(index);
    try {
      await storage.checkpoints.take({ index, term, clusterId, configuration }, chunks);
    } catch (error) {
      snapshot.abandon();
      if (!(error instanceof DiskFull)) throw error;
      log.warn("not enough disk space for a checkpoint", { index });
      this.#restUntilUs = clock.monotonic() + REST_US;
      this.#isOwed = true;
      return;
    }
    this.#isOwed = false;
    this.#bytesSince -= bytesBefore;
    core.snapshotCreated(index);
    await this.#release("peers");
    const seconds = (clock.monotonic() - begin) / 1e6;
    instruments.checkpointSeconds.observe(seconds);
    log.debug("checkpoint", { index, seconds });
  }

  #termOf(index: LogIndex): Term {
    const term = this.#options.storage.journal.termAt(index);
    assert(term !== null, "the journal has every entry applied since the last checkpoint");
    return term;
  }

  async #dropPredecessor(keptFor: RetainedFor): Promise<void> {
    await this.#options.storage.checkpoints.dropPredecessor();
    await this.#release(keptFor);
  }

  async #release(keptFor: RetainedFor): Promise<void> {
    const { core, storage, retention } = this.#options;
    const { journal, checkpoints } = storage;
    const upTo = retention.bound((checkpoints.journalNeededFrom - 1) as LogIndex, keptFor);
    if (upTo < 1) return;
    core.compact(upTo);
    await journal.release(upTo);
  }
}
