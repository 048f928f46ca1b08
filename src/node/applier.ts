import type { PartitionState, TopicState } from "../broker/state.ts";
import type { Clock } from "../env/clock.ts";
import { assert } from "../lib/assert.ts";
import type { Millis } from "../lib/ids.ts";
import type { CommandResult } from "../machine/commands.ts";
import type { Effects, Machine } from "../machine/machine.ts";
import type { Entry } from "../raft/types.ts";
import type { Offset } from "../record/offset.ts";
import { handleOf, PartitionHandle } from "./partition-handle.ts";
import type { Proposal, Proposer } from "./proposer.ts";
import { RecordWaits } from "./record-waits.ts";
import type { Storage } from "./recovery.ts";

/** A turn that applies longer than this goes on in the next one. */
const TURN_BUDGET_US = 8_000;

export type ApplierOptions = {
  readonly machine: Machine;
  readonly storage: Storage;
  /** Addresses of members changed. */
  readonly membersChanged: () => void;
  readonly proposer: Proposer;
  readonly clock: Clock;
};

/** Committed entries → machine → partition logs → waiters, in order, each exactly once. */
export class Applier implements Effects {
  readonly #machine: Machine;
  readonly #storage: Storage;
  readonly membersChanged: () => void;
  readonly #proposer: Proposer;
  readonly #clock: Clock;
  #proposal: Proposal | null = null;

  constructor({ machine, storage, membersChanged, proposer, clock }: ApplierOptions) {
    this.#machine = machine;
    this.#storage = storage;
    this.membersChanged = membersChanged;
    this.#proposer = proposer;
    this.#clock = clock;
    this.attachAll();
  }

  /** The machine is another one now. */
  switched(): void {
    this.attachAll();
    this.membersChanged();
  }

  /** The machine was restored: its partitions get their logs. */
  attachAll(): void {
    for (const topic of this.#machine.broker.topicsById.values()) this.#attach(topic);
  }

  /** @returns the position after the last entry that was applied; at least one is. */
  apply(entries: readonly Entry[], start: number): number {
    const end = this.#clock.monotonic() + TURN_BUDGET_US;
    for (let at = start; at < entries.length; at++) {
      const entry = entries[at] as Entry;
      this.#proposal = this.#proposer.take(entry);
      if (entry.type === "normal" && entry.data.length > 0) this.#machine.apply(entry.data, this);
      this.#proposal = null;
      if (this.#clock.monotonic() > end) return at + 1;
    }
    return entries.length;
  }

  result(position: number, result: CommandResult): void {
    if (this.#proposal !== null) this.#proposer.settle(this.#proposal, position, result);
  }

  append(
    partition: PartitionState,
    batches: Uint8Array,
    baseOffset: Offset,
    timestampMs: Millis,
    count: number,
    logicalBytes: number,
  ): void {
    const handle = handleOf(partition);
    handle.log.append(batches, baseOffset, timestampMs, count, logicalBytes);
    handle.waits.appended(handle.endOffset);
  }

  trimmed(partition: PartitionState): void {
    handleOf(partition).log.trim(partition.lowWatermark);
  }

  topicCreated(topic: TopicState): void {
    for (const { partition } of topic.partitions)
      this.#storage.store.create(topic.topicId, partition);
    this.#attach(topic);
  }

  topicDeleted(topic: TopicState): void {
    for (const partition of topic.partitions) {
      handleOf(partition).waits.wakeAll();
      this.#storage.store.delete(topic.topicId, partition.partition);
    }
  }

  /** The node stops: nobody waits for records any longer. */
  wakeReaders(): void {
    for (const topic of this.#machine.broker.topicsById.values()) {
      for (const partition of topic.partitions) handleOf(partition).waits.wakeAll();
    }
  }

  #attach(topic: TopicState): void {
    for (const partition of topic.partitions) {
      const log = this.#storage.store.get(topic.topicId, partition.partition);
      assert(log !== null, "a checkpoint has a partition log for every partition of its machine");
      partition.attachment = new PartitionHandle(partition, log, new RecordWaits(this.#clock));
    }
  }
}
