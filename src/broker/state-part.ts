/**
 * Topics in snapshots. Each topic is followed by its partitions, and each partition by its groups and
 * its idempotency keys.
 */
import { ByteWriter } from "../lib/bytes.ts";
import { type DigestSink, type Section, SectionWriter, type StatePart } from "../lib/state-part.ts";
import type { Offset } from "../record/offset.ts";
import { type PartitionCapture, type TopicCapture, TopicsCapture } from "./capture.ts";
import { DEDUPE_CHUNK_ENTRIES, type DedupeChunk } from "./dedupe-chunk.ts";
import type { DedupeCapture } from "./dedupe-table.ts";
import { type BrokerHeader, BrokerRestorer } from "./restorer.ts";
import {
  SECTION_DEDUPE,
  SECTION_GROUPS,
  SECTION_PARTITION,
  SECTION_TOPIC,
  writePolicy,
} from "./snapshot-format.ts";
import { BrokerState, type LevelPolicy, type PartitionState } from "./state.ts";

export const brokerPart: StatePart<BrokerState, BrokerHeader> = {
  tags: [SECTION_TOPIC, SECTION_PARTITION, SECTION_GROUPS, SECTION_DEDUPE],
  empty: () => new BrokerState(),
  // Captured at the call, and not at the first step.
  capture: (broker) => new TopicSections(new TopicsCapture(broker)),
  restorer: (header) => new BrokerRestorer(header),
  digest: digestBroker,
  counts: ({ nextTopicId, topicsById, retentionRevision }) => [
    nextTopicId,
    topicsById.size,
    retentionRevision,
  ],
};

/** The sections of a capture. An iterator that is given up ends its capture. */
class TopicSections implements Iterator<Section, undefined> {
  readonly #capture: TopicsCapture;
  readonly #sections: Iterator<Section, undefined>;

  constructor(capture: TopicsCapture) {
    this.#capture = capture;
    this.#sections = topics(capture);
  }

  next(): IteratorResult<Section, undefined> {
    return this.#sections.next();
  }

  return(): { done: true; value: undefined } {
    return this.#capture.return();
  }
}

function* topics(capture: TopicsCapture): Generator<Section, undefined> {
  // One writer for all sections, because there are two for each stream.
  const writer = new ByteWriter(256);
  for (let next = capture.next(); next.done !== true; next = capture.next()) {
    const { topic, policy, partitions }: TopicCapture = next.value;
    writer.clear();
    writer.varint(topic.topicId);
    writer.text(topic.name);
    writer.varint(partitions.length);
    writePolicy(writer, policy);
    yield { tag: SECTION_TOPIC, body: writer.take() };
    for (const partition of partitions) {
      writer.clear();
      writePartition(writer, partition);
      yield { tag: SECTION_PARTITION, body: writer.take() };
      if (partition.committed.size > 0) yield* groups(partition.committed);
      if (partition.dedupe !== null) yield* dedupeKeys(partition.dedupe);
    }
  }
}

function writePartition(writer: ByteWriter, capture: PartitionCapture): void {
  writer.varint(capture.partition);
  writer.varint(capture.lowWatermark);
  writer.varint(capture.endOffset);
  writer.varint(capture.bytesBelowLow);
  writer.varint(capture.bytesEnd);
  writePolicy(writer, capture.policy);
}

function* groups(committed: ReadonlyMap<string, Offset>): Generator<Section, void> {
  const sections = new SectionWriter(SECTION_GROUPS);
  for (const [group, offset] of committed) {
    if (sections.isFull) yield sections.take();
    sections.writer.text(group);
    sections.writer.varint(offset);
  }
  yield sections.take();
}

function* dedupeKeys({ chunks, from, to }: DedupeCapture): Generator<Section, void> {
  const sections = new SectionWriter(SECTION_DEDUPE);
  for (let i = from; i < to; i++) {
    if (sections.isFull) yield sections.take();
    const chunk = chunks[Math.floor(i / DEDUPE_CHUNK_ENTRIES)] as DedupeChunk;
    chunk.writeEntry(i % DEDUPE_CHUNK_ENTRIES, sections.writer);
  }
  yield sections.take();
}

function digestBroker(broker: BrokerState, digest: DigestSink): void {
  const { writer } = digest;
  const { limits } = broker;
  writer.u64(limits.dedupeWindowMs);
  writer.u64(limits.dedupeKeysMax);
  writer.u64(limits.partitionsMax);
  writer.u64(broker.nextTopicId);
  writer.u64(broker.retentionRevision);
  digestPolicy(writer, broker.policy);
  for (const topic of [...broker.topicsById.values()].sort((a, b) => a.topicId - b.topicId)) {
    writer.u64(topic.topicId);
    writer.text(topic.name);
    writer.u64(topic.partitions.length);
    digestPolicy(writer, topic.policy);
    for (const partition of topic.partitions) digestPartition(digest, partition);
  }
}

function digestPolicy(writer: ByteWriter, policy: LevelPolicy): void {
  writer.text(`${policy.ttlMs} ${policy.maxBytes} ${policy.revision}`);
}

function digestPartition(digest: DigestSink, partition: PartitionState): void {
  const { writer } = digest;
  writer.u64(partition.lowWatermark);
  writer.u64(partition.endOffset);
  writer.u64(partition.bytesBelowLow);
  writer.u64(partition.bytesEnd);
  digestPolicy(writer, partition.policy);
  writer.u64(partition.committed.size);
  for (const group of [...partition.committed.keys()].sort()) {
    writer.text(group);
    writer.u64(partition.committed.get(group) ?? 0);
    digest.flush();
  }
  writer.u64(partition.dedupe?.size ?? 0);
  if (partition.dedupe !== null) digestDedupe(digest, partition.dedupe.capture());
  digest.flush();
}

function digestDedupe(digest: DigestSink, { chunks, from, to }: DedupeCapture): void {
  const { writer } = digest;
  for (let i = from; i < to; i++) {
    const chunk = chunks[Math.floor(i / DEDUPE_CHUNK_ENTRIES)] as DedupeChunk;
    chunk.writeEntry(i % DEDUPE_CHUNK_ENTRIES, writer);
    digest.flush();
  }
}
