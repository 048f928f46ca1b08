import { deleteBefore } from "../../broker/commands/delete-before.ts";
import { findTopic, type PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import { deleteCron, putCron } from "../../later/commands/crons.ts";
import { deleteScheduled } from "../../later/commands/delete-scheduled.ts";
import { deliverScheduled } from "../../later/commands/deliver-scheduled.ts";
import type { Pending } from "../../later/pending.ts";
import { CLASSES, classOfId, PENDING_TOPIC } from "../../later/state.ts";
import { assert } from "../../lib/assert.ts";
import type { Machine } from "../../machine/machine.ts";
import type { WorkSample } from "../../metrics/sources.ts";
import type { EncodedRecords } from "../../record/batch-builder.ts";
import {
  batchBaseOffset,
  batchCount,
  batchLength,
  batchLogicalBytes,
} from "../../record/batch-header.ts";
import type { Offset } from "../../record/offset.ts";
import { OffsetTrimmed, PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Emit } from "../events.ts";
import type {
  CronSummary,
  LaterApi,
  ListScheduledRequest,
  ScheduledSummary,
} from "../later-api.ts";
import { handleOf } from "../partition-handle.ts";
import type { Commander } from "../writes/commander.ts";
import type { Producer } from "../writes/producer.ts";
import { CronRunner } from "./cron-runner.ts";
import { Scheduler } from "./scheduler.ts";
import { InvalidCron, Slots } from "./slots.ts";

/** Deliveries that are proposed and not applied yet. */
const IN_FLIGHT_MAX = 2_000;
/** Bytes of them, and one delivery more. Other writes share the queue of commands. */
const IN_FLIGHT_BYTES = 8 * 1024 * 1024;
/** Disk space is released this often. */
const RELEASE_EVERY_MS = 10_000;
/** Records of deleted topics that are forgotten at a time. */
const ORPHANS_MAX = 10_000;
/** The longest sleep. Something may become due earlier than was known. */
const SLEEP_MS_MAX = 1_000;
/** After a record could not be read, or the log refused one. */
const RETRY_MS = 1_000;
/** While a record that is due cannot be read, the others are looked for this often. */
const LOOK_EVERY_MS = 20;
/** Schedules with series of their own. */
const SAMPLES_MAX = 100;

/** The bytes of records that wait. `damaged`: no peer has restored them in time. */
type Found = Pick<EncodedRecords, "bytes" | "logicalBytes"> | "damaged" | "missing";

export type LaterOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly producer: Pick<Producer, "topicFor" | "choosePartition">;
  /** The cluster time. */
  readonly clock: Clock;
  readonly replica: { readonly isLeader: boolean };
  readonly emit: Emit;
};

/** Produces records later: those that wait once, and those of schedules. The leader delivers. */
export class Later implements LaterApi {
  readonly #options: LaterOptions;
  readonly #crons: CronRunner;
  /** By id, with the bytes of each. */
  readonly #inFlight = new Map<number, number>();
  #inFlightBytes = 0;
  /** Records that could not be read, and when they are read again. */
  readonly #unreadable = new Map<number, number>();
  /** The log refused a record: nothing is delivered before this time. */
  #refusedUntil = 0;
  #cancel: (() => void) | null = null;
  /** When the timer runs out, in milliseconds of the monotonic clock. */
  #wakesAt = Number.POSITIVE_INFINITY;
  #releasedAt = 0;
  /** The topics among which every waiting record had its topic. */
  #topicsSeen = "";
  #isRunning = false;
  #stopped = false;
  /** Counts how often this node has begun or ceased to lead. */
  #changes = 0;

  constructor(options: LaterOptions) {
    this.#options = options;
    this.#crons = new CronRunner(options);
    this.schedule = new Scheduler(options).schedule;
  }

  readonly schedule: LaterApi["schedule"];

  readonly deleteScheduled: LaterApi["deleteScheduled"] = async (scheduleId) => {
    const { commander } = this.#options;
    return await commander.run({
      kind: deleteScheduled,
      fields: { scheduleId },
      bytes: 64,
      done: () => ({ ok: true }),
    });
  };

