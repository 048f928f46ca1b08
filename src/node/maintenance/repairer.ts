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

/** A request that met damage waits for so long at most. */
const HEAL_MS_MAX = 5_000;
const RETRY_MS = 200;

export type RepairerOptions = {
  readonly store: () => PartitionStore;
  /** Members that can be asked now, the leader first. */
  readonly peers: () => readonly NodeId[];
  readonly ask: (peer: NodeId, wanted: BatchesWanted) => Promise<Batches | null>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly instruments: Pick<Instruments, "damage" | "repairs">;
  /** The disk failed: the process must end. */
  readonly fault: (error: unknown) => void;
};

/** Damaged segments of this node are healed with the batches of its peers, and theirs with ours. */
export class Repairer {
  readonly #options: RepairerOptions;
  /** By segment: whoever meets the same damage waits for the same repair. */
  readonly #running = new Map<string, Promise<boolean>>();
  #stopped = false;

  constructor(options: RepairerOptions) {
    this.#options = options;
  }

  /** What is being healed is given up. */
  stop(): void {
    this.#stopped = true;
  }

  /** @returns whether the segment is whole now. Never wrong data: what is not is never read. */
  heal(damage: PartitionDamaged): Promise<boolean> {
    const { topicId, partition, segmentOffset } = damage;
    const key = `${topicId}-${partition}/${segmentOffset}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const { log, instruments } = this.#options;
    instruments.damage.partition.value++;
    log.error("segment is damaged", { detail: damage.message });
    const healing = this.#heal({ topicId, partition, segmentOffset })
      .catch((error: unknown) => this.#gaveUp(error))
      .finally(() => this.#running.delete(key));
    this.#running.set(key, healing);
    return healing;
  }

  /** For a peer: verified batches of this node. Damage met on the way is healed, for the next time. */
  readonly serve: BatchesHandler = async (wanted) => {
    const { topicId, partition, fromOffset, endOffset, maxBytes } = wanted;
    try {
      const log = this.#options.store().get(topicId, partition);
      return (await log?.rawRange(fromOffset, endOffset, maxBytes)) ?? null;
    } catch (error) {
      if (error instanceof PartitionDamaged) void this.heal(error);
      else this.#gaveUp(error);
      return null;
    }
  };

  /** What cannot be read is not served, as before; what was not written is final. */
  #gaveUp(error: unknown): boolean {
    this.#options.log.error("repair failed", { detail: String(error) });
    return false;
  }

  async #heal(place: SegmentPlace): Promise<boolean> {
    const { clock, store } = this.#options;
    const endUs = clock.monotonic() + HEAL_MS_MAX * 1000;
    for (;;) {
      const range = await store().damagedRange(place);
      if (range === null) return true;
      if (await this.#healRange(range)) continue;
      if (this.#stopped || clock.monotonic() >= endUs) return false;
      await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
    }
  }

  /** @returns whether some peer had exactly what belongs there. */
  async #healRange(range: DamagedRange): Promise<boolean> {
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

  /** All of the range, in pieces; null if the peer has it not or cut into other batches. */
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
