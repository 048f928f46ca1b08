import type { PartitionState, TopicState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import { type Redrive, type RedriveAppend, redrive } from "../../queue/commands/redrive.ts";
import { type FoundQueue, findQueue } from "../../queue/find.ts";
import { BatchBuilder } from "../../record/batch-builder.ts";
import { encodeHeaders } from "../../record/headers.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type { Rejected, Result } from "../api.ts";
import type { ReceiveReject, Redriven } from "../queue-api.ts";
import type { Commander } from "../writes/commander.ts";
import { DEAD_PARTITION, DEAD_QUEUE, headersOf, isNotDead } from "./dead-letter.ts";
import { type QueueRecord, readRecords } from "./records.ts";

/** Bounds of one command. */
const CHUNK_RECORDS = 500;
const CHUNK_BYTES = 512 * 1024;
const SECOND_MS = 1_000;

export type RedriverOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
};

type Limits = { readonly max: number; readonly perSecond: number | null };

/** Moves dead letters back to the topics of their queues. */
export class Redriver {
  readonly #options: RedriverOptions;
  /** Queues whose dead letters are being moved back, and when the last run of each has ended. */
  readonly #running = new Map<number, Promise<unknown>>();
  #stopped = false;

  constructor(options: RedriverOptions) {
    this.#options = options;
  }

  /**
   * With a rate, the first second's worth is moved before the answer, and the remainder in the
   * background while this node leads.
   */
  async redrive(queueId: number, limits: Limits): Promise<Result<Redriven, ReceiveReject>> {
    const { max, perSecond } = limits;
    const first = await this.#exclusive(queueId, () =>
      this.#move(queueId, perSecond === null ? max : Math.min(max, perSecond)),
    );
    if (!first.ok) return first;
    if (perSecond !== null && first.moved === perSecond && first.moved < max) {
      void this.#later(queueId, { max: max - first.moved, perSecond });
    }
    return first;
  }

  stop(): void {
    this.#stopped = true;
  }

  async #later(queueId: number, limits: Limits): Promise<void> {
    await new Promise<void>((resolve) => this.#options.clock.after(SECOND_MS, resolve));
    if (!this.#stopped) await this.redrive(queueId, limits);
  }

  /** Runs of one queue come one after the other. */
  async #exclusive<T>(queueId: number, run: () => Promise<T>): Promise<T> {
    const before = this.#running.get(queueId);
    const mine = before === undefined ? run() : before.then(run, run);
    this.#running.set(queueId, mine);
    try {
      return await mine;
    } finally {
      if (this.#running.get(queueId) === mine) this.#running.delete(queueId);
    }
  }

  async #move(queueId: number, max: number): Promise<Result<Redriven, ReceiveReject>> {
    let moved = 0;
    while (moved < max) {
      const found = this.#find(queueId);
      if (found === null) return { ok: false, code: "queue_not_found" };
      const step = await this.#step(found, max - moved);
      if (step === null) break;
      if (typeof step !== "number") return step;
      moved += step;
    }
    const remaining = this.#find(queueId)?.queue.dead ?? 0;
    return { ok: true, moved, remaining };
  }

  /** @returns the number of moved dead letters, or null at the end. */
  async #step(found: FoundQueue, max: number): Promise<number | null | Rejected<ReceiveReject>> {
    const { machine, commander } = this.#options;
    const { queue } = found;
    const dead = machine.broker.topicsById.get(queue.deadTopicId);
    const its = dead === undefined ? undefined : firstUnmoved(queue.redriveFrom, dead);
    if (its === undefined) return null;
    const from = queue.redriveFrom[its.partition] ?? 0;
    const start = Math.max(from, its.lowWatermark);
    let records: QueueRecord[];
    try {
      records = await readRecords(its, start, CHUNK_RECORDS, CHUNK_BYTES);
    } catch (error) {
      if (error instanceof PartitionDamaged) return { ok: false, code: "data_damaged" };
      throw error;
    }
    const chunk = chunkOf(found, records, max);
    const to = chunk.to ?? its.endOffset;
    const { queueId, deadTopicId } = queue;
    const deadPartition = its.partition;
    const outcome = await commander.run({
      kind: redrive,
      fields: { queueId, deadTopicId, deadPartition, from, to, appends: chunk.appends },
      bytes: CHUNK_BYTES,
      grows: true,
      done: (result) => result.moved,
    });
    if (typeof outcome !== "number") return outcome as Rejected<ReceiveReject>;
    // Another leader or a new dead-letter topic came first.
    const isRefused = queue.redriveFrom[deadPartition] === from;
    return isRefused ? null : outcome;
  }

  #find(queueId: number): FoundQueue | null {
    const { machine } = this.#options;
    const found = findQueue(machine.parts.queues, machine.broker, queueId);
    return "ok" in found ? null : found;
  }
}

const firstUnmoved = (
  from: readonly number[],
  { partitions }: TopicState,
): PartitionState | undefined =>
  partitions.find(({ partition, endOffset }) => (from[partition] ?? endOffset) < endOffset);

/** The records of this queue among the dead letters, by partition, as they were. */
function chunkOf(
  { queue, topic }: FoundQueue,
  records: readonly QueueRecord[],
  max: number,
): { readonly appends: Redrive["appends"]; readonly to: number | null } {
  const builders = new Map<number, BatchBuilder>();
  let count = 0;
  let to: number | null = null;
  for (const record of records) {
    if (count >= max) break;
    to = record.offset + 1;
    const headers = headersOf(record);
    const header = (wanted: string) => headers.find(({ name }) => name === wanted)?.value;
    if (header(DEAD_QUEUE) !== queue.name) continue;
    const partition = Number(header(DEAD_PARTITION) ?? 0) % topic.partitions.length || 0;
    const builder = builders.get(partition) ?? new BatchBuilder();
    builders.set(partition, builder);
    builder.add(record.key, record.value, encodeHeaders(headers.filter(isNotDead)));
    count++;
  }
  const appends: RedriveAppend[] = [...builders].map(([partition, builder]) => {
    const { bytes: batches, count: its, logicalBytes } = builder.finish();
    return { partition, count: its, logicalBytes, batches };
  });
  return { appends, to };
}
