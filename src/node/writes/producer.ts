import { feature as faultPoint } from "bun:bundle";
import { produce } from "../../broker/commands/produce.ts";
import { type Idempotency, peekDuplicate } from "../../broker/idempotency.ts";
import { findTopic, type PartitionState, type TopicState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import { sameBytes } from "../../lib/bytes.ts";
import { appendCommand } from "../../lib/command-kind.ts";
import { sha256 } from "../../lib/digest.ts";
import type { Millis } from "../../lib/ids.ts";
import type { CommandResult } from "../../machine/commands.ts";
import { LEVEL_HEADERS } from "../../machine/levels.ts";
import type { Machine } from "../../machine/machine.ts";
import type { EncodedRecords } from "../../record/batch-builder.ts";
import { TRACE_HEADERS } from "../../record/headers.ts";
import { partitionOfKey } from "../../record/partitioner.ts";
import { payloadOf, stripHeaders } from "../../record/strip-headers.ts";
import type {
  ProduceOutcome,
  ProduceReject,
  ProduceRequest,
  Rejected,
  WriteAck,
  WriteReject,
} from "../api.ts";
import { handleOf, type PartitionHandle } from "../partition-handle.ts";
import { partitionNotFound } from "../reads/find-partition.ts";
import type { BrokerWrites } from "./broker-writes.ts";
import type { CommandQueue } from "./command-queue.ts";
import { duplicateAtPropose } from "./faults.ts";
import type { LogLevel } from "./log-level.ts";
import type { Proposal } from "./proposal.ts";
import { Waiter } from "./waiters.ts";

export type ProducerOptions = {
  readonly machine: Machine;
  readonly queue: CommandQueue;
  readonly level: LogLevel;
  readonly clock: Clock;
  readonly autoCreateTopics: boolean;
  readonly defaultPartitions: number;
  readonly topics: Pick<BrokerWrites, "createTopic">;
};

type Done = (outcome: ProduceOutcome) => void;

/** Encodes produce requests as commands and predicts the offsets of their records. */
export class Producer {
  readonly #options: ProducerOptions;
  #roundRobin = 0;

  constructor(options: ProducerOptions) {
    this.#options = options;
  }

  /** @param done is called once and must not throw. */
  produce(request: ProduceRequest, done: Done): void {
    const { queue } = this.#options;
    if (queue.refusal !== null) done({ ok: false, code: queue.refusal });
    else if (queue.isCurrent) this.#produceNow(request, done);
    else void this.#produceWhenCurrent(request, done);
  }

  async #produceWhenCurrent(request: ProduceRequest, done: Done): Promise<void> {
    const refusal = await this.#options.queue.whenCurrent();
    if (refusal === null) this.#produceNow(request, done);
    else done({ ok: false, code: refusal });
  }

  #produceNow(request: ProduceRequest, done: Done): void {
    const topic = findTopic(this.#options.machine.broker, request.topic);
    if (topic === undefined) void this.#createThenProduce(request, done);
    else this.#produceTo(topic, request, done);
  }

  async #createThenProduce(request: ProduceRequest, done: Done): Promise<void> {
    const topic = await this.#create(request);
    if ("ok" in topic) done(topic);
    else this.#produceTo(topic, request, done);
  }

  async #create(request: ProduceRequest): Promise<TopicState | Rejected<ProduceReject>> {
    const { autoCreateTopics, defaultPartitions, topics, machine } = this.#options;
    if (!autoCreateTopics) return { ok: false, code: "topic_not_found" };
    // Only a valid produce creates its topic, so all possible checks come first.
    if (request.partition !== null && request.partition >= defaultPartitions) {
      return partitionNotFound(request.partition, defaultPartitions);
    }
    const created = await topics.createTopic(request.topic, defaultPartitions);
    // Another request may have created it with another partition count, which is then used.
    if (!created.ok && created.code !== "topic_exists") return { ...created, code: created.code };
    const topic = findTopic(machine.broker, request.topic);
    return topic ?? { ok: false, code: "topic_not_found" };
  }

  #produceTo(topic: TopicState, request: ProduceRequest, done: Done): void {
    const rejected = this.#submit(topic, request, done);
    if (rejected !== null) done(rejected);
  }

  /** @returns the rejection, or null if the write is in flight and `done` will be called. */
  #submit(topic: TopicState, request: ProduceRequest, done: Done): Rejected<ProduceReject> | null {
    const { queue, clock } = this.#options;
    const number = request.partition ?? this.#choosePartition(topic, request);
    const partition = topic.partitions[number];
    if (partition === undefined) return partitionNotFound(number, topic.partitions.length);
    const { idempotencyKey } = request;
    const refusal = queue.admitGrowth(request.records.bytes.length);
    if (refusal !== null) return { ok: false, code: refusal };
    const records = request.records.hasHeaders ? this.#withHeaders(request) : request.records;
    if ("code" in records) return records;

    const idempotency =
      idempotencyKey === null
        ? null
        : {
            keyDigest: sha256(idempotencyKey, 16),
            payloadDigest: sha256(payloadOf(request.records, request.traced === true), 8),
          };
    const waiter = new ProduceWaiter(clock.monotonic(), partition, records.count, done);
    if (idempotency !== null) waiter.expectKey(this.#known(partition, idempotency));
    if (faultPoint("dedupe-at-propose") && idempotency !== null) {
      const early = duplicateAtPropose(number, this.#known(partition, idempotency));
      if (early !== null) {
        done(early);
        return null;
      }
    }
    waiter.predict();
    appendCommand(queue.writer(), produce, {
      topicId: topic.topicId,
      partition: number,
      idempotency,
      count: records.count,
      logicalBytes: records.logicalBytes,
      batches: records.bytes,
    });
    const proposal = queue.submit(waiter, records.count);
    if (request.rocket) waiter.answerNow();
    else if (request.timeoutMs !== null) this.#startTimer(waiter, proposal, request.timeoutMs);
    return null;
  }

  /** Returns the records in the form that the level of the log allows. */
  #withHeaders({ records, traced }: ProduceRequest): EncodedRecords | Rejected<ProduceReject> {
    // The client did not set these headers: its tracing library adds them to every request.
    const lent = traced === true && !this.#options.level.isKnown(LEVEL_HEADERS);
    const left = lent ? stripHeaders(records, TRACE_HEADERS) : records;
    if (!left.hasHeaders) return left;
    return this.#options.level.ensure(LEVEL_HEADERS, "Records with headers") ?? left;
  }

  /** Finds the result of an earlier write with the key, or its predicted result. */
  #known(partition: PartitionState, idempotency: Idempotency): ExpectedKey {
    const { machine, clock } = this.#options;
    const { keyDigest, payloadDigest } = idempotency;
    const text = keyDigest.toHex();
    const now = Math.max(machine.now, clock.now()) as Millis;
    const known = peekDuplicate(machine.broker, partition, idempotency, now);
    if (known !== null) return { text, payloadDigest, first: { ...known, committed: true } };
    const pending = handleOf(partition).pendingKeys.get(text);
    if (pending === undefined) return { text, payloadDigest, first: null };
    const payloadMatches = sameBytes(pending.payloadDigest, payloadDigest);
    const { firstOffset, count } = pending;
    return { text, payloadDigest, first: { firstOffset, count, payloadMatches, committed: false } };
  }

  #startTimer(waiter: ProduceWaiter, proposal: Proposal, timeoutMs: number): void {
    const { clock, queue } = this.#options;
    const cancel = clock.after(timeoutMs, () =>
      waiter.answerUnsynced(queue.indexOf(proposal), queue.ackedBy(proposal)),
    );
    waiter.setTimer(cancel);
  }

  #choosePartition(topic: TopicState, request: ProduceRequest): number {
    const { length } = topic.partitions;
    const key = request.key ?? request.idempotencyKey;
    if (key !== null) return partitionOfKey(key, length);
    this.#roundRobin = (this.#roundRobin + 1) % Number.MAX_SAFE_INTEGER;
    return this.#roundRobin % length;
  }
}

