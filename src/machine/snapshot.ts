import { DEDUPE_CHUNK_ENTRIES, type DedupeChunk } from "../broker/dedupe-chunk.ts";
import type { DedupeCapture } from "../broker/dedupe-table.ts";
import type { BrokerLimits, LevelPolicy, PartitionState, TopicState } from "../broker/state.ts";
import { captured, type PageCapture } from "../kv/key-page.ts";
import type { KvNamespace } from "../kv/state.ts";
import { ByteWriter } from "../lib/bytes.ts";
import { SECTION_BYTES_TARGET, type Section } from "../lib/state-part.ts";
import type { Offset } from "../record/offset.ts";
import { LEVEL_FIRST } from "./levels.ts";
import { type MemberRecord, sortedMembers } from "./members.ts";
import { namedParts, type StatesByName } from "./parts.ts";
import {
  SECTION_DEDUPE,
  SECTION_END,
  SECTION_ENTRIES,
  SECTION_GROUPS,
  SECTION_HEADER,
  SECTION_LEVEL,
  SECTION_MEMBERS,
  SECTION_NAMESPACE,
  SECTION_PARTITION,
  SECTION_TOPIC,
  SECTION_VIEW,
  SECTION_VIEW_STATE,
  SECTION_VIEWS,
  SNAPSHOT_MAGIC,
  SNAPSHOT_VERSION,
} from "./snapshot-format.ts";
import type { MachineState } from "./state.ts";
import type { ViewRecord } from "./views.ts";

/**
 * The machine's state at the instant of construction, encoded piece by piece while `apply` goes
 * on. Construction takes references and a few numbers a partition, and raises the epochs; from then
 * on `apply` copies a page of keys or a map of groups before it first changes it. Everything else
 * that is referred to here is never changed: entries and policies are replaced, idempotency keys
 * are only added.
 */
export class MachineSnapshot {
  readonly #writer = new ByteWriter(2 * SECTION_BYTES_TARGET);
  #steps: Iterator<undefined> | null;

  constructor(state: MachineState) {
    this.#steps = encodeSteps(this.#writer, captureState(state));
  }

