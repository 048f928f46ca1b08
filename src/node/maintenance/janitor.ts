import { trim } from "../../broker/commands/trim.ts";
import { type EffectiveRetention, effectiveRetention } from "../../broker/retention.ts";
import type { PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import { nextUrgentAt } from "../../machine/due.ts";
import type { Machine } from "../../machine/machine.ts";
import type { StateChecksum } from "../../machine/state-checksum.ts";
import { checksum } from "../../machine/state-checksum.ts";
import { tick } from "../../machine/tick.ts";
import type { Offset } from "../../record/offset.ts";
import { OffsetTrimmed, PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Emit } from "../events.ts";
import { handleOf } from "../partition-handle.ts";
import type { Commander } from "../writes/commander.ts";
import { FirstRecordTimes } from "./first-record-times.ts";

const SWEEP_EVERY_MS = 1_000;
/** Leases and other things that fall due end at most this late. */
const DUE_EVERY_MS = 100;
/** Maximum keys that one tick drops, so that its entry is applied quickly. */
const TICKS_WHEN_OVERFULL = 10;
/** A pass over many partitions pauses after this time, so that requests are not delayed. */
const SLICE_BUDGET_US = 4_000;
const REST_MS = 10;

export type JanitorOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly replica: { readonly isLeader: boolean };
  readonly stateChecksum: StateChecksum;
  /** Changes the number of idempotency keys that a partition may retain, if that is due. */
  readonly broker: { configure(): void };
  /** Offsets that exports hold back from retention, and for how long. */
  readonly hold?: RetentionHold;
  readonly emit: Emit;
};

export type RetentionHold = {
  /** The first offset of a partition that must stay; null: none. */
  readonly from: (partition: PartitionState) => number | null;
  readonly ms: number;
};

/**
 * The periodic work of the leader, once a second: it proposes the deletions that are due. The log
 * entry determines what is deleted, not the clock of a node, so every node deletes the same data.
 */
export class Janitor {
  readonly #options: JanitorOptions;
  readonly #firstTimes = new FirstRecordTimes();
  #cancel: (() => void) | null = null;
  #cancelDue: (() => void) | null = null;
  #stopped = false;
  /** Last entry of the range whose state checksum was proposed last. */
  #announced = 0;

  constructor(options: JanitorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#later();
    this.#endDueLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancelDue?.();
  }

