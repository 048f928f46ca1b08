import type { LastWrite } from "../broker/producer-sequence.ts";
import type { PartitionState } from "../broker/state.ts";
import type { Clock } from "../env/clock.ts";
import { assert } from "../lib/assert.ts";
import { Fifo } from "../lib/fifo.ts";
import type { PartitionLog } from "../storage/partitions/log.ts";
import type { PartitionStore } from "../storage/partitions/store.ts";
import { RecordWaits } from "./reads/record-waits.ts";

/** A first write with an idempotency key that is in flight. */
export type PendingWrite = {
  /** The offset that the record gets unless leadership changes. */
  readonly firstOffset: number;
  readonly count: number;
  readonly payloadDigest: Uint8Array;
};

/** Node state of a partition that the machine does not have: its log, waits and writes in flight. */
export class PartitionHandle {
  readonly log: PartitionLog;
  readonly waits: RecordWaits;
  /** Records that this leader proposed and that are not applied yet. */
  pendingRecords = 0;
  /** Most handles never have any, and there may be very many handles. */
  #pendingKeys: Map<string, PendingWrite> | null = null;
  #pendingProducers: Map<string, LastWrite> | null = null;

  /** A single closure for all wake-ups. */
  readonly endOffset: () => number;

  constructor(partition: PartitionState, log: PartitionLog, waits: RecordWaits) {
    this.endOffset = () => partition.endOffset;
    this.log = log;
    this.waits = waits;
  }

  /** Idempotency keys of the pending records, as text of their digests. */
  get pendingKeys(): Map<string, PendingWrite> {
    this.#pendingKeys ??= new Map();
    return this.#pendingKeys;
  }

  /** The last write of each idempotent producer among the pending records, by the id of the producer. */
  get pendingProducers(): Map<string, LastWrite> {
    this.#pendingProducers ??= new Map();
    return this.#pendingProducers;
  }

  /** True if nobody waits and nothing is in flight, so that a new handle would be the same. */
  get isIdle(): boolean {
    const keys = this.#pendingKeys?.size ?? 0;
    const producers = this.#pendingProducers?.size ?? 0;
    return this.pendingRecords + keys + producers === 0 && this.waits.isIdle;
  }
}

/** Handles beyond this number are dropped while they are idle. */
const HANDLES_MAX = 4096;

/**
 * Makes the handles of the partitions of a store when they are first used. Idle ones are dropped, the
 * oldest first, when there are many. As long as somebody holds a handle, the partition keeps it.
 */
export class PartitionHandles {
  readonly #store: PartitionStore;
  readonly #clock: Clock;
  readonly #handlesMax: number;
  /** In the order in which they were made. Some may be forgotten. */
  readonly #made = new Fifo<Made>();
  /** Handles that were dropped, and may still be in use. */
  readonly #dropped = new Map<PartitionState, WeakRef<PartitionHandle>>();
  /** The same, in the order in which they are looked at. Some may be in use again. */
  readonly #weak = new Fifo<Dropped>();

  constructor(store: PartitionStore, clock: Clock, handlesMax = HANDLES_MAX) {
    this.#store = store;
    this.#clock = clock;
    this.#handlesMax = handlesMax;
  }

  /** Returns the handle of a partition without one. */
  make(partition: PartitionState): PartitionHandle {
    const handle = this.#dropped.get(partition)?.deref() ?? this.#fresh(partition);
    this.#dropped.delete(partition);
    this.#made.push({ partition, handle });
    partition.node = handle;
    this.#dropOldest();
    return handle;
  }

  /** Returns a handle that was dropped while somebody uses it, or null. */
  inUse(partition: PartitionState): PartitionHandle | null {
    return this.#dropped.get(partition)?.deref() ?? null;
  }

  /** The partition was deleted. */
  forget(partition: PartitionState): void {
    this.#dropped.delete(partition);
  }

  #fresh(partition: PartitionState): PartitionHandle {
    const log = this.#store.getOrGone(partition.topicId, partition.partition);
    return new PartitionHandle(partition, log, new RecordWaits(this.#clock));
  }

  /** Looks at a few handles each time, so that no call takes long. */
  #dropOldest(): void {
    for (let looks = 0; looks < 2 && this.#made.size > this.#handlesMax; looks++) {
      const oldest = this.#made.shift();
      if (oldest !== undefined) this.#dropOrKeep(oldest);
    }
    for (let checks = Math.min(4, this.#weak.size); checks > 0; checks--) {
      const dropped = this.#weak.shift();
      if (dropped !== undefined) this.#forgetUnused(dropped);
    }
  }

  #dropOrKeep(made: Made): void {
    const { partition, handle } = made;
    if (partition.node !== handle) return;
    if (!handle.isIdle) {
      this.#made.push(made);
      return;
    }
    const reference = new WeakRef(handle);
    this.#dropped.set(partition, reference);
    this.#weak.push({ partition, reference });
    partition.node = this;
  }

  #forgetUnused(dropped: Dropped): void {
    const { partition, reference } = dropped;
    if (this.#dropped.get(partition) !== reference) return;
    if (reference.deref() === undefined) this.#dropped.delete(partition);
    else this.#weak.push(dropped);
  }
}

type Made = { readonly partition: PartitionState; readonly handle: PartitionHandle };
type Dropped = {
  readonly partition: PartitionState;
  readonly reference: WeakRef<PartitionHandle>;
};

/** Called once for each partition, when its topic is created or restored. */
export function setHandle(
  partition: PartitionState,
  handle: PartitionHandle | PartitionHandles,
): void {
  partition.node = handle;
}

/** Returns the handle, which is made if there is none. */
export function handleOf(partition: PartitionState): PartitionHandle {
  const { node } = partition;
  if (node instanceof PartitionHandle) return node;
  assert(node instanceof PartitionHandles, "every applied partition has its handle");
  return node.make(partition);
}

/** Returns the handle if there is one. A partition without one has nobody who waits. */
export function handleIfAny(partition: PartitionState): PartitionHandle | null {
  const { node } = partition;
  if (node instanceof PartitionHandles) return node.inUse(partition);
  return node instanceof PartitionHandle ? node : null;
}
