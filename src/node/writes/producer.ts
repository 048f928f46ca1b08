import { feature as faultPoint } from "bun:bundle";
import { produce } from "../../broker/commands/produce.ts";
import { produceSequenced } from "../../broker/commands/produce-sequenced.ts";
import type { Idempotency } from "../../broker/idempotency.ts";
import type { ProducerSequence } from "../../broker/producer-sequence.ts";
import { findTopic, type PartitionState, type TopicState } from "../../broker/state.ts";
import type { Clock } from "../../env/clock.ts";
import { appendCommand } from "../../lib/command-kind.ts";
import { crc32 } from "../../lib/crc32.ts";
import { sha256 } from "../../lib/digest.ts";
import type { Millis } from "../../lib/ids.ts";
import { LEVEL_HEADERS } from "../../lib/log-levels.ts";
import { partitionOfKey } from "../../lib/partitioner.ts";
import type { Machine } from "../../machine/machine.ts";
import type { EncodedRecords } from "../../record/batch-builder.ts";
import { TRACE_HEADERS } from "../../record/headers.ts";
import { payloadOf, stripHeaders } from "../../record/strip-headers.ts";
import type { ProduceReject, ProduceRequest, Rejected } from "../api.ts";
import { partitionNotFound } from "../reads/find-partition.ts";
import type { BrokerWrites } from "./broker-writes.ts";
import type { CommandQueue } from "./command-queue.ts";
import { expectedKey, expectedSequence } from "./expected-write.ts";
import { duplicateAtPropose } from "./faults.ts";
import type { LogLevel } from "./log-level.ts";
import { type Done, type Expected, ProduceWaiter } from "./produce-waiter.ts";
import type { Proposal } from "./proposal.ts";

export type ProducerOptions = {
  readonly machine: Machine;
  readonly queue: CommandQueue;
  readonly level: LogLevel;
  readonly clock: Clock;
  readonly autoCreateTopics: boolean;
  readonly defaultPartitions: number;
  readonly topics: Pick<BrokerWrites, "createTopic">;
  /** Maximum entries of idempotent producers. */
  readonly producersMax: number;
};

/** Identity of a write, and its expected end. */
type Written = {
  readonly idempotency?: Idempotency;
  readonly sequence?: ProducerSequence;
  readonly expected: Expected;
};
const PLAIN: Written = { expected: { kind: "stored", identity: null } };
const NO_KEY = new Uint8Array(0);

/** A request that outlives the call to `produce`. */
function owned(request: ProduceRequest): ProduceRequest {
  const { key, idempotencyKey, records } = request;
  return {
    ...request,
    key: key === null ? null : key.slice(),
    idempotencyKey: idempotencyKey === null ? null : idempotencyKey.slice(),
    records: { ...records, bytes: records.bytes.slice() },
  };
}