  /** Proposes a tick if something is due. A few comparisons are all that it costs otherwise. */
  #endDueLater(): void {
    const { machine, clock, replica, commander } = this.#options;
    this.#cancelDue = clock.after(DUE_EVERY_MS, () => {
      if (replica.isLeader && nextUrgentAt(machine) <= this.#nowMs()) commander.housekeep(tick, {});
      if (!this.#stopped) this.#endDueLater();
    });
  }

  /** Runs one pass. Resolves when everything that is due was proposed. */
  async sweep(): Promise<void> {
    const { machine, commander } = this.#options;
    const expiry = machine.nextExpiry();
    const ticks = machine.broker.isOverfull ? TICKS_WHEN_OVERFULL : 1;
    if (expiry !== null && expiry <= this.#nowMs()) {
      for (let i = 0; i < ticks; i++) commander.housekeep(tick, {});
    }
    this.#options.broker.configure();
    this.#announceChecksum();
    await this.#sweepRetention();
  }

  #announceChecksum(): void {
    const { stateChecksum, commander } = this.#options;
    const { newest } = stateChecksum;
    if (newest === null || newest.index <= this.#announced) return;
    this.#announced = newest.index;
    commander.housekeep(checksum, newest);
  }

  #later(): void {
    const { clock, replica, emit } = this.#options;
    this.#cancel = clock.after(SWEEP_EVERY_MS, () => {
      const done = replica.isLeader ? this.sweep() : Promise.resolve();
      done.then(
        () => {
          if (this.#stopped) return;
          emit({ type: "maintained" });
          this.#later();
        },
        (error: unknown) => emit({ type: "failed", error }),
      );
    });
  }

  async #sweepRetention(): Promise<void> {
    const { machine, clock } = this.#options;
    // No policy was ever set.
    if (machine.broker.retentionRevision === 0) return;
    let sliceEnd = clock.monotonic() + SLICE_BUDGET_US;
    for (const limited of limitedPartitions(machine)) {
      if (limited !== null) await this.#tryTrim(...limited);
      if (clock.monotonic() <= sliceEnd) continue;
      await new Promise<void>((resolve) => clock.after(REST_MS, resolve));
      if (this.#stopped) return;
      sliceEnd = clock.monotonic() + SLICE_BUDGET_US;
    }
  }

  async #tryTrim(partition: PartitionState, policy: EffectiveRetention): Promise<void> {
    try {
      await this.#trim(partition, policy);
    } catch (error) {
      // Trimmed concurrently, or damaged and not repaired yet: the next pass handles the remainder.
      const isPassing = error instanceof OffsetTrimmed || error instanceof PartitionDamaged;
      if (!isPassing) throw error;
    }
  }

  async #trim(partition: PartitionState, policy: EffectiveRetention): Promise<void> {
    const isTooOld = policy.ttlMs !== null && !this.#isYoung(partition, policy.ttlMs);
    const isTooLarge = policy.maxBytes !== null && bytesOf(partition) > policy.maxBytes;
    if (!isTooOld && !isTooLarge) return;
    const { log } = handleOf(partition);
    const byAge = isTooOld ? await this.#offsetByAge(partition, policy.ttlMs) : 0;
    const bySize = await this.#offsetBySize(partition, policy.maxBytes);
    const wanted = Math.max(byAge, bySize);
    if (isTooOld && byAge <= partition.lowWatermark) await this.#firstTimes.note(partition, log);
    const beforeOffset = (await this.#heldBack(partition, policy, wanted)) as Offset;
    if (beforeOffset <= partition.lowWatermark || log.deleted) return;
    const bytesBefore = await log.bytesBefore(beforeOffset);
    this.#options.commander.housekeep(trim, {
      topicId: partition.topicId,
      partition: partition.partition,
      beforeOffset,
      bytesBefore,
      policyRevision: policy.revision,
    });
  }

  /** Lets records stay that an export holds, unless they are older than the hold allows. */
  async #heldBack(
    partition: PartitionState,
    { ttlMs }: EffectiveRetention,
    wanted: number,
  ): Promise<number> {
    const { hold } = this.#options;
    const from = hold?.from(partition) ?? null;
    if (hold === undefined || from === null || wanted <= from) return wanted;
    const oldest = this.#nowMs() - (ttlMs ?? 0) - hold.ms;
    const tooOld = oldest <= 0 ? 0 : await handleOf(partition).log.offsetAtTime(oldest);
    return Math.min(wanted, Math.max(from, tooOld));
  }

  /** True if it is known that no record is older than the time to live. */
  #isYoung(partition: PartitionState, ttlMs: number): boolean {
    return this.#firstTimes.isYoung(partition, this.#nowMs() - ttlMs + 1);
  }

  /** Finds the first record that is younger than the time to live. */
  #offsetByAge(partition: PartitionState, ttlMs: number | null): number | Promise<number> {
    if (ttlMs === null) return 0;
    const firstKeptMs = this.#nowMs() - ttlMs + 1;
    const { log } = handleOf(partition);
    const oldest = log.segments[0];
    if (firstKeptMs <= 0 || oldest === undefined || oldest.firstTimestampMs >= firstKeptMs)
      return 0;
    return log.offsetAtTime(firstKeptMs);
  }

  /** Finds the first record from which on all records fit into `maxBytes`. */
  #offsetBySize(partition: PartitionState, maxBytes: number | null): number | Promise<number> {
    if (maxBytes === null) return 0;
    return bytesOf(partition) <= maxBytes
      ? 0
      : handleOf(partition).log.offsetAtBytes(partition.bytesEnd - maxBytes);
  }

  #nowMs(): number {
    return Math.max(this.#options.machine.now, this.#options.clock.now());
  }
}

const bytesOf = ({ bytesEnd, bytesBelowLow }: PartitionState): number => bytesEnd - bytesBelowLow;

/** Partitions without a policy that are looked at before the caller may pause. */
const LOOKS = 256;

/** Yields the partitions that have records and a retention policy, and null now and then. */
function* limitedPartitions(
  machine: Machine,
): Generator<[PartitionState, EffectiveRetention] | null> {
  let looks = 0;
  for (const topic of [...machine.broker.userTopics.values()]) {
    for (const partition of topic.partitions) {
      if (partition.endOffset === partition.lowWatermark) continue;
      const policy = effectiveRetention(machine.broker, topic.topicId, partition.partition);
      if (policy.ttlMs !== null || policy.maxBytes !== null) yield [partition, policy];
      else if (++looks % LOOKS === 0) yield null;
    }
  }
}
