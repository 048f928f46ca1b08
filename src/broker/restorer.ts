import { feature as faultPoint } from "bun:bundle";
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import type { Millis } from "../lib/ids.ts";
import { check, type PartRestorer } from "../lib/state-part.ts";
import type { Offset } from "../record/offset.ts";
import { DIGESTS_BYTES } from "./dedupe-chunk.ts";
import { DedupeTable } from "./dedupe-table.ts";
import { countOffset } from "./groups.ts";
import {
  readPolicy,
  SECTION_DEDUPE,
  SECTION_GROUPS,
  SECTION_PARTITION,
  SECTION_TOPIC,
  writePolicy,
} from "./snapshot-format.ts";
import {
  addTopic,
  type BrokerLimits,
  BrokerState,
  type LevelPolicy,
  PartitionState,
  TopicState,
  writableOffsets,
} from "./state.ts";

/** Fields of the header of a snapshot. */
export type BrokerHeader = {
  /** Time of the snapshot. */
  readonly now: Millis;
  readonly limits: BrokerLimits;
  readonly nextTopicId: number;
  readonly retentionRevision: number;
  readonly policy: LevelPolicy;
};

export function writeBrokerHeader(writer: ByteWriter, header: Omit<BrokerHeader, "now">): void {
  writer.varint(header.limits.dedupeWindowMs);
  writer.varint(header.limits.dedupeKeysMax);
  writer.varint(header.limits.partitionsMax);
  writer.varint(header.nextTopicId);
  writer.varint(header.retentionRevision);
  writePolicy(writer, header.policy);
}

export function readBrokerHeader(reader: ByteReader, now: Millis): BrokerHeader {
  const limits = {
    dedupeWindowMs: reader.varint(),
    dedupeKeysMax: reader.varint(),
    partitionsMax: reader.varint(),
  };
  const nextTopicId = reader.varint();
  const retentionRevision = reader.varint();
  const policy = readPolicy(reader, retentionRevision);
  return { now, limits, nextTopicId, retentionRevision, policy };
}

type OpenTopic = {
  readonly topicId: number;
  readonly name: string;
  readonly partitionCount: number;
  readonly policy: LevelPolicy;
  readonly partitions: PartitionState[];
};

export class BrokerRestorer implements PartRestorer<BrokerState> {
  readonly #broker = new BrokerState();
  readonly #now: Millis;
  #topic: OpenTopic | null = null;
  #partition: PartitionState | null = null;
  /** Time of the last idempotency key. */
  #dedupeAt = 0;
  #lastTopicId = 0;

  constructor({ now, limits, nextTopicId, retentionRevision, policy }: BrokerHeader) {
    this.#now = now;
    Object.assign(this.#broker, { limits, nextTopicId, retentionRevision, policy });
  }

  section(tag: number, reader: ByteReader): void {
    switch (tag) {
      case SECTION_TOPIC:
        this.#restoreTopic(reader);
        break;
      case SECTION_PARTITION:
        this.#restorePartition(reader);
        break;
      case SECTION_GROUPS:
        this.#restoreGroups(reader);
        break;
      case SECTION_DEDUPE:
        this.#restoreDedupe(reader);
        break;
      default:
        throw new DecodeError(`section ${tag} is none of a topic`);
    }
  }

  finish(): BrokerState {
    this.#closeTopic();
    return this.#broker;
  }

  #restoreTopic(reader: ByteReader): void {
    this.#closeTopic();
    const topicId = reader.varint();
    const name = reader.text();
    const partitionCount = reader.varint();
    const policy = readPolicy(reader, this.#broker.retentionRevision);
    check(
      topicId > this.#lastTopicId && topicId < this.#broker.nextTopicId,
      "topics are not in order",
    );
    check(!this.#broker.topicsByName.has(name), "two topics have one name");
    this.#topic = { topicId, name, partitionCount, policy, partitions: [] };
    this.#lastTopicId = topicId;
  }

  #closeTopic(): void {
    if (this.#topic === null) return;
    const { topicId, name, partitionCount, policy, partitions } = this.#topic;
    check(partitions.length === partitionCount, "a topic lacks partitions");
    const topic = new TopicState(topicId, name, partitions);
    topic.policy = policy;
    addTopic(this.#broker, topic);
    this.#topic = null;
    this.#partition = null;
  }

  #restorePartition(reader: ByteReader): void {
    const topic = this.#topic;
    if (topic === null) throw new DecodeError("a partition has no topic");
    const number = reader.varint();
    check(number === topic.partitions.length, "partitions are not in order");
    const partition = new PartitionState(topic.topicId, number);
    partition.lowWatermark = reader.varint() as Offset;
    partition.endOffset = reader.varint() as Offset;
    partition.bytesBelowLow = reader.varint();
    partition.bytesEnd = reader.varint();
    partition.policy = readPolicy(reader, this.#broker.retentionRevision);
    check(partition.lowWatermark <= partition.endOffset, "low watermark beyond the end");
    check(partition.bytesBelowLow <= partition.bytesEnd, "more bytes deleted than written");
    topic.partitions.push(partition);
    this.#partition = partition;
  }

  #restoreGroups(reader: ByteReader): void {
    const partition = this.#partition;
    if (partition === null) throw new DecodeError("groups have no partition");
    const committed = writableOffsets(this.#broker, partition);
    while (reader.remaining > 0) {
      const group = reader.text();
      const offset = reader.varint() as Offset;
      check(offset <= partition.endOffset, "committed offset beyond the end");
      check(!committed.has(group), "a group comes twice");
      committed.set(group, offset);
      countOffset(this.#broker, group);
    }
  }

  #restoreDedupe(reader: ByteReader): void {
    const partition = this.#partition;
    if (partition === null) throw new DecodeError("idempotency keys have no partition");
    partition.dedupe ??= new DedupeTable();
    const { dedupe, endOffset } = partition;
    while (reader.remaining > 0) {
      const digests = reader.raw(DIGESTS_BYTES);
      const at = reader.u64();
      const firstOffset = reader.u64();
      const count = reader.u32();
      check(at <= this.#now, "an idempotency key comes from the future");
      check(dedupe.size === 0 || at >= this.#dedupeAt, "idempotency keys are not in order");
      // A count of 0: the write was scheduled, and the number is its id.
      check(count === 0 || firstOffset + count <= endOffset, "a first write was never stored");
      if (!faultPoint("snapshot-drops-idempotency")) {
        dedupe.pushDigests(digests, at, firstOffset, count);
        this.#broker.dedupeKeys++;
      }
      this.#dedupeAt = at;
    }
    const broker = this.#broker;
    const { oldestDedupeAt, limits } = broker;
    if (dedupe.size > 0) broker.oldestDedupeAt = Math.min(oldestDedupeAt, dedupe.oldestAt);
    if (dedupe.size > limits.dedupeKeysMax) broker.isOverfull = true;
  }
}
