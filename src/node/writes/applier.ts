import type { BrokerState, PartitionState, TopicState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { GroupMember } from "../../groups/state.ts";
import type { Millis } from "../../lib/ids.ts";
import type { AnyKind, CommandResult } from "../../machine/commands.ts";
import type { Effects, Machine } from "../../machine/machine.ts";
import { type Checksum, StateChecksum } from "../../machine/state-checksum.ts";
import type { Instruments } from "../../metrics/instruments.ts";
import type { Entry } from "../../raft/types.ts";
import type { Offset } from "../../record/offset.ts";
import type { Emit } from "../events.ts";
import { handleIfAny, handleOf, PartitionHandles, setHandle } from "../partition-handle.ts";
import type { Generation } from "../recovery/generation.ts";
import type { Completions } from "./completions.ts";
import type { Proposal } from "./proposal.ts";

/** Applying for longer than this continues in the next event-loop iteration. */
const TURN_BUDGET_US = 8_000;

export type ApplierOptions = {
  readonly generation: Generation;
  readonly completions: Completions;
  readonly clock: Clock;
  readonly checksumEntries?: number;
  readonly instruments: Pick<Instruments, "stateChecks">;
  readonly emit: Emit;
};

/** Applies committed entries to the machine and the partition logs, and then settles their waiters. */
export class Applier implements Effects {
  readonly #machine: Machine;
  readonly #generation: Generation;
  readonly #completions: Completions;
  readonly #clock: Clock;
  /** Checksum of the applied state, for the comparison with other nodes. */
  readonly stateChecksum: StateChecksum;
  readonly #stateChecks: Instruments["stateChecks"];
  readonly #emit: Emit;
  #proposal: Proposal | null = null;
  /** The state whose partitions have handles. */
  #attached: BrokerState;
  #handles: PartitionHandles;

  constructor(options: ApplierOptions) {
    const { generation, completions, clock } = options;
    const { machine } = generation;
    this.stateChecksum = new StateChecksum(options.checksumEntries);
    this.#stateChecks = options.instruments.stateChecks;
    this.#machine = machine;
    this.#generation = generation;
    this.#completions = completions;
    this.#emit = options.emit;
    this.#clock = clock;
    this.#attached = machine.broker;
    this.#handles = this.#attachAll();
  }

  /**
   * Called after a snapshot has replaced the state. Wakes readers that wait on the old partitions:
   * their records may be in the snapshot, and nothing is appended to the old partitions any more.
   */
  switched(): void {
    this.#handles = this.#attachAll();
    wakeAll(this.#attached);
    this.#attached = this.#machine.broker;
    this.membersChanged();
  }

  /** Called after the machine was restored. Sets the logs of its partitions. */
  #attachAll(): PartitionHandles {
    const handles = new PartitionHandles(this.#generation.store, this.#clock);
    for (const topic of this.#machine.broker.topicsById.values()) attach(topic, handles);
    return handles;
  }

  /** @returns the position after the last applied entry. At least one entry is applied. */
  apply(entries: readonly Entry[], start: number): number {
    const end = this.#clock.monotonic() + TURN_BUDGET_US;
    for (let at = start; at < entries.length; at++) {
      const entry = entries[at] as Entry;
      this.#proposal = this.#completions.take(entry);
      this.stateChecksum.begin(entry.index);
      if (entry.type === "normal" && entry.data.length > 0) this.#machine.apply(entry.data, this);
      this.stateChecksum.end(entry.index, this.#machine);
      this.#proposal = null;
      if (this.#clock.monotonic() > end) return at + 1;
    }
    return entries.length;
  }

  result(position: number, result: CommandResult, kind: AnyKind): void {
    this.stateChecksum.result(kind, result);
    if (this.#proposal !== null) this.#completions.settle(this.#proposal, position, result);
  }

  membersChanged(): void {
    this.#emit({ type: "members_changed" });
  }

  groupMemberChanged(member: GroupMember): void {
    this.#emit({ type: "group_member_changed", member });
  }

  /** @throws StateDiverged, after which this node must not answer any more. */
  checksum(checksum: Checksum): void {
    if (this.stateChecksum.compare(checksum)) this.#stateChecks.value++;
  }

  append(
    partition: PartitionState,
    batches: Uint8Array,
    baseOffset: Offset,
    timestampMs: Millis,
    count: number,
    logicalBytes: number,
  ): void {
    this.stateChecksum.numbers(partition.topicId, partition.partition);
    const handle = handleOf(partition);
    handle.log.append(batches, baseOffset, timestampMs, count, logicalBytes);
    handle.waits.appended(handle.endOffset);
  }

  streamChanged(partition: PartitionState): void {
    handleIfAny(partition)?.waits.wakeAll();
  }

  trimmed(partition: PartitionState): void {
    this.stateChecksum.numbers(partition.topicId, partition.lowWatermark);
    handleOf(partition).log.trim(partition.lowWatermark);
  }

  topicCreated(topic: TopicState): void {
    for (const { partition } of topic.partitions)
      this.#generation.store.create(topic.topicId, partition);
    attach(topic, this.#handles);
  }

  topicDeleted(topic: TopicState): void {
    for (const partition of topic.partitions) {
      handleIfAny(partition)?.waits.wakeAll();
      this.#handles.forget(partition);
      this.#generation.store.delete(topic.topicId, partition.partition);
    }
  }

  /** Ends all waits for records, because the node stops. */
  wakeReaders(): void {
    wakeAll(this.#machine.broker);
  }
}

function attach(topic: TopicState, handles: PartitionHandles): void {
  for (const partition of topic.partitions) setHandle(partition, handles);
}

function wakeAll(state: BrokerState): void {
  for (const topic of state.topicsById.values()) {
    for (const partition of topic.partitions) handleIfAny(partition)?.waits.wakeAll();
  }
}