  /**
   * The following bytes of the snapshot, null when all were given.
   *
   * @param maxBytes about this many; more where a single value is larger.
   */
  next(maxBytes: number): Uint8Array | null {
    this.#writer.clear();
    while (this.#steps !== null && this.#writer.length < maxBytes) {
      if (this.#steps.next().done === true) this.#steps = null;
    }
    return this.#writer.length === 0 ? null : this.#writer.take();
  }

  /** Releases the captured state. `next` then returns null. */
  abandon(): void {
    this.#steps = null;
  }
}

type PartitionCapture = {
  readonly partition: PartitionState;
  readonly lowWatermark: Offset;
  readonly endOffset: Offset;
  readonly bytesBelowLow: number;
  readonly bytesEnd: number;
  readonly committed: ReadonlyMap<string, Offset>;
  readonly policy: LevelPolicy;
  readonly dedupe: DedupeCapture | null;
};

type TopicCapture = {
  readonly topic: TopicState;
  readonly policy: LevelPolicy;
  readonly partitions: readonly PartitionCapture[];
};

type NamespaceCapture = {
  readonly namespace: KvNamespace;
  readonly revision: number;
  readonly pages: readonly PageCapture[];
};

type Capture = {
  readonly now: number;
  readonly limits: BrokerLimits;
  readonly nextTopicId: number;
  readonly retentionRevision: number;
  readonly policy: LevelPolicy;
  readonly nextNamespaceId: number;
  readonly members: readonly MemberRecord[];
  readonly level: number;
  readonly nextViewId: number;
  readonly views: readonly ViewRecord[];
  readonly topics: readonly TopicCapture[];
  readonly namespaces: readonly NamespaceCapture[];
  readonly parts: readonly Iterator<Section>[];
};

function captureState(state: MachineState): Capture {
  const { broker, kv } = state;
  broker.epoch++;
  kv.epoch.value++;
  const topics: TopicCapture[] = [];
  for (const topic of broker.topicsById.values()) {
    const partitions = topic.partitions.map(capturePartition);
    topics.push({ topic, policy: topic.policy, partitions });
  }
  const namespaces: NamespaceCapture[] = [];
  for (const namespace of kv.namespaces.values()) {
    const pages = namespace.keys.capture();
    namespaces.push({ namespace, revision: namespace.revision, pages });
  }
  const { limits, nextTopicId, retentionRevision, policy } = broker;
  return {
    now: state.now,
    limits,
    nextTopicId,
    retentionRevision,
    policy,
    nextNamespaceId: kv.nextNamespaceId,
    members: sortedMembers(state.members),
    level: state.level,
    nextViewId: state.views.nextViewId,
    views: [...state.views.byName.values()],
    topics,
    namespaces,
    parts: captureParts(state.parts),
  };
}

function captureParts(states: StatesByName): Iterator<Section>[] {
  return namedParts.map(([name, part]) => part.capture(states[name]));
}

const capturePartition = (partition: PartitionState): PartitionCapture => ({
  partition,
  lowWatermark: partition.lowWatermark,
  endOffset: partition.endOffset,
  bytesBelowLow: partition.bytesBelowLow,
  bytesEnd: partition.bytesEnd,
  committed: partition.committed,
  policy: partition.policy,
  dedupe: partition.dedupe?.capture() ?? null,
});

const NOTHING = new Uint8Array(0);

/** Each step writes one section. */
function* encodeSteps(writer: ByteWriter, capture: Capture): Generator<undefined, void> {
  const sections = new SectionWriter(writer);
  writer.u32(SNAPSHOT_MAGIC);
  writer.u8(SNAPSHOT_VERSION);
  encodeHeader(sections, capture);
  yield;
  if (capture.level > LEVEL_FIRST) {
    encodeLevel(sections, capture.level);
    yield;
  }
  if (capture.members.length > 0) {
    encodeMembers(sections, capture.members);
    yield;
  }
  if (capture.nextViewId > 1) yield* encodeViews(sections, capture);
  for (const topic of capture.topics) yield* encodeWholeTopic(sections, topic);
  for (const namespace of capture.namespaces) {
    encodeNamespace(sections, namespace);
    yield;
    for (const page of namespace.pages) yield* encodeEntries(sections, page);
  }
  for (const part of capture.parts) yield* encodePart(sections, part);
  const { count } = sections;
  sections.open(SECTION_END);
  writer.u32(count);
  sections.close();
}

function* encodeWholeTopic(
  sections: SectionWriter,
  topic: TopicCapture,
): Generator<undefined, void> {
  encodeTopic(sections, topic);
  yield;
  for (const partition of topic.partitions) {
    encodePartition(sections, partition);
    yield;
    if (partition.committed.size > 0) yield* encodeGroups(sections, partition.committed);
    if (partition.dedupe !== null) yield* encodeDedupe(sections, partition.dedupe);
  }
}

function* encodePart(sections: SectionWriter, part: Iterator<Section>): Generator<undefined, void> {
  for (let next = part.next(); next.done !== true; next = part.next()) {
    sections.open(next.value.tag);
    sections.writer.raw(next.value.body);
    sections.close();
    yield;
  }
}

/** Frames sections: the length is filled in when a section is closed. */
class SectionWriter {
  readonly writer: ByteWriter;
  count = 0;
  #lengthAt = 0;

  constructor(writer: ByteWriter) {
    this.writer = writer;
  }

  get isFull(): boolean {
    return this.writer.length - this.#lengthAt >= SECTION_BYTES_TARGET;
  }

  open(tag: number): void {
    this.writer.u8(tag);
    this.#lengthAt = this.writer.reserve(4);
  }

