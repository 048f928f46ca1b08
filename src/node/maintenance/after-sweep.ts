import type { Instruments } from "../../metrics/instruments.ts";
import type { Checkpointer } from "../replica/checkpointer.ts";
import type { ClusterTime } from "../replica/cluster-time.ts";
import type { Storage } from "../replica/recovery.ts";
import type { Proposer } from "../writes/proposer.ts";

/** Removed records whose files wait for a checkpoint: above this, one is taken for their sake. */
const PENDING_REMOVAL_BYTES_MAX = 256 * 1024 * 1024;

export type UpkeepOptions = {
  readonly storage: Storage;
  readonly proposer: Proposer;
  readonly checkpointer: Checkpointer;
  readonly time: ClusterTime;
  readonly instruments: Instruments;
  readonly fault: (error: unknown) => void;
};

/** What a node does for itself once a second, whoever leads: it measures, and gives space back. */
export class Upkeep {
  readonly #options: UpkeepOptions;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  run(): void {
    this.#measure();
    this.#relieve();
  }

  #measure(): void {
    const { storage, proposer, checkpointer, time, instruments } = this.#options;
    instruments.journalBytes.value = storage.journal.bytes;
    instruments.journalKeptBytes.value = checkpointer.keptBytes;
    instruments.proposalsInFlight.value = proposer.inFlight;
    instruments.waiters.value = proposer.queuedRequests;
    time.measure(instruments);
  }

  /** Removed records give their space back at a checkpoint: take one if that is much, or needed. */
  #relieve(): void {
    const { storage, proposer, checkpointer, fault } = this.#options;
    const { store, journal } = storage;
    const { pendingRemovalBytes } = store.describe();
    const needed = pendingRemovalBytes > 0 && (journal.spaceLow || proposer.diskFull);
    const isDue = needed || pendingRemovalBytes >= PENDING_REMOVAL_BYTES_MAX;
    if (isDue) {
      checkpointer.compact("peers").catch(fault);
      return;
    }
    // An idle node appends nothing that would take a checkpoint for which there was no room.
    checkpointer.maybeTake();
    checkpointer.release();
  }
}
