import type { LastWrite } from "../broker/producer-sequence.ts";
import type { PartitionState } from "../broker/state.ts";
import { assert } from "../lib/assert.ts";
import type { PartitionLog } from "../storage/partitions/log.ts";
import type { RecordWaits } from "./reads/record-waits.ts";

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
  /** Idempotency keys among them, as text of their digests. */
  readonly pendingKeys = new Map<string, PendingWrite>();
  /** The last write of each idempotent producer among them, by the id of the producer. */
  readonly pendingProducers = new Map<string, LastWrite>();

  /** A single closure for all wake-ups. */
  readonly endOffset: () => number;

  constructor(partition: PartitionState, log: PartitionLog, waits: RecordWaits) {
    this.endOffset = () => partition.endOffset;
    this.log = log;
    this.waits = waits;
  }
}

/** Maps partitions to handles, because the replicated state has no reference to the node. */
const handles = new WeakMap<PartitionState, PartitionHandle>();

/** Must be called once for each partition, when its topic is created or restored. */
export function setHandle(partition: PartitionState, handle: PartitionHandle): void {
  handles.set(partition, handle);
}

/** Returns the handle that was set when the topic was created or restored. */
export function handleOf(partition: PartitionState): PartitionHandle {
  const handle = handles.get(partition);
  assert(handle !== undefined, "every applied partition has its handle");
  return handle;
}
