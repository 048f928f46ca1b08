import { findPartition } from "../../broker/state.ts";
import type { Machine } from "../../machine/machine.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Rejected, Result } from "../api.ts";
import type { ForwardedCalls, Lease, Leased } from "../forward/calls.ts";
import type { Received, ReceivedMessage, ReceiveReject } from "../queue-api.ts";
import type { AppliedWaits } from "../reads/applied-waits.ts";
import { Delivery } from "./delivery.ts";
import { queueIdOf } from "./receipts.ts";
import { readRecords } from "./records.ts";

export type LeasedRecordsOptions = {
  readonly machine: Machine;
  readonly calls: Pick<ForwardedCalls, "receive">;
  readonly waits: AppliedWaits;
  /** How long this node may take to apply the records of a lease. */
  readonly timeoutMs: number;
};

/** Leases of one partition with consecutive offsets. */
type Run = { readonly partition: number; readonly from: number; readonly leases: Lease[] };

/** Receives messages on a follower: the leader leases them, and this node reads the records. */
export class LeasedRecords {
  readonly #options: LeasedRecordsOptions;

  constructor(options: LeasedRecordsOptions) {
    this.#options = options;
  }

  readonly receive = async (
    ...given: Parameters<ForwardedCalls["receive"]>
  ): Promise<Result<Received, ReceiveReject>> => {
    const leased = await this.#options.calls.receive(...given);
    if (!leased.ok) return leased;
    const { waits, timeoutMs } = this.#options;
    const isThere = () => leased.messages.every((lease) => this.#has(leased, lease));
    if (!(await waits.until(isThere, timeoutMs))) return NOT_APPLIED;
    return await this.#complete(leased);
  };

  #has({ topicId }: Leased, { partition, offset }: Lease): boolean {
    const its = this.#find(topicId, partition);
    return its !== undefined && its.endOffset > offset;
  }

  #find(topicId: number, partition: number) {
    return findPartition(this.#options.machine.broker, topicId, partition);
  }

  /** Leaves out records that retention has deleted. Their leases end. */
  async #complete(leased: Leased): Promise<Result<Received, ReceiveReject>> {
    const messages: ReceivedMessage[] = [];
    let isDamaged = false;
    for (const run of runsOf(leased.messages)) {
      const read = await this.#read(leased, run);
      if (read instanceof PartitionDamaged) isDamaged = true;
      else messages.push(...read);
    }
    if (messages.length === 0 && isDamaged) return { ok: false, code: "data_damaged" };
    return { ...leased, ok: true, messages };
  }

  async #read(
    { topicId }: Leased,
    { partition, from, leases }: Run,
  ): Promise<ReceivedMessage[] | PartitionDamaged> {
    const its = this.#find(topicId, partition);
    if (its === undefined) return [];
    try {
      const records = await readRecords(its, from, leases.length, Number.MAX_SAFE_INTEGER);
      return records.flatMap((record) => {
        const lease = leases[record.offset - from];
        if (lease === undefined) return [];
        return [new Delivery(record, queueIdOf(lease.receipt), lease.attempt)];
      });
    } catch (error) {
      if (error instanceof PartitionDamaged) return error;
      throw error;
    }
  }
}

function runsOf(leases: readonly Lease[]): Run[] {
  const runs: Run[] = [];
  let last: Run | undefined;
  for (const lease of leases) {
    const { partition, offset } = lease;
    const isNext = last?.partition === partition && last.from + last.leases.length === offset;
    if (last !== undefined && isNext) last.leases.push(lease);
    else {
      last = { partition, from: offset, leases: [lease] };
      runs.push(last);
    }
  }
  return runs;
}

const NOT_APPLIED: Rejected<"commit_timeout"> = {
  ok: false,
  code: "commit_timeout",
  message:
    "The leader has leased messages that this node has not applied in time; they are delivered again when their leases end",
};