  readonly listScheduled = (request: ListScheduledRequest): readonly ScheduledSummary[] => {
    const { topic, after, limit } = request;
    const list: ScheduledSummary[] = [];
    const { pending: all } = this.#options.machine.parts.later;
    for (let itsClass = 0; itsClass < CLASSES; itsClass++) {
      let found = 0;
      for (const pending of all.ofClass(itsClass, after)) {
        if (found >= limit) break;
        const summary = this.#summaryOf(pending);
        if (summary === null || (topic !== null && summary.topic !== topic)) continue;
        list.push(summary);
        found++;
      }
    }
    return list.sort((a, b) => a.scheduleId - b.scheduleId).slice(0, limit);
  };

  readonly findScheduled = (scheduleId: number): ScheduledSummary | null => {
    const pending = this.#options.machine.parts.later.pending.find(scheduleId);
    return pending === undefined ? null : this.#summaryOf(pending);
  };

  readonly putCron: LaterApi["putCron"] = async (name, definition) => {
    const { commander, clock } = this.#options;
    // Slots that are due by the present definition are produced before it is replaced.
    if (commander.isCurrent) this.#crons.run(() => this.applied());
    let nextMs: number | null;
    try {
      nextMs = new Slots(definition.cron, definition.tz).after(clock.now());
    } catch (error) {
      if (error instanceof InvalidCron) {
        return { ok: false, code: "invalid_cron", message: error.message };
      }
      throw error;
    }
    if (nextMs === null) {
      const message = `cron expression "${definition.cron}": it names no time that will come`;
      return { ok: false, code: "invalid_cron", message };
    }
    return await commander.run({
      kind: putCron,
      fields: { name, definition, nextMs },
      bytes: 512 + definition.value.length,
      grows: true,
      done: ({ created }) => ({ ok: true, created }),
    });
  };

