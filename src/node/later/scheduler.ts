import type { Idempotency } from "../../broker/idempotency.ts";
import type { PartitionState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import { SCHEDULED_FOR } from "../../later/commands/crons.ts";
import { SCHEDULED_COUNT, scheduleRecordsAs } from "../../later/commands/schedule-records.ts";
import { classOf, nextIdAfter, numberOfId } from "../../later/state.ts";
import { sha256 } from "../../lib/digest.ts";
import type { Millis } from "../../lib/ids.ts";
import type { Machine } from "../../machine/machine.ts";
import { payloadOf, withHeader } from "../../record/strip-headers.ts";
import type { Rejected } from "../api.ts";
import type { LaterApi, ScheduleReject, ScheduleRequest } from "../later-api.ts";
import { handleOf } from "../partition-handle.ts";
import { partitionNotFound } from "../reads/find-partition.ts";
import type { Commander, Tracked } from "../writes/commander.ts";
import { expectedKey } from "../writes/expected-write.ts";
import type { Expected, First } from "../writes/produce-waiter.ts";
import type { Producer } from "../writes/producer.ts";

const YEAR_MS = 366 * 86_400_000;
const COMMAND_BYTES = 256;

export type SchedulerOptions = {
  readonly machine: Machine;
  readonly commander: Commander;
  readonly producer: Pick<Producer, "topicFor" | "choosePartition">;
  /** The cluster time. */
  readonly clock: Clock;
};

/** Stores records that are produced later, and predicts their ids. */
export class Scheduler {
  readonly #options: SchedulerOptions;
  /** The number of the last id that this node has proposed. */
  #lastNumber = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  readonly schedule: LaterApi["schedule"] = async (request) => {
    const { commander, producer, clock } = this.#options;
    const refusal = await commander.whenCurrent();
    if (refusal !== null) return { ok: false, code: refusal };
    const now = clock.now();
    const deliverAt = request.delayMs === null ? request.deliverAtMs : now + request.delayMs;
    if (deliverAt - now > YEAR_MS) return { ok: false, code: "delay_too_long" };
    const topic = await producer.topicFor(request);
    if ("ok" in topic) return topic as Rejected<ScheduleReject>;
    const number = request.partition ?? producer.choosePartition(topic, request);
    const partition = topic.partitions[number];
    if (partition === undefined) return partitionNotFound(number, topic.partitions.length);
    return await this.#propose(request, partition, deliverAt);
  };

  #propose(request: ScheduleRequest, target: PartitionState, deliverAt: number) {
    const { commander, machine } = this.#options;
    const { topicId, partition } = target;
    const records = withHeader(request.records, SCHEDULED_FOR, String(deliverAt));
    const { count, logicalBytes, bytes: batches } = records;
    const idempotency = idempotencyOf(request);
    const expected = this.#expected(target, idempotency);
    const id = this.#nextId(deliverAt);
    const key = trackedKey(target, expected, id);
    const where = { ok: true, partition, count } as const;
    return commander.run({
      kind: scheduleRecordsAs,
      fields: { topicId, partition, deliverAt, idempotency, count, logicalBytes, batches, id },
      bytes: COMMAND_BYTES + batches.length,
      grows: true,
      timeoutMs: request.timeoutMs,
      tracked: {
        queued: () => {
          this.#lastNumber = numberOfId(id);
          key?.queued();
        },
        left: () => key?.left(),
      },
      done: ({ scheduleId, firstOffset, duplicate, payloadMatches }, ack) => {
        const deliverAtMs = duplicate ? dueAtOf(machine, scheduleId) : deliverAt;
        const what = { scheduleId, firstOffset, deliverAtMs, duplicate, payloadMatches };
        return { ...where, ...what, committed: true, ...ack };
      },
      unsynced: (ack) => {
        if (expected.kind === "duplicate") {
          return { ...where, ...repeated(machine, expected.first), ...ack };
        }
        const what = { scheduleId: id, firstOffset: 0, deliverAtMs: deliverAt, duplicate: false };
        return { ...where, ...what, payloadMatches: true, committed: false, ...ack };
      },
    });
  }

  /** The identity of the write, or the write that it repeats. */
  #expected(target: PartitionState, idempotency: Idempotency | null): Expected {
    if (idempotency === null) return { kind: "stored", identity: null };
    const { machine, clock } = this.#options;
    const now = Math.max(machine.now, clock.now()) as Millis;
    return expectedKey(machine, target, idempotency, now);
  }

  /** The id that the records get. */
  #nextId(deliverAt: number): number {
    const { machine, clock } = this.#options;
    const number = Math.max(machine.parts.later.nextNumber, this.#lastNumber + 1);
    return nextIdAfter(number, classOf(deliverAt - clock.now()));
  }
}

function idempotencyOf({ idempotencyKey, records, traced }: ScheduleRequest): Idempotency | null {
  if (idempotencyKey === null) return null;
  const payload = payloadOf(records, traced);
  return { keyDigest: sha256(idempotencyKey, 16), payloadDigest: sha256(payload, 8) };
}

/** Lets a repetition find the first write while that is in flight. */
function trackedKey(target: PartitionState, expected: Expected, id: number): Tracked | null {
  const identity = expected.kind === "stored" ? expected.identity : null;
  if (identity === null || !("key" in identity)) return null;
  const { key, payloadDigest } = identity;
  const { pendingKeys } = handleOf(target);
  const first = { firstOffset: id, count: SCHEDULED_COUNT, payloadDigest };
  return { queued: () => pendingKeys.set(key, first), left: () => pendingKeys.delete(key) };
}

/** The answer to a repetition that is not committed yet. */
function repeated(machine: Machine, { firstOffset, count, payloadMatches, committed }: First) {
  const isScheduled = count === SCHEDULED_COUNT;
  const place = firstOffset ?? 0;
  const scheduleId = isScheduled ? place : 0;
  const deliverAtMs = dueAtOf(machine, scheduleId);
  const what = { scheduleId, firstOffset: isScheduled ? 0 : place, deliverAtMs };
  return { ...what, duplicate: true, payloadMatches, committed };
}

/** @returns null if the records do not wait. */
const dueAtOf = ({ parts }: Machine, scheduleId: number): number | null =>
  parts.later.pending.find(scheduleId)?.dueAt ?? null;
