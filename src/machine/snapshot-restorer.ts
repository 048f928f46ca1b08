import { feature as faultPoint } from "bun:bundle";
import { DIGESTS_BYTES } from "../broker/dedupe-chunk.ts";
import { DedupeTable } from "../broker/dedupe-table.ts";
import { countOffset } from "../broker/groups.ts";
import {
  addTopic,
  BrokerState,
  type LevelPolicy,
  NO_POLICY,
  PartitionState,
  TopicState,
} from "../broker/state.ts";
import type { NewEntry } from "../kv/key-page.ts";
import { KvNamespace, KvState } from "../kv/state.ts";
import { ByteReader, DecodeError } from "../lib/bytes.ts";
import { textBytes } from "../lib/command-kind.ts";
import type { Millis, NodeId } from "../lib/ids.ts";
import type { Offset } from "../record/offset.ts";
import { LEVEL_FIRST, LEVEL_KNOWN } from "./levels.ts";
import type { MemberMap } from "./members.ts";
import { PartsRestorer } from "./parts-restorer.ts";
import {
  PART_TAG_FIRST,
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
} from "./snapshot-format.ts";
import { SectionSplitter } from "./snapshot-sections.ts";
import type { MachineState } from "./state.ts";
import { ViewRestorer } from "./view-restorer.ts";

type OpenTopic = {
  readonly topicId: number;
  readonly name: string;
  readonly partitionCount: number;
  readonly policy: LevelPolicy;
  readonly partitions: PartitionState[];
};

/**
 * Builds the machine's state from the bytes of a snapshot, as they come: chunks may be cut
 * anywhere, and may be reused once `push` has returned. `push` throws DecodeError for bytes that no
 * machine could have written.
 */
export class SnapshotRestorer {
  readonly #splitter = new SectionSplitter();
  readonly #broker = new BrokerState();
  readonly #kv = new KvState();
  readonly #members: MemberMap = new Map();
  readonly #views = new ViewRestorer();
  readonly #parts = new PartsRestorer();
  #level = LEVEL_FIRST;
  #now = 0 as Millis;
  #sections = 0;
  #topic: OpenTopic | null = null;
  #partition: PartitionState | null = null;
  /** Time of the last idempotency key. */
  #dedupeAt = 0;
  #lastTopicId = 0;
  #namespace: KvNamespace | null = null;
  #isEnded = false;

  push(chunk: Uint8Array): void {
    this.#splitter.push(chunk);
    for (;;) {
      const section = this.#splitter.next();
      if (section === null) return;
      this.#restore(section.tag, new ByteReader(section.body));
      this.#sections++;
    }
  }

