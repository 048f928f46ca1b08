import { feature as faultPoint } from "bun:bundle";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Storage } from "../recovery/storage.ts";
import type { ClusterTime } from "../replica/cluster-time.ts";
import type { CommandQueue } from "../writes/command-queue.ts";
import type { Completions } from "../writes/completions.ts";
import type { Checkpointer } from "./checkpointer.ts";
import { type MeasuredState, measureState } from "./state-metrics.ts";

/** Bytes of removed records above which a checkpoint is taken so that their files can be deleted. */
const PENDING_REMOVAL_BYTES_MAX = 256 * 1024 * 1024;

export type SpaceKeeperOptions = {
  readonly storage: Storage;
  readonly queue: CommandQueue;
  readonly completions: Completions;
  readonly checkpointer: Checkpointer;
  readonly time: ClusterTime;
  readonly instruments: Instruments;
} & MeasuredState;

/** Updates the metrics and frees space, once a second on every node. */
export class SpaceKeeper {
  readonly #options: SpaceKeeperOptions;

  constructor(options: SpaceKeeperOptions) {
    this.#options = options;
  }

  run(): void {
    this.#measure();
    this.#relieve();
  }

  #measure(): void {
    const { storage, queue, completions, checkpointer, time, instruments } = this.#options;
    instruments.journalBytes.value = storage.journal.bytes;
    instruments.journalRetainedBytes.value = checkpointer.retainedBytes;
    instruments.proposalsInFlight.value = completions.inFlight;
    instruments.waiters.value = queue.queuedRequests;
    const cache = storage.generation.store.readCache;
    instruments.readCacheBytes.value = cache.usedBytes;
    instruments.readCacheBytesMax.value = cache.limitBytes;
    instruments.readCacheHits.value = cache.hits;
    instruments.readCacheMisses.value = cache.misses;
    const shared = storage.generation.store.sharedSizes;
    instruments.sharedFileBytes.value = shared.bytes;
    instruments.sharedGarbageBytes.value = shared.garbageBytes;
    time.measure(instruments);
    measureState(this.#options);
  }

  /** The space of removed records is freed by a checkpoint. Takes one if that is much, or needed. */
  #relieve(): void {
    const { storage, queue, checkpointer } = this.#options;
    const { generation, journal } = storage;
    const { pendingRemovalBytes } = generation.store.describe();
    const needed = pendingRemovalBytes > 0 && (journal.spaceLow || queue.diskFull);
    const isDue = needed || pendingRemovalBytes >= PENDING_REMOVAL_BYTES_MAX;
    if (isDue) {
      // The failure was already reported.
      checkpointer.compact("peers").catch(() => undefined);
      return;
    }
    // An idle node does not append, so the checkpoint that failed for lack of space is retried here.
    checkpointer.maybeTake();
    if (!faultPoint("kept-until-the-next-checkpoint")) checkpointer.release();
  }
}
