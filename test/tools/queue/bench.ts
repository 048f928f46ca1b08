import { applyCreateTopic } from "../../../src/broker/commands/create-topic.ts";
import {
  type BrokerEffects,
  BrokerState,
  type PartitionState,
  raiseLowWatermark,
  type TopicState,
} from "../../../src/broker/state.ts";
import { ByteReader, ByteWriter } from "../../../src/lib/bytes.ts";
import type { Millis } from "../../../src/lib/ids.ts";
import type { Section } from "../../../src/lib/state-part.ts";
import { applyBuryMessage } from "../../../src/queue/commands/bury-message.ts";
import { applyDefineQueue } from "../../../src/queue/commands/define-queue.ts";
import { applyPurgeQueue } from "../../../src/queue/commands/purge-queue.ts";
import { applyReceive, type Candidate } from "../../../src/queue/commands/receive.ts";
import {
  applyAckMessages,
  applyExtendLeases,
  applyNackMessages,
  type Settled,
} from "../../../src/queue/commands/settle.ts";
import type { QueueDefinition } from "../../../src/queue/definition.ts";
import type { LeaseError, LeaseRef } from "../../../src/queue/find.ts";
import { queuesPart } from "../../../src/queue/snapshot.ts";
import { type QueueState, QueuesState } from "../../../src/queue/state.ts";
import type { Offset } from "../../../src/record/offset.ts";

export const DEFINITION: QueueDefinition = {
  topic: "jobs",
  visibilityMs: 1_000,
  maxDeliveries: 3,
  backoffMs: [100, 500],
  deadLetter: null,
  order: "none",
  maxInFlight: 1_000,
  from: "earliest",
};

/** Partition and number of records of each append. */
export class AppendedEffects implements BrokerEffects {
  readonly appended: { topicId: number; partition: number; offset: number; count: number }[] = [];

  append(
    partition: PartitionState,
    _batches: Uint8Array,
    offset: Offset,
    _at: Millis,
    count: number,
  ): void {
    const { topicId, partition: number } = partition;
    this.appended.push({ topicId, partition: number, offset, count });
  }
  trimmed(): void {}
  topicCreated(): void {}
  topicDeleted(): void {}
}

/** One queue over a topic without a node: the state, and commands applied to it directly. */
export class QueueBench {
  readonly broker = new BrokerState();
  readonly effects = new AppendedEffects();
  state = new QueuesState();
  now = 1_000 as Millis;
  readonly #partitions: number;

  constructor(definition: Partial<QueueDefinition> = {}, partitions = 1) {
    this.#partitions = partitions;
    applyCreateTopic(this.broker, { type: "create_topic", name: "jobs", partitions }, this.effects);
    this.define(definition);
  }

  get topic(): TopicState {
    return this.broker.topicsByName.get("jobs") as TopicState;
  }

  get queue(): QueueState {
    return this.state.byName.get("q") as QueueState;
  }

  define(definition: Partial<QueueDefinition> = {}, name = "q") {
    const command = {
      type: "define_queue",
      name,
      definition: { ...DEFINITION, ...definition },
    } as const;
    return applyDefineQueue(this.state, this.broker, command, this.effects);
  }

  produce(count: number, partition = 0): void {
    const its = this.#at(partition);
    its.endOffset = (its.endOffset + count) as Offset;
  }

  trim(partition: number, before: number): void {
    const its = this.#at(partition);
    if (before > its.lowWatermark) raiseLowWatermark(this.broker, its, before as Offset, 0);
  }

  receive(candidates: readonly Candidate[], visibilityMs = 1_000): readonly LeaseRef[] {
    const { queueId } = this.queue;
    const command = { type: "receive", queueId, visibilityMs, candidates } as const;
    const result = applyReceive(this.state, this.broker, command, this.now);
    if (!result.ok) throw new Error(result.code);
    return result.leases;
  }

  /** Receives records of partition 0 by their offsets, without keys. */
  take(...offsets: number[]): readonly LeaseRef[] {
    return this.receive(offsets.map((offset) => ({ partition: 0, offset, key: 0 })));
  }

  ack(...leases: LeaseRef[]): Settled {
    const command = { type: "ack_messages", queueId: this.queue.queueId, leases } as const;
    return settledOf(applyAckMessages(this.state, this.broker, command, this.now));
  }

  nack(delayMs: number | null, ...leases: LeaseRef[]): Settled {
    const command = {
      type: "nack_messages",
      queueId: this.queue.queueId,
      leases,
      delayMs,
    } as const;
    return settledOf(applyNackMessages(this.state, this.broker, command, this.now));
  }

  extend(byMs: number, ...leases: LeaseRef[]): Settled {
    const command = { type: "extend_leases", queueId: this.queue.queueId, leases, byMs } as const;
    return settledOf(applyExtendLeases(this.state, this.broker, command, this.now));
  }

  bury(ref: LeaseRef, isLeased: boolean, batch = new Uint8Array(0)): LeaseError | "changed" | null {
    const { queueId } = this.queue;
    const command = {
      type: "bury_message",
      queueId,
      ...ref,
      isLeased,
      logicalBytes: batch.length,
      batch,
    } as const;
    const result = applyBuryMessage(this.state, this.broker, command, this.now, this.effects);
    if (!result.ok) throw new Error(result.code);
    return result.error;
  }

  purge(): number {
    const result = applyPurgeQueue(this.state, this.broker, { type: "purge_queue", name: "q" });
    if (!result.ok) throw new Error(result.code);
    return result.purged;
  }

  unfinished(): number[] {
    return Array.from({ length: this.#partitions }, (_, at) =>
      (this.queue.partitions[at] as QueueState["partitions"][number]).unfinished(this.#at(at)),
    );
  }

  digest(state = this.state): Uint8Array {
    const writer = new ByteWriter();
    queuesPart.digest(state, { writer, flush() {} });
    return writer.take();
  }

  #at(partition: number): PartitionState {
    return this.topic.partitions[partition] as PartitionState;
  }
}

export const copied = (state: QueuesState): QueuesState =>
  restored(drain(queuesPart.capture(state)));

export function drain(sections: Iterator<Section>): Section[] {
  const all: Section[] = [];
  for (let next = sections.next(); next.done !== true; next = sections.next()) all.push(next.value);
  return all;
}

export function restored(sections: readonly Section[]): QueuesState {
  const restorer = queuesPart.restorer(null);
  for (const { tag, body } of sections) restorer.section(tag, new ByteReader(body));
  return restorer.finish();
}

function settledOf(result: { ok: true; settled: Settled } | { ok: false; code: string }): Settled {
  if (!result.ok) throw new Error(result.code);
  return result.settled;
}