  close(): void {
    this.writer.setU32(this.#lengthAt, this.writer.length - this.#lengthAt - 4);
    this.count++;
  }
}

function encodeHeader(sections: SectionWriter, capture: Capture): void {
  const { writer } = sections;
  sections.open(SECTION_HEADER);
  writer.u64(capture.now);
  writer.varint(capture.limits.dedupeWindowMs);
  writer.varint(capture.limits.dedupeKeysMax);
  writer.varint(capture.limits.partitionsMax);
  writer.varint(capture.nextTopicId);
  writer.varint(capture.retentionRevision);
  encodePolicy(writer, capture.policy);
  writer.varint(capture.nextNamespaceId);
  sections.close();
}

function encodeLevel(sections: SectionWriter, level: number): void {
  sections.open(SECTION_LEVEL);
  sections.writer.varint(level);
  sections.close();
}

/** Flags say which of the two are set. */
function encodePolicy(writer: ByteWriter, policy: LevelPolicy): void {
  writer.u8((policy.ttlMs === null ? 0 : 1) | (policy.maxBytes === null ? 0 : 2));
  if (policy.ttlMs !== null) writer.varint(policy.ttlMs);
  if (policy.maxBytes !== null) writer.varint(policy.maxBytes);
  writer.varint(policy.revision);
}

/** In one section: a cluster has a handful of nodes. */
function encodeMembers(sections: SectionWriter, members: readonly MemberRecord[]): void {
  const { writer } = sections;
  sections.open(SECTION_MEMBERS);
  for (const { id, host, raftPort, httpPort, priority, storageId } of members) {
    writer.text(id);
    writer.text(host);
    writer.varint(raftPort);
    writer.varint(httpPort);
    writer.varint(priority);
    writer.u8(storageId === null ? 0 : 1);
    if (storageId !== null) writer.text(storageId);
  }
  sections.close();
}

function* encodeViews(
  sections: SectionWriter,
  { nextViewId, views }: Capture,
): Generator<undefined, void> {
  const { writer } = sections;
  sections.open(SECTION_VIEWS);
  writer.varint(nextViewId);
  sections.close();
  yield;
  for (const { viewId, name, query, state } of views) {
    sections.open(SECTION_VIEW);
    writer.varint(viewId);
    writer.text(name);
    writer.text(query);
    writer.varint(state === null ? 0 : state.length + 1);
    sections.close();
    yield;
    const length = state?.length ?? 0;
    for (let at = 0; at < length; at += SECTION_BYTES_TARGET) {
      sections.open(SECTION_VIEW_STATE);
      writer.raw(state?.subarray(at, at + SECTION_BYTES_TARGET) ?? NOTHING);
      sections.close();
      yield;
    }
  }
}

function encodeTopic(sections: SectionWriter, { topic, policy }: TopicCapture): void {
  const { writer } = sections;
  sections.open(SECTION_TOPIC);
  writer.varint(topic.topicId);
  writer.text(topic.name);
  writer.varint(topic.partitions.length);
  encodePolicy(writer, policy);
  sections.close();
}

function encodePartition(sections: SectionWriter, capture: PartitionCapture): void {
  const { writer } = sections;
  sections.open(SECTION_PARTITION);
  writer.varint(capture.partition.partition);
  writer.varint(capture.lowWatermark);
  writer.varint(capture.endOffset);
  writer.varint(capture.bytesBelowLow);
  writer.varint(capture.bytesEnd);
  encodePolicy(writer, capture.policy);
  sections.close();
}

function* encodeGroups(
  sections: SectionWriter,
  committed: ReadonlyMap<string, Offset>,
): Generator<undefined, void> {
  const { writer } = sections;
  sections.open(SECTION_GROUPS);
  for (const [group, offset] of committed) {
    if (sections.isFull) {
      sections.close();
      yield;
      sections.open(SECTION_GROUPS);
    }
    writer.text(group);
    writer.varint(offset);
  }
  sections.close();
  yield;
}

function* encodeDedupe(
  sections: SectionWriter,
  { chunks, from, to }: DedupeCapture,
): Generator<undefined, void> {
  const { writer } = sections;
  sections.open(SECTION_DEDUPE);
  for (let i = from; i < to; i++) {
    if (sections.isFull) {
      sections.close();
      yield;
      sections.open(SECTION_DEDUPE);
    }
    const chunk = chunks[Math.floor(i / DEDUPE_CHUNK_ENTRIES)] as DedupeChunk;
    chunk.writeEntry(i % DEDUPE_CHUNK_ENTRIES, writer);
  }
  sections.close();
  yield;
}

function encodeNamespace(sections: SectionWriter, capture: NamespaceCapture): void {
  const { writer } = sections;
  sections.open(SECTION_NAMESPACE);
  writer.varint(capture.namespace.id);
  writer.text(capture.namespace.name);
  writer.varint(capture.revision);
  sections.close();
}

function* encodeEntries(sections: SectionWriter, page: PageCapture): Generator<undefined, void> {
  const { writer } = sections;
  sections.open(SECTION_ENTRIES);
  for (let i = 0; i < page.count; i++) {
    if (sections.isFull) {
      sections.close();
      yield;
      sections.open(SECTION_ENTRIES);
    }
    const { at, keyLength, length, revision, expiresAt } = captured(page, i);
    writer.varint(revision);
    writer.varint(expiresAt);
    writer.varint(keyLength);
    writer.blob(page.bytes.subarray(at, at + length));
  }
  sections.close();
  yield;
}
