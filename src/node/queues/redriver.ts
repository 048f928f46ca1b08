import type { PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import type { Machine } from "../../machine/machine.ts";
import { planRedrive } from "../../queue/commands/plan-redrive.ts";
import {
  type Redrive,
  type RedriveAppend,
  redrive,
  redrivePlanned,
} from "../../queue/commands/redrive.ts";
import { deadLetters, type FoundQueue, findQueue } from "../../queue/find.ts";
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
const PLAN_BYTES = 64;
const SECOND_MS = 1_000;
const ALL = Number.POSITIVE_INFINITY;

export type RedriverOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly clock: Clock;
};

/** Moves dead letters back to the topics of their queues. */
export class Redriver {
  readonly #options: RedriverOptions;
  /** Queues whose dead letters are being moved back, and when the last run of each has ended. */
  readonly #running = new Map<number, Promise<unknown>>();
  /** Queues whose dead letters could not be moved, and when the next attempt is due. */
  readonly #resting = new Map<number, number>();

  constructor(options: RedriverOptions) {
    this.#options = options;
  }

  /** Moves them at once. @param max null: all. */
  async redrive(queueId: number, max: number | null): Promise<Result<Redriven, ReceiveReject>> {
    return await this.#exclusive(queueId, () => this.#move(queueId, max ?? ALL, null));
  }

  /** Moves the first second's worth before the answer. `goOn` moves the others. */
  async begin(
    queueId: number,
    perSecond: number,
    max: number | null,
  ): Promise<Result<Redriven, ReceiveReject>> {
    const planned = await this.#plan(queueId, perSecond, max);
    if ("code" in planned) return planned;
    return await this.#exclusive(queueId, () => this.#step(queueId));
  }

  /** Ends what `begin` began. @returns whether there was something to end. */
  async end(queueId: number): Promise<{ readonly replaced: boolean } | Rejected<ReceiveReject>> {
    return await this.#plan(queueId, 0, null);
  }

  /** Called on the leader again and again: moves what is due, without waiting for it. */
  goOn({ queue: { queueId, redrive: plan } }: FoundQueue): void {
    const now = this.#options.clock.now();
    if (plan === null || plan.nextAt > now || this.#running.has(queueId)) return;
    if ((this.#resting.get(queueId) ?? 0) > now) return;
    this.#resting.delete(queueId);
    const rest = (): void => {
      this.#resting.set(queueId, now + SECOND_MS);
    };
    this.#exclusive(queueId, () => this.#step(queueId)).then(({ ok }) => {
      if (!ok) rest();
    }, rest);
  }

  #plan(queueId: number, perSecond: number, max: number | null) {
    return this.#options.commander.run({
      kind: planRedrive,
      fields: { queueId, perSecond, max },
      bytes: PLAN_BYTES,
      done: ({ replaced }) => ({ replaced }),
    });
  }

  /** Moves as many as the plan allows in a second. */
  async #step(queueId: number): Promise<Result<Redriven, ReceiveReject>> {
    const plan = this.#find(queueId)?.queue.redrive ?? null;
    const now = this.#options.clock.now();
    // Another run has moved this second's worth, or the plan has ended.
    if (plan === null || plan.nextAt > now) return this.#result(queueId, 0);
    const isLate = now - plan.nextAt > SECOND_MS;
    const nextAt = (isLate ? now : plan.nextAt) + SECOND_MS;
    const wanted = Math.min(plan.left ?? ALL, plan.perSecond);
    const outcome = await this.#move(queueId, wanted, nextAt);
    // A plan that has moved all of them ends. It may be another one by now.
    const isOver = outcome.ok && outcome.moved < wanted && this.#unmoved(queueId) === undefined;
    if (isOver) await this.#plan(queueId, 0, null);
    return outcome;
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

  /** @param nextAt when the plan goes on; null: the move does not belong to a plan. */
  async #move(
    queueId: number,
    max: number,
    nextAt: number | null,
  ): Promise<Result<Redriven, ReceiveReject>> {
    let moved = 0;
    while (moved < max) {
      const found = this.#find(queueId);
      if (found === null) return { ok: false, code: "queue_not_found" };
      const chunk = await this.#chunk(found, max - moved, nextAt);
      if (chunk === null) break;
      if (typeof chunk !== "number") return chunk;
      moved += chunk;
    }
    return this.#result(queueId, moved);
  }

  #result(queueId: number, moved: number): Result<Redriven, ReceiveReject> {
    const found = this.#find(queueId);
    const remaining = found === null ? 0 : deadLetters(found, this.#options.machine.broker);
    return { ok: true, moved, remaining };
  }

  /** @returns the number of moved dead letters, or null at the end. */
  async #chunk(
    found: FoundQueue,
    max: number,
    nextAt: number | null,
  ): Promise<number | null | Rejected<ReceiveReject>> {
    const { commander } = this.#options;
    const { queue } = found;
    const its = this.#unmoved(queue.queueId);
    if (its === undefined) return null;
    // Dead letters that come while these are read are not passed over.
    const end = its.endOffset;
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
    const to = chunk.to ?? Math.min(end, Math.max(start, its.lowWatermark));
    const { queueId, deadTopicId } = queue;
    const deadPartition = its.partition;
    const fields = { queueId, deadTopicId, deadPartition, from, to, appends: chunk.appends };
    const shared = { bytes: CHUNK_BYTES, grows: true, done: movedOf };
    const outcome =
      nextAt === null
        ? await commander.run({ kind: redrive, fields, ...shared })
        : await commander.run({ kind: redrivePlanned, fields: { ...fields, nextAt }, ...shared });
    if (typeof outcome !== "number") return outcome;
    // Another leader or a new dead-letter topic came first.
    const isRefused = queue.redriveFrom[deadPartition] === from;
    return isRefused ? null : outcome;
  }

  /** A partition with dead letters that were not moved back. */
  #unmoved(queueId: number): PartitionState | undefined {
    const { deadTopicId, redriveFrom } = this.#find(queueId)?.queue ?? {};
    const dead = this.#options.machine.broker.topicsById.get(deadTopicId ?? 0);
    return dead?.partitions.find(
      ({ partition, endOffset }) => (redriveFrom?.[partition] ?? endOffset) < endOffset,
    );
  }

  #find(queueId: number): FoundQueue | null {
    const { machine } = this.#options;
    const found = findQueue(machine.parts.queues, machine.broker, queueId);
    return "ok" in found ? null : found;
  }
}

const movedOf = ({ moved }: { readonly moved: number }): number => moved;

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