/** An earlier write with the same key. */
type First = {
  readonly firstOffset: number;
  readonly count: number;
  readonly payloadMatches: boolean;
  /** False: the write is in flight and may never be stored. */
  readonly committed: boolean;
};
type ExpectedKey = {
  readonly text: string;
  readonly payloadDigest: Uint8Array;
  readonly first: First | null;
};

/** Waits for a produce and updates the predicted end of the partition. */
class ProduceWaiter extends Waiter {
  readonly #done: Done;
  readonly #partition: PartitionState;
  readonly #handle: PartitionHandle;
  readonly #count: number;
  /** Set if this is the first known write with the key. */
  #ownedKey: ExpectedKey | null = null;
  /** Set if this is a duplicate of a known write. */
  #first: First | null = null;
  #firstOffset = 0;

  constructor(submittedUs: number, partition: PartitionState, count: number, done: Done) {
    super(submittedUs);
    this.#partition = partition;
    this.#handle = handleOf(partition);
    this.#count = count;
    this.#done = done;
  }

  expectKey(key: ExpectedKey): void {
    if (key.first === null) this.#ownedKey = key;
    else this.#first = key.first;
  }

  /** The offset that the record gets unless leadership changes. */
  predict(): void {
    if (this.#first !== null) return;
    const handle = this.#handle;
    this.#firstOffset = this.#partition.endOffset + handle.pendingRecords;
    handle.pendingRecords += this.#count;
    if (this.#ownedKey !== null) {
      const { text, payloadDigest } = this.#ownedKey;
      const firstOffset = this.#firstOffset;
      handle.pendingKeys.set(text, { firstOffset, count: this.#count, payloadDigest });
    }
  }

  /** Rocket mode: answers with the prediction before the record is written. */
  answerNow(): void {
    if (this.settle()) this.#done(this.#predicted(0, null));
  }

  /** Answers after `timeout_ms` has passed. The write continues. */
  answerUnsynced(batchId: number, ackedBy: number): void {
    if (this.settle()) this.#done(this.#predicted(batchId, false, ackedBy));
  }

  protected override onApplied(
    result: CommandResult,
    ack: WriteAck,
    closedUs: number,
    nowUs: number,
  ): void {
    if (!result.ok || result.type !== "produce") {
      const code = result.ok ? "topic_not_found" : result.code;
      this.#done({ ok: false, code: code as "topic_not_found" });
      return;
    }
    this.#done({
      ok: true,
      partition: this.#partition.partition,
      firstOffset: result.firstOffset,
      count: result.count,
      duplicate: result.duplicate,
      payloadMatches: result.payloadMatches,
      committed: true,
      batchId: ack.batchId,
      synced: ack.synced,
      ackedBy: ack.ackedBy,
      queueUs: closedUs - this.submittedUs,
      syncWaitUs: nowUs - closedUs,
    });
  }

  protected override onAppended(batchId: number): boolean {
    // The first write of a duplicate may not be committed yet. The duplicate waits for its result.
    if (this.#first !== null) return false;
    this.#done(this.#predicted(batchId, true, 1));
    return true;
  }

  protected override onTimeout(): void {
    this.#done({ ok: false, code: "commit_timeout" });
  }

  protected override onReject(code: WriteReject): void {
    this.#done({ ok: false, code });
  }

  override leftQueue(): void {
    if (this.#first !== null) return;
    this.#handle.pendingRecords -= this.#count;
    if (this.#ownedKey !== null) this.#handle.pendingKeys.delete(this.#ownedKey.text);
  }

  #predicted(batchId: number, synced: boolean | null, ackedBy = 0): ProduceOutcome {
    const first = this.#first;
    return {
      ok: true,
      partition: this.#partition.partition,
      firstOffset: first?.firstOffset ?? this.#firstOffset,
      count: first?.count ?? this.#count,
      duplicate: first !== null,
      payloadMatches: first?.payloadMatches ?? true,
      committed: first?.committed ?? false,
      batchId,
      synced,
      ackedBy,
      queueUs: 0,
      syncWaitUs: 0,
    };
  }
}