  /** @throws DecodeError if the snapshot is not whole. */
  finish(): MachineState {
    if (!this.#isEnded || this.#splitter.hasRest) throw new DecodeError("snapshot is cut off");
    return {
      broker: this.#broker,
      kv: this.#kv,
      members: this.#members,
      views: this.#views.finish(),
      parts: this.#parts.finish(),
      level: this.#level,
      now: this.#now,
    };
  }

  #restore(tag: number, reader: ByteReader): void {
    if (this.#isEnded) throw new DecodeError("bytes after the end of the snapshot");
    if (this.#parts.isBegun && tag < PART_TAG_FIRST && tag !== SECTION_END) {
      throw new DecodeError("parts come last");
    }
    if ((tag === SECTION_HEADER) !== (this.#sections === 0)) {
      throw new DecodeError("a snapshot begins with its header");
    }
    this.#restoreSection(tag, reader);
    if (reader.remaining !== 0) throw new DecodeError("section is longer than its content");
  }

  #restoreSection(tag: number, reader: ByteReader): void {
    switch (tag) {
      case SECTION_HEADER:
        this.#restoreHeader(reader);
        break;
      case SECTION_LEVEL:
        this.#restoreLevel(reader);
        break;
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
      case SECTION_NAMESPACE:
        this.#restoreNamespace(reader);
        break;
      case SECTION_ENTRIES:
        this.#restoreEntries(reader);
        break;
      case SECTION_MEMBERS:
        this.#restoreMembers(reader);
        break;
      case SECTION_VIEWS:
        check(this.#isBeforeTopics, "views come before topics");
        this.#views.begin(reader);
        break;
      case SECTION_VIEW:
        check(this.#isBeforeTopics, "views come before topics");
        this.#views.view(reader);
        break;
      case SECTION_VIEW_STATE:
        check(this.#isBeforeTopics, "views come before topics");
        this.#views.state(reader);
        break;
      case SECTION_END:
        this.#restoreEnd(reader);
        break;
      default:
        this.#closeTopic();
        this.#parts.section(tag, reader);
    }
  }

  #restoreHeader(reader: ByteReader): void {
    const broker = this.#broker;
    const now = reader.u64() as Millis;
    if (!faultPoint("snapshot-drops-ttl-clock")) this.#now = now;
    broker.limits = {
      dedupeWindowMs: reader.varint(),
      dedupeKeysMax: reader.varint(),
      partitionsMax: reader.varint(),
    };
    broker.nextTopicId = reader.varint();
    broker.retentionRevision = reader.varint();
    broker.policy = this.#policy(reader);
    this.#kv.nextNamespaceId = reader.varint();
  }

  #policy(reader: ByteReader): LevelPolicy {
    const flags = reader.u8();
    check(flags <= 3, "unknown flags of a policy");
    const ttlMs = (flags & 1) === 0 ? null : reader.varint();
    const maxBytes = (flags & 2) === 0 ? null : reader.varint();
    const revision = reader.varint();
    check(revision <= this.#broker.retentionRevision, "a policy is newer than the newest");
    return flags === 0 && revision === 0 ? NO_POLICY : { ttlMs, maxBytes, revision };
  }

  get #isBeforeTopics(): boolean {
    return this.#topic === null && this.#lastTopicId === 0 && this.#namespace === null;
  }

  #restoreLevel(reader: ByteReader): void {
    check(this.#sections === 1, "the level comes right after the header");
    this.#level = reader.varint();
    check(this.#level > LEVEL_FIRST && this.#level <= LEVEL_KNOWN, "unknown level of the log");
  }

  #restoreMembers(reader: ByteReader): void {
    check(this.#sections <= 2 && this.#isBeforeTopics, "members come right after the header");
    let last = "";
    while (reader.remaining > 0) {
      const id = reader.text() as NodeId;
      const host = reader.text();
      const raftPort = reader.varint();
      const httpPort = reader.varint();
      const priority = reader.varint();
      const flags = reader.u8();
      check(flags <= 1, "unknown flags of a member");
      const storageId = flags === 0 ? null : reader.text();
      check(id > last, "members are not in order");
      last = id;
      this.#members.set(id, { id, host, raftPort, httpPort, priority, storageId });
    }
  }

  #restoreTopic(reader: ByteReader): void {
    this.#closeTopic();
    check(this.#namespace === null, "topics come before keys");
    const topicId = reader.varint();
    const name = reader.text();
    const partitionCount = reader.varint();
    const policy = this.#policy(reader);
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
    const partition = new PartitionState(topic.topicId, number, this.#broker.epoch);
    partition.lowWatermark = reader.varint() as Offset;
    partition.endOffset = reader.varint() as Offset;
    partition.bytesBelowLow = reader.varint();
    partition.bytesEnd = reader.varint();
    partition.policy = this.#policy(reader);
    check(partition.lowWatermark <= partition.endOffset, "low watermark beyond the end");
    check(partition.bytesBelowLow <= partition.bytesEnd, "more bytes deleted than written");
    topic.partitions.push(partition);
    this.#partition = partition;
  }

  #restoreGroups(reader: ByteReader): void {
    const partition = this.#partition;
    if (partition === null) throw new DecodeError("groups have no partition");
    while (reader.remaining > 0) {
      const group = reader.text();
      const offset = reader.varint() as Offset;
      check(offset <= partition.endOffset, "committed offset beyond the end");
      check(!partition.committed.has(group), "a group comes twice");
      partition.committed.set(group, offset);
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
      check(count > 0 && firstOffset + count <= endOffset, "a first write was never stored");
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

  #restoreNamespace(reader: ByteReader): void {
    this.#closeTopic();
    const kv = this.#kv;
    const id = reader.varint();
    const name = reader.text();
    const revision = reader.varint();
    check(id > (this.#namespace?.id ?? 0), "namespaces are not in order");
    check(id < kv.nextNamespaceId, "a namespace is newer than the newest");
    check(!kv.namespaces.has(name), "two namespaces have one name");
    const namespace = new KvNamespace(id, name, kv.epoch);
    namespace.revision = revision;
    kv.namespaces.set(name, namespace);
    this.#namespace = namespace;
  }

  #restoreEntries(reader: ByteReader): void {
    const namespace = this.#namespace;
    if (namespace === null) throw new DecodeError("keys have no namespace");
    const kv = this.#kv;
    while (reader.remaining > 0) {
      const entry = decodeKvEntry(reader, namespace);
      namespace.keys.append(entry);
      kv.size++;
      kv.bytes += entry.key.length + entry.value.length;
      if (entry.expiresAt !== 0) kv.soonest = Math.min(kv.soonest, entry.expiresAt);
    }
  }

  #restoreEnd(reader: ByteReader): void {
    this.#closeTopic();
    check(reader.u32() === this.#sections, "sections are missing");
    this.#isEnded = true;
  }
}

function decodeKvEntry(reader: ByteReader, namespace: KvNamespace): NewEntry {
  const revision = reader.varint();
  const expiresAt = reader.varint();
  const keyLength = reader.varint();
  const bytes = reader.blob();
  check(revision > 0 && revision <= namespace.revision, "a revision was never given out");
  check(keyLength <= bytes.length, "a key is longer than its entry");
  textBytes(bytes, keyLength);
  const key = bytes.subarray(0, keyLength);
  return { key, value: bytes.subarray(keyLength), revision, expiresAt };
}

function check(condition: boolean, otherwise: string): void {
  if (!condition) throw new DecodeError(otherwise);
}
