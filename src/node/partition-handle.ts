import type { PartitionState } from "../broker/state.ts";
import { assert } from "../lib/assert.ts";
import type { PartitionLog } from "../storage/partitions/log.ts";
import type { RecordWaits } from "./reads/record-waits.ts";

/** A first write with an idempotency key that is on its way. */
export type PendingWrite = {
  /** The offset that it will get unless leadership changes. */
  readonly firstOffset: number;
  readonly count: number;
  readonly payloadDigest: Uint8Array;
};

/** What the node keeps beside a partition of the machine: its records and who waits for them. */
export class PartitionHandle {
  readonly log: PartitionLog;
  readonly waits: RecordWaits;
  /** Records that this leader proposed and that are not applied yet. */
  pendingRecords = 0;
  /** Idempotency keys among them, as text of their digests. */
  readonly pendingKeys = new Map<string, PendingWrite>();

  /** One closure for all wake-ups. */
  readonly endOffset: () => number;

  constructor(partition: PartitionState, log: PartitionLog, waits: RecordWaits) {
    this.endOffset = () => partition.endOffset;
    this.log = log;
    this.waits = waits;
  }
}

/** The state knows nothing of the node, so what belongs together is kept here. */
const handles = new WeakMap<PartitionState, PartitionHandle>();

/** To be called once for each partition, when its topic is created or restored. */
export function setHandle(partition: PartitionState, handle: PartitionHandle): void {
  handles.set(partition, handle);
}

/** The handle that was set when the topic was created or restored. */
export function handleOf(partition: PartitionState): PartitionHandle {
  const handle = handles.get(partition);
  assert(handle !== undefined, "every applied partition has its handle");
  return handle;
}
