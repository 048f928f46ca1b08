import { type EffectiveRetention, effectiveRetention } from "../../broker/retention.ts";
import type { PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import { encodeChecksum, encodeTick, encodeTrim } from "../../machine/command-codec.ts";
import type { Machine } from "../../machine/machine.ts";
import type { StateChecksum } from "../../machine/state-checksum.ts";
import type { Offset } from "../../record/offset.ts";
import { OffsetTrimmed, PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Emit } from "../events.ts";
import { handleOf } from "../partition-handle.ts";
import type { Commander } from "../writes/commander.ts";

const SWEEP_EVERY_MS = 1_000;
/** A tick drops few keys, so that its entry is applied quickly; after a lower limit, many are due. */
const TICKS_WHEN_OVERFULL = 10;
/** A sweep over many partitions rests after this long, so that requests get their turn. */
const SLICE_BUDGET_US = 4_000;
const REST_MS = 10;

export type JanitorOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
  readonly replica: { readonly isLeader: boolean };
  readonly stateChecksum: StateChecksum;
  /** Lowers or raises what a partition may keep of idempotency keys, if that is due. */
  readonly broker: { configure(): void };
  readonly emit: Emit;
};

/**
 * The leader's housekeeping, once a second: it looks what is due and proposes it. What falls is
 * decided by the entry and not by anybody's clock, so every node removes the same.
 */
export class Janitor {
  readonly #options: JanitorOptions;
  #cancel: (() => void) | null = null;
  #stopped = false;
  /** Last entry of the run that was announced last. */
  #announced = 0;

  constructor(options: JanitorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#later();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** One pass over everything; resolves when all that is due was proposed. */
  async sweep(): Promise<void> {
    const { machine, commander } = this.#options;
    const expiry = machine.nextExpiry();
    const ticks = machine.broker.isOverfull ? TICKS_WHEN_OVERFULL : 1;
    if (expiry !== null && expiry <= this.#nowMs()) {
      for (let i = 0; i < ticks; i++) commander.housekeep(encodeTick);
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
    commander.housekeep((writer) => encodeChecksum(writer, newest));
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
    let sliceEnd = clock.monotonic() + SLICE_BUDGET_US;
    for (const [partition, policy] of limitedPartitions(machine)) {
      await this.#tryTrim(partition, policy);
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
      // Trimmed while we looked, or damaged and not healed yet: the next sweep sees what is left.
      const isPassing = error instanceof OffsetTrimmed || error instanceof PartitionDamaged;
      if (!isPassing) throw error;
    }
  }

  async #trim(partition: PartitionState, policy: EffectiveRetention): Promise<void> {
    const { log } = handleOf(partition);
    const byAge = await this.#offsetByAge(partition, policy.ttlMs);
    const bySize = await this.#offsetBySize(partition, policy.maxBytes);
    const beforeOffset = Math.max(byAge, bySize) as Offset;
    if (beforeOffset <= partition.lowWatermark || log.deleted) return;
    const bytesBefore = await log.bytesBefore(beforeOffset);
    this.#options.commander.housekeep((writer) =>
      encodeTrim(writer, {
        topicId: partition.topicId,
        partition: partition.partition,
        beforeOffset,
        bytesBefore,
        policyRevision: policy.revision,
      }),
    );
  }

  /** The first record that is younger than its time to live. */
  #offsetByAge(partition: PartitionState, ttlMs: number | null): number | Promise<number> {
    if (ttlMs === null) return 0;
    const firstKeptMs = this.#nowMs() - ttlMs + 1;
    const { log } = handleOf(partition);
    const oldest = log.segments[0];
    if (firstKeptMs <= 0 || oldest === undefined || oldest.firstTimestampMs >= firstKeptMs)
      return 0;
    return log.offsetAtTime(firstKeptMs);
  }

  /** The first record from which on all fits. */
  #offsetBySize(partition: PartitionState, maxBytes: number | null): number | Promise<number> {
    if (maxBytes === null) return 0;
    const kept = partition.bytesEnd - partition.bytesBelowLow;
    return kept <= maxBytes
      ? 0
      : handleOf(partition).log.offsetAtBytes(partition.bytesEnd - maxBytes);
  }

  #nowMs(): number {
    return Math.max(this.#options.machine.now, this.#options.clock.now());
  }
}

/** The partitions that hold records under some policy, looked up one by one. */
function* limitedPartitions(machine: Machine): Generator<[PartitionState, EffectiveRetention]> {
  for (const topic of [...machine.broker.topicsById.values()]) {
    for (const partition of topic.partitions) {
      if (partition.endOffset === partition.lowWatermark) continue;
      const policy = effectiveRetention(machine.broker, topic.topicId, partition.partition);
      if (policy.ttlMs !== null || policy.maxBytes !== null) yield [partition, policy];
    }
  }
}
