import type { Clock } from "../../env/clock.ts";
import { DiskFailure, DiskFull } from "../../env/disk.ts";
import type { NodeId } from "../../lib/ids.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Logger } from "../../metrics/log.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import {
  type DamagedRange,
  RepairRefused,
  type SegmentPlace,
} from "../../storage/partitions/repair.ts";
import type { PartitionStore } from "../../storage/partitions/store.ts";
import {
  BATCHES_BYTES_MAX,
  type Batches,
  type BatchesHandler,
  type BatchesWanted,
} from "../../transport/batch-exchange.ts";

/** Maximum time that a request waits for the repair of damaged records. */
const REPAIR_MS_MAX = 5_000;
const RETRY_MS = 200;

export type RepairerOptions = {
  readonly store: () => PartitionStore;
  /** Reachable members, the leader first. */
  readonly peers: () => readonly NodeId[];
  readonly ask: (peer: NodeId, wanted: BatchesWanted) => Promise<Batches | null>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly instruments: Pick<Instruments, "damage" | "repairs">;
  /** The disk failed: the process must end. */
  readonly fault: (error: unknown) => void;
};

/** Repairs damaged segments with batches of peers, and sends batches to peers for their repairs. */
export class Repairer {
  readonly #options: RepairerOptions;
  /** Repairs in progress by segment. All readers of a damaged segment wait for the same repair. */
  readonly #running = new Map<string, Promise<boolean>>();
  #stopped = false;

  constructor(options: RepairerOptions) {
    this.#options = options;
  }

  /** Abandons the repairs in progress. */
  stop(): void {
    this.#stopped = true;
  }

  /** @returns whether the segment is intact now. Damaged data is never returned to a reader. */
  repair(damage: PartitionDamaged): Promise<boolean> {
    const { topicId, partition, segmentOffset } = damage;
    const key = `${topicId}-${partition}/${segmentOffset}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const { log, instruments } = this.#options;
    instruments.damage.partition.value++;
    log.error("segment is damaged", { detail: damage.message });
    const repairing = this.#repair({ topicId, partition, segmentOffset })
      .catch((error: unknown) => this.#gaveUp(error))
      .finally(() => this.#running.delete(key));
    this.#running.set(key, repairing);
    return repairing;
  }

  /** Returns verified batches for a peer. Damage found here is repaired for the next request. */
  readonly serve: BatchesHandler = async (wanted) => {
    const { topicId, partition, fromOffset, endOffset, maxBytes } = wanted;
    try {
      const log = this.#options.store().get(topicId, partition);
      return (await log?.rawRange(fromOffset, endOffset, maxBytes)) ?? null;
    } catch (error) {
      if (error instanceof PartitionDamaged) void this.repair(error);
      else this.#gaveUp(error);
      return null;
    }
  };

  /** Logs the failure. The segment stays unreadable. */
  #gaveUp(error: unknown): boolean {
    this.#options.log.error("repair failed", { detail: String(error) });
    return false;
  }

  async #repair(place: SegmentPlace): Promise<boolean> {
    const { clock, store } = this.#options;
    const endUs = clock.monotonic() + REPAIR_MS_MAX * 1000;
    for (;;) {
      const range = await store().damagedRange(place);
      if (range === null) return true;
      if (await this.#repairRange(range)) continue;
      if (this.#stopped || clock.monotonic() >= endUs) return false;
      await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
    }
  }

  /** @returns whether a peer had the matching batches and the segment was repaired. */
  async #repairRange(range: DamagedRange): Promise<boolean> {
    const { peers, store, log, instruments, fault } = this.#options;
    const { topicId, partition, fromOffset, endOffset, length } = range;
    const fields = {
      topic_id: topicId,
      partition,
      from: fromOffset,
      end: endOffset,
      bytes: length,
    };
    for (const peer of peers()) {
      const batches = await this.#fetch(peer, range);
      if (batches === null || this.#stopped) continue;
      try {
        await store().repair(range, batches);
      } catch (error) {
        if (error instanceof DiskFailure && !(error instanceof DiskFull)) fault(error);
        if (!(error instanceof RepairRefused)) throw error;
        log.warn("batches of a peer do not match", { ...fields, peer, detail: error.message });
        continue;
      }
      instruments.repairs.partition.value++;
      log.warn("segment repaired from a peer", { ...fields, peer });
      return true;
    }
    return false;
  }

  /** Fetches the range in pieces. Null if the peer lacks it or has other batch boundaries. */
  async #fetch(peer: NodeId, range: DamagedRange): Promise<Uint8Array | null> {
    const { topicId, partition, endOffset } = range;
    const bytes = new Uint8Array(range.length);
    let at = 0;
    for (let fromOffset = range.fromOffset; fromOffset < endOffset; ) {
      const wanted = { topicId, partition, fromOffset, endOffset, maxBytes: BATCHES_BYTES_MAX };
      const piece = await this.#options.ask(peer, wanted);
      const fits = piece?.baseOffset === fromOffset && at + piece.bytes.length <= range.length;
      if (piece === null || !fits || piece.endOffset <= fromOffset) return null;
      bytes.set(piece.bytes, at);
      at += piece.bytes.length;
      fromOffset = piece.endOffset;
    }
    return at === range.length ? bytes : null;
  }
}