type Target = Pick<ProduceRequest, "topic" | "partition"> &
  Pick<Partial<ProduceRequest>, "producer">;

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
    else void this.#produceWhenCurrent(owned(request), done);
  }

  async #produceWhenCurrent(request: ProduceRequest, done: Done): Promise<void> {
    const refusal = await this.#options.queue.whenCurrent();
    if (refusal === null) this.#produceNow(request, done);
    else done({ ok: false, code: refusal });
  }

  #produceNow(request: ProduceRequest, done: Done): void {
    const topic = findTopic(this.#options.machine.broker, request.topic);
    if (topic === undefined) void this.#createThenProduce(owned(request), done);
    else this.#produceTo(topic, request, done);
  }

  async #createThenProduce(request: ProduceRequest, done: Done): Promise<void> {
    const topic = await this.#create(request);
    if ("ok" in topic) done(topic);
    else this.#produceTo(topic, request, done);
  }

  async #create(request: Target): Promise<TopicState | Rejected<ProduceReject>> {
    const { autoCreateTopics, defaultPartitions, topics, machine } = this.#options;
    if (!autoCreateTopics) return { ok: false, code: "topic_not_found" };
    // Only a valid produce creates its topic, so all possible checks come first.
    if (request.partition !== null && request.partition >= defaultPartitions) {
      return partitionNotFound(request.partition, defaultPartitions);
    }
    if (request.producer != null && request.producer.seq > 0) {
      return { ok: false, code: "sequence_gap", details: { expectedSeq: 0 } };
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
    const number = request.partition ?? this.choosePartition(topic, request);
    const partition = topic.partitions[number];
    if (partition === undefined) return partitionNotFound(number, topic.partitions.length);
    const refusal = queue.admitGrowth(request.records.bytes.length);
    if (refusal !== null) return { ok: false, code: refusal };
    const records = request.records.hasHeaders ? this.#withHeaders(request) : request.records;
    if ("code" in records) return records;

    if (request.producer != null) {
      const { level, feature } = produceSequenced;
      const unknown = this.#options.level.ensure(level, feature);
      if (unknown !== null) return unknown;
    }
    const written = this.#identify(partition, request);
    const waiter = new ProduceWaiter(
      clock.monotonic(),
      partition,
      records.count,
      written.expected,
      done,
    );
    if (faultPoint("dedupe-at-propose")) {
      const early = duplicateAtPropose(number, written.expected);
      if (early !== null) {
        done(early);
        return null;
      }
    }
    waiter.predict();
    this.#encode(partition, records, written);
    const proposal = queue.submit(waiter, records.count);
    if (request.rocket) waiter.answerNow();
    else if (request.timeoutMs !== null && waiter.mayPredict)
      this.#startTimer(waiter, proposal, request.timeoutMs);
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

  /** Finds out what identifies the write, and what becomes of it unless leadership changes. */
  #identify(partition: PartitionState, request: ProduceRequest): Written {
    const { idempotencyKey, records, traced, producer = null } = request;
    if (idempotencyKey === null && producer === null) return PLAIN;
    const payload = payloadOf(records, traced === true);
    const { machine, clock } = this.#options;
    const now = Math.max(machine.now, clock.now()) as Millis;
    if (producer !== null) {
      const sequence = { ...producer, payload: crc32(payload) };
      return { sequence, expected: expectedSequence(machine, partition, sequence, now) };
    }
    const idempotency = {
      keyDigest: sha256(idempotencyKey ?? NO_KEY, 16),
      payloadDigest: sha256(payload, 8),
    };
    return { idempotency, expected: expectedKey(machine, partition, idempotency, now) };
  }

  #encode({ topicId, partition }: PartitionState, records: EncodedRecords, written: Written): void {
    const { queue, producersMax } = this.#options;
    const { bytes: batches, count, logicalBytes } = records;
    const { sequence, idempotency = null } = written;
    const writer = queue.writer();
    // Objects without a spread, since this is the path of every record.
    if (sequence === undefined) {
      const fields = { topicId, partition, idempotency, count, logicalBytes, batches };
      appendCommand(writer, produce, fields);
    } else {
      const place = { topicId, partition, sequence, producersMax };
      appendCommand(writer, produceSequenced, { ...place, count, logicalBytes, batches });
    }
  }

  #startTimer(waiter: ProduceWaiter, proposal: Proposal, timeoutMs: number): void {
    const { clock, queue } = this.#options;
    const cancel = clock.after(timeoutMs, () =>
      waiter.answerUnsynced(queue.indexOf(proposal), queue.ackedBy(proposal)),
    );
    waiter.setTimer(cancel);
  }

  /** Finds or creates the topic of a write. The leader must be current. */
  async topicFor(request: Target): Promise<TopicState | Rejected<ProduceReject>> {
    const topic = findTopic(this.#options.machine.broker, request.topic);
    return topic ?? (await this.#create(request));
  }

  choosePartition(
    topic: TopicState,
    request: Pick<ProduceRequest, "key" | "idempotencyKey">,
  ): number {
    const { length } = topic.partitions;
    const key = request.key ?? request.idempotencyKey;
    if (key !== null) return partitionOfKey(key, length);
    this.#roundRobin = (this.#roundRobin + 1) % Number.MAX_SAFE_INTEGER;
    return this.#roundRobin % length;
  }
}