  readonly deleteCron: LaterApi["deleteCron"] = (name) =>
    this.#options.commander.run({
      kind: deleteCron,
      fields: { name },
      bytes: 512,
      done: () => ({ ok: true }),
    }) as ReturnType<LaterApi["deleteCron"]>;

  readonly listCrons = (): readonly CronSummary[] =>
    [...this.#options.machine.parts.later.crons.values()]
      .map(({ definition, name, nextMs, lastMs, runs, missed }) => ({
        ...definition,
        name,
        nextMs,
        lastMs,
        runs,
        missed,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));

  /** Samples for metrics. */
  sample(): Omit<WorkSample, "queues" | "webhooks" | "exports"> {
    const { pending, crons } = this.#options.machine.parts.later;
    const schedules = [...crons.values()]
      .slice(0, SAMPLES_MAX)
      .map(({ name, runs, missed }) => ({ schedule: name, runs, missed }));
    const lateSeconds = pending.lateness(this.#options.clock.now()) / 1000;
    return { waiting: pending.size, lateSeconds, schedules };
  }

  /** Called at most once per event-loop iteration, after the machine has applied entries. */
  applied(): void {
    if (this.#options.replica.isLeader) this.#wakeFor(this.#nextAt());
  }

  /** Called when this node begins or ceases to lead. */
  roleChanged(): void {
    this.#changes++;
    this.#inFlight.clear();
    this.#inFlightBytes = 0;
    this.#unreadable.clear();
    this.#refusedUntil = 0;
    this.#topicsSeen = "";
    this.#crons.reset();
    this.#cancel?.();
    this.#cancel = null;
    this.#wakesAt = Number.POSITIVE_INFINITY;
    if (this.#options.replica.isLeader) this.#wakeFor(0);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #nextAt(): number {
    const { machine, clock } = this.#options;
    // The next one is looked for when something in flight is applied.
    let next = this.#isFull ? Number.POSITIVE_INFINITY : machine.parts.later.pending.nextAt();
    if (this.#unreadable.size > 0) next = Math.max(next, clock.now() + LOOK_EVERY_MS);
    return Math.max(this.#refusedUntil, Math.min(next, this.#crons.nextAt()));
  }

  /** Sets the timer, unless it runs out earlier. */
  #wakeFor(dueAt: number): void {
    const { clock, machine } = this.#options;
    const { pending, crons } = machine.parts.later;
    if (this.#stopped || this.#isRunning || (pending.size === 0 && crons.size === 0)) return;
    const delayMs = Math.min(SLEEP_MS_MAX, Math.max(1, dueAt - clock.now()));
    const wakesAt = clock.monotonic() / 1000 + delayMs;
    if (wakesAt >= this.#wakesAt) return;
    this.#cancel?.();
    this.#wakesAt = wakesAt;
    this.#cancel = clock.after(delayMs, () => this.#wake());
  }

  #wake(): void {
    this.#cancel = null;
    this.#wakesAt = Number.POSITIVE_INFINITY;
    this.#isRunning = true;
    this.#run().then(
      (nextAt) => {
        this.#isRunning = false;
        if (this.#options.replica.isLeader) this.#wakeFor(nextAt);
      },
      (error: unknown) => this.#options.emit({ type: "failed", error }),
    );
  }

  /** @returns when to run again. */
  async #run(): Promise<number> {
    const { commander, replica, clock } = this.#options;
    if (!replica.isLeader || (await commander.whenCurrent()) !== null)
      return clock.now() + RETRY_MS;
    const isRefused = this.#crons.run(() => this.applied()) || !(await this.#deliverDue());
    if (isRefused) this.#refusedUntil = clock.now() + RETRY_MS;
    if (replica.isLeader) await this.#releaseSpace();
    return this.#nextAt();
  }

  /** @returns false if the log refused one. */
  async #deliverDue(): Promise<boolean> {
    const changes = this.#changes;
    for (const pending of this.#due()) {
      if (this.#isFull) break;
      const records = await this.#read(pending);
      // After a change of leaders, another one may have delivered them and released their space, or
      // a snapshot has replaced the partition.
      if (changes !== this.#changes) break;
      if (!this.#deliver(pending, records)) return false;
    }
    return true;
  }

  /** Records that are due, and neither in flight nor damaged, in the order in which they fall due. */
  #due(): readonly Pending[] {
    const { machine, clock } = this.#options;
    const now = clock.now();
    for (const [id, again] of this.#unreadable) if (again <= now) this.#unreadable.delete(id);
    const due: Pending[] = [];
    for (const pending of machine.parts.later.pending.due(now)) {
      if (this.#inFlight.size + due.length >= IN_FLIGHT_MAX) break;
      const { id } = pending;
      if (!this.#inFlight.has(id) && !this.#unreadable.has(id)) due.push(pending);
    }
    return due.sort((a, b) => a.dueAt - b.dueAt || a.id - b.id);
  }

  get #isFull(): boolean {
    return this.#inFlight.size >= IN_FLIGHT_MAX || this.#inFlightBytes >= IN_FLIGHT_BYTES;
  }

  /** @returns false if the log refused the records. */
  #deliver(pending: Pending, records: Found): boolean {
    const { commander, clock } = this.#options;
    assert(records !== "missing", "records that wait are there");
    if (records === "damaged") {
      this.#unreadable.set(pending.id, clock.now() + RETRY_MS);
      return true;
    }
    const { bytes: batches, logicalBytes } = records;
    let isRefused = false;
    this.#inFlight.set(pending.id, batches.length);
    this.#inFlightBytes += batches.length;
    commander.start(
      {
        kind: deliverScheduled,
        fields: { scheduleId: pending.id, logicalBytes, batches },
        bytes: 128 + batches.length,
        grows: true,
        done: () => null,
      },
      (outcome) => {
        isRefused = outcome !== null;
        this.#inFlightBytes -= this.#inFlight.get(pending.id) ?? 0;
        this.#inFlight.delete(pending.id);
      },
    );
    return !isRefused;
  }

  async #read({ id, offset, count, topicId }: Pending): Promise<Found> {
    const { broker } = this.#options.machine;
    const store = findTopic(broker, PENDING_TOPIC)?.partitions[classOfId(id)];
    if (store === undefined || !broker.topicsById.has(topicId)) {
      return { bytes: new Uint8Array(0), logicalBytes: 0 };
    }
    try {
      return await batchesOf(store, offset, count);
    } catch (error) {
      if (error instanceof PartitionDamaged) return "damaged";
      throw error;
    }
  }

  /** Deletes what is not needed any more from the topic of the records that wait. */
  async #releaseSpace(): Promise<void> {
    const { machine, clock, commander } = this.#options;
    const now = clock.now();
    if (now - this.#releasedAt < RELEASE_EVERY_MS) return;
    this.#releasedAt = now;
    this.#forgetOrphans();
    const topic = findTopic(machine.broker, PENDING_TOPIC);
    const changes = this.#changes;
    for (const store of topic?.partitions ?? []) {
      const oldest = oldestOf(machine, store.partition);
      const beforeOffset = (oldest?.offset ?? store.endOffset) as Offset;
      if (beforeOffset <= store.lowWatermark) continue;
      const bytesBefore = await bytesBelow(store, beforeOffset);
      // A snapshot may have replaced the partitions.
      if (changes !== this.#changes) return;
      if (bytesBefore === null) continue;
      const { topicId, partition } = store;
      commander.housekeep(deleteBefore, { topicId, partition, beforeOffset, bytesBefore });
    }
  }

  /** Records of deleted topics would count as waiting, and keep their space, until they are due. */
  #forgetOrphans(): void {
    const { machine, commander } = this.#options;
    const { topicsById, nextTopicId } = machine.broker;
    const topics = `${nextTopicId} ${topicsById.size}`;
    if (topics === this.#topicsSeen) return;
    let left = ORPHANS_MAX;
    for (const { id, topicId } of machine.parts.later.pending.values()) {
      if (topicsById.has(topicId)) continue;
      if (left-- === 0 || !commander.housekeep(deleteScheduled, { scheduleId: id })) return;
    }
    this.#topicsSeen = topics;
  }

  #summaryOf({ id, topicId, partition, count, dueAt }: Pending): ScheduledSummary | null {
    const topic = this.#options.machine.broker.topicsById.get(topicId);
    if (topic === undefined) return null;
    return { scheduleId: id, topic: topic.name, partition, count, deliverAtMs: dueAt };
  }
}

/** The record of a class that has waited longest. Its partition of `PENDING_TOPIC` begins with it. */
const oldestOf = (machine: Machine, itsClass: number): Pending | undefined =>
  machine.parts.later.pending.ofClass(itsClass).next().value ?? undefined;

/** The batches of one produce, which begin at `offset`. @throws PartitionDamaged */
async function batchesOf(store: PartitionState, offset: number, count: number): Promise<Found> {
  const parts: Uint8Array[] = [];
  let logicalBytes = 0;
  for (let next = offset; next < offset + count; ) {
    const slices = await handleOf(store).log.read(next, offset + count - next, 1024 * 1024);
    const before = next;
    for (const slice of slices) {
      for (let at = 0; at < slice.length && next < offset + count; ) {
        const length = batchLength(slice, at);
        if (batchBaseOffset(slice, at) === next) {
          parts.push(slice.slice(at, at + length));
          logicalBytes += batchLogicalBytes(slice, at);
          next += batchCount(slice, at);
        }
        at += length;
      }
    }
    if (next === before) return "missing";
  }
  return { bytes: Buffer.concat(parts) as Uint8Array, logicalBytes };
}

async function bytesBelow(store: PartitionState, offset: Offset): Promise<number | null> {
  try {
    return await handleOf(store).log.bytesBefore(offset);
  } catch (error) {
    if (error instanceof OffsetTrimmed || error instanceof PartitionDamaged) return null;
    throw error;
  }
}
