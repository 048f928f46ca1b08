/** A node in memory with the semantics of the contract and no durability: for tests of the edge. */

import { partitionOfKey } from "../../../src/lib/partitioner.ts";
import type {
  CommitRequest,
  ConsumeRequest,
  KvDeleteNamespaceRequest,
  KvDeleteRequest,
  KvGetRequest,
  KvListRequest,
  KvPutOutcome,
  KvPutRequest,
  ListTopicsRequest,
  NodeApi,
  NodeHealth,
  OffsetsAtRequest,
  PartitionRef,
  ProduceOutcome,
  ProduceRequest,
  ProducersApi,
  RecordWait,
  Rejected,
  RetentionPolicy,
  RetentionRequest,
  WriteReject,
} from "../../../src/node/api.ts";
import { partitionNotFound } from "../../../src/node/reads/find-partition.ts";
import { payloadOf } from "../../../src/record/strip-headers.ts";
import { FakeBackup } from "./fake-backup.ts";
import { FakeGroups } from "./fake-groups.ts";
import { FakeKv } from "./fake-kv.ts";
import { FakePartition } from "./fake-partition.ts";

const DEFAULT_PARTITIONS = 8;
const ALL_TOPICS = { prefix: "", after: "", limit: Number.MAX_SAFE_INTEGER };

export class FakeNode implements NodeApi {
  readonly #topics = new Map<string, FakePartition[]>();
  readonly #policies = new Map<string, RetentionPolicy>();
  readonly #kv: FakeKv;
  readonly groups = new FakeGroups(this.#topics);
  #index = 0;
  #lastTopicId = 0;
  #turn = 0;
  /** The rejection of every write. */
  rejectWrites: Rejected<WriteReject> | null = null;
  /** Writes are answered as if `timeout_ms` had passed first. */
  slowSync = false;
  /** Thrown by every call, like a bug. */
  broken: Error | null = null;
  calls = 0;
  healthNow: Partial<NodeHealth> = {};
  now: () => number = Date.now;

  constructor() {
    this.#kv = new FakeKv(() => this.now());
  }

  health(): NodeHealth {
    return {
      ready: true,
      reason: "",
      role: "leader",
      nodeId: "node1",
      leaderId: "node1",
      leaderUrl: null,
      term: 1,
      commitIndex: this.#index,
      appliedIndex: this.#index,
      durableIndex: this.#index,
      ...this.healthNow,
    };
  }

  /** True: the fake takes writes although another node leads. */
  isLinked = false;

  forwardsByLink(): boolean {
    return this.isLinked;
  }

  nodeMark(): string {
    return "mark-of-this-node";
  }

  isNodeMark(mark: string): boolean {
    return mark === "mark-of-this-node" || mark === "mark-of-another-node";
  }

  leaderUrl(): string | null {
    return this.health().leaderUrl;
  }

  async createTopic(topic: string, partitions: number) {
    const rejected = this.#write();
    if (rejected !== null) return rejected;
    const present = this.#topics.get(topic);
    if (present !== undefined && present.length !== partitions) {
      const details = { partitions: present.length };
      return { ok: false, code: "topic_exists", details } as const;
    }
    if (present === undefined) this.#create(topic, partitions);
    return { ok: true, topic, partitions } as const;
  }

  async deleteTopic(topic: string) {
    const rejected = this.#write();
    if (rejected !== null) return rejected;
    const partitions = this.#topics.get(topic);
    if (partitions === undefined) return { ok: false, code: "topic_not_found" } as const;
    this.#topics.delete(topic);
    for (const partition of partitions) partition.wake();
    return { ok: true } as const;
  }

  listTopics({ prefix, after, limit }: ListTopicsRequest = ALL_TOPICS) {
    const named = [...this.#topics].filter(([name]) => name > after && name.startsWith(prefix));
    named.sort(([a], [b]) => (a < b ? -1 : 1));
    return named.slice(0, limit).map(([topic, partitions]) => ({
      topic,
      partitions: partitions.length,
      messages: partitions.reduce((sum, each) => sum + each.endOffset - each.lowWatermark, 0),
      bytes: partitions.reduce((sum, each) => sum + each.bytes, 0),
    }));
  }

  offsetsAt({ topic, partition, timeMs }: OffsetsAtRequest) {
    const partitions = this.#topics.get(topic);
    if (partitions === undefined) {
      return Promise.resolve({ ok: false, code: "topic_not_found" } as const);
    }
    if (partition !== null && partition >= partitions.length) {
      return Promise.resolve(partitionNotFound(partition, partitions.length));
    }
    const all = partitions.map((each, i) => ({ partition: i, ...each.offsetAt(timeMs) }));
    const offsets = all.filter((each) => partition === null || each.partition === partition);
    const topicId = partitions[0]?.topicId ?? 0;
    return Promise.resolve({ ok: true, topicId, offsets } as const);
  }

  catchUp() {
    return Promise.resolve(null);
  }
  describeTopic(topic: string, rowsMax = Number.MAX_SAFE_INTEGER) {
    const partitions = this.#topics.get(topic);
    if (partitions === undefined) return { ok: false, code: "topic_not_found" } as const;
    const partitionList = partitions.map(({ lowWatermark, endOffset, bytes }, partition) => ({
      partition,
      lowWatermark,
      endOffset,
      bytes,
    }));
    const rows = this.groups.progressIn(topic);
    const names = [...new Set(rows.map(({ group }) => group))];
    const shown = Math.floor(rowsMax / partitions.length);
    const groups = rows.slice(0, shown * partitions.length);
    const groupsLeft = names.slice(shown);
    const { length } = partitions;
    return { ok: true, topic, partitions: length, partitionList, groups, groupsLeft } as const;
  }

  async deleteGroup(group: string) {
    const rejected = this.#write();
    if (rejected !== null) return rejected;
    let offsets = 0;
    for (const partition of [...this.#topics.values()].flat()) {
      if (partition.committed.delete(group)) offsets++;
    }
    if (offsets === 0) return { ok: false, code: "group_not_found" } as const;
    return { ok: true, offsets, members: 0 } as const;
  }

  groupsOf(topic: string, names?: readonly string[]) {
    const described = this.describeTopic(topic);
    if (!described.ok) return described;
    const wanted = ({ group }: { group: string }) => names?.includes(group) ?? true;
    return { ok: true, groups: described.groups.filter(wanted) } as const;
  }

  produce(request: ProduceRequest, done: (outcome: ProduceOutcome) => void) {
    const outcome = this.#produce(request);
    queueMicrotask(() => done(outcome));
  }

  readonly producers: ProducersApi = {
    list: ({ topic, partition, id, limit }) => {
      const partitions = this.#topics.get(topic);
      if (partitions === undefined) return { ok: false, code: "topic_not_found" };
      const { length } = partitions;
      if (partition !== null && partition >= length) return partitionNotFound(partition, length);
      const all = partitions.flatMap((each, i) =>
        [...each.producers]
          .map(([name, { epoch, seq, firstOffset: offset, count }]) => ({
            ...{ id: name, partition: i, epoch, seq, offset, count },
            lastWriteMs: this.now(),
          }))
          .reverse(),
      );
      const found = all.filter(
        (each) =>
          (partition === null || each.partition === partition) && (id === null || each.id === id),
      );
      return { ok: true, producers: found.slice(0, limit), total: all.length };
    },
    forget: async (topic, id) => {
      const rejected = this.#write();
      if (rejected !== null) return rejected;
      const known = this.#topics.get(topic);
      if (known === undefined) return { ok: false, code: "topic_not_found" };
      const partitions = known.filter((each) => each.forgetProducer(id)).length;
      if (partitions === 0) return { ok: false, code: "producer_not_found" };
      return { ok: true, partitions };
    },
  };

  #choosePartition({ key, idempotencyKey }: ProduceRequest, count: number): number {
    const hashed = key ?? idempotencyKey;
    return hashed === null ? this.#turn++ % count : partitionOfKey(hashed, count);
  }

  #produce(request: ProduceRequest): ProduceOutcome {
    const rejected = this.#write();
    if (rejected !== null) return rejected;
    const { topic, rocket } = request;
    const partitions = this.#topics.get(topic);
    const count = partitions?.length ?? DEFAULT_PARTITIONS;
    const partition = request.partition ?? this.#choosePartition(request, count);
    if (partition >= count) return partitionNotFound(partition, count);
    if (partitions === undefined && leavesGap(request)) return FIRST_EXPECTED;
    const target = (partitions ?? this.#create(topic, count))[partition];
    if (target === undefined) throw new Error("unreachable");
    const stored = appended(target, request, this.now());
    if ("ok" in stored) return stored;
    const batchId = rocket || stored.duplicate ? 0 : this.#index;
    const synced = rocket || stored.duplicate ? null : !this.slowSync;
    const ackedBy = synced === true ? 1 : 0;
    const times = { queueUs: 3, syncWaitUs: 5 };
    const committed = synced === true || stored.duplicate;
    const ack = { batchId, synced, ackedBy, committed };
    return { ok: true, partition, ...stored, ...ack, ...times } as const;
  }

  async consume({ topic, partition, group, offset, topicId = null }: ConsumeRequest) {
    if (this.broken !== null) throw this.broken;
    const found = this.#partition({ topic, partition });
    if (!(found instanceof FakePartition)) return found;
    const isOther = topicId !== null && topicId !== found.topicId;
    if (isOther || (offset ?? 0) > found.endOffset) return outOfRange(found);
    return { ok: true, ...found.page(offset, group) } as const;
  }

  async waitForRecords({ topic, partition, topicId, offset, timeoutMs, signal }: RecordWait) {
    const found = this.#partition({ topic, partition });
    if (!(found instanceof FakePartition) || found.topicId !== topicId) return;
    await found.wait(offset, timeoutMs, signal);
  }

  async commitOffset({ topic, partition, group, offset }: CommitRequest) {
    const found = this.#write() ?? this.#partition({ topic, partition });
    if (!(found instanceof FakePartition)) return found;
    const clamped = offset > found.endOffset;
    const committedOffset = found.commit(group, Math.min(offset, found.endOffset));
    return { ok: true, committedOffset, clamped } as const;
  }

  async deleteBefore({ topic, partition, beforeOffset }: PartitionRef & { beforeOffset: number }) {
    const found = this.#write() ?? this.#partition({ topic, partition });
    if (!(found instanceof FakePartition)) return found;
    const clamped = beforeOffset > found.endOffset;
    const deleted = found.deleteBefore(Math.min(beforeOffset, found.endOffset));
    return { ok: true, ...deleted, clamped } as const;
  }

  async setRetention(request: RetentionRequest) {
    const rejected = this.#write();
    if (rejected !== null) return rejected;
    const { topic, partition, ttlMs, maxBytes } = request;
    const partitions = this.#topics.get(topic);
    if (topic !== "*" && partitions === undefined) {
      return { ok: false, code: "topic_not_found" } as const;
    }
    if (partitions !== undefined && partition !== null && partition >= partitions.length) {
      return { ok: false, code: "partition_not_found" } as const;
    }
    const id = `${topic} ${partition}`;
    const old = this.#policies.get(id);
    const changed = (before: number | null, value: typeof ttlMs) =>
      value === "inherit" ? null : (value ?? before);
    this.#policies.set(id, {
      topic,
      partition,
      ttlMs: changed(old?.ttlMs ?? null, ttlMs),
      maxBytes: changed(old?.maxBytes ?? null, maxBytes),
    });
    return { ok: true } as const;
  }

  listRetention() {
    const isSet = ({ ttlMs, maxBytes }: RetentionPolicy) => ttlMs !== null || maxBytes !== null;
    return [...this.#policies.values()].filter(isSet);
  }

  kvPut(request: KvPutRequest, done: (outcome: KvPutOutcome) => void) {
    const rejected = this.#write();
    const result = rejected ?? this.#kv.put(request);
    const outcome = result.ok ? { ...result, ...this.#ack() } : result;
    queueMicrotask(() => done(outcome));
  }

  kvGet({ namespace, key }: KvGetRequest) {
    return this.#kv.get(namespace, key);
  }

  async kvDelete({ namespace, key, cas }: KvDeleteRequest) {
    const rejected = this.#write();
    if (rejected !== null) return rejected;
    const result = this.#kv.delete(namespace, key, cas);
    return result.ok ? { ...result, ...this.#ack() } : result;
  }

  async kvDeleteNamespace({ namespace, ifEmpty }: KvDeleteNamespaceRequest) {
    const rejected = this.#write();
    if (rejected !== null) return rejected;
    const result = this.#kv.deleteNamespace(namespace, ifEmpty);
    return result.ok ? { ...result, ...this.#ack() } : result;
  }

  async kvList(request: KvListRequest) {
    return this.#kv.list(request);
  }

  kvNamespaces() {
    return this.#kv.namespaces();
  }

  lastSyncedIndex() {
    return this.#index;
  }

  async beginBackup(): ReturnType<NodeApi["beginBackup"]> {
    const backup = new FakeBackup(1, 100);
    backup.index = this.#index;
    return { ok: true, backup };
  }

  /** Awaited before a checkpoint is taken. */
  beforeCheckpoint: Promise<void> = Promise.resolve();

  async compact() {
    await this.beforeCheckpoint;
    return { checkpointIndex: this.#index, freedBytes: 0 };
  }

  #ack() {
    return { batchId: this.#index, synced: !this.slowSync, ackedBy: 1 };
  }

  #write(): Rejected<WriteReject> | null {
    this.calls++;
    if (this.broken !== null) throw this.broken;
    if (this.rejectWrites === null) this.#index++;
    return this.rejectWrites;
  }

  #create(topic: string, partitions: number): FakePartition[] {
    const topicId = ++this.#lastTopicId;
    const made = Array.from({ length: partitions }, (_, i) => new FakePartition(topicId, i));
    this.#topics.set(topic, made);
    return made;
  }

  #partition({ topic, partition }: PartitionRef) {
    const partitions = this.#topics.get(topic);
    if (partitions === undefined) return { ok: false, code: "topic_not_found" } as const;
    return partitions[partition] ?? partitionNotFound(partition, partitions.length);
  }
}

const FIRST_EXPECTED = { ok: false, code: "sequence_gap", details: { expectedSeq: 0 } } as const;

/** True if the producer cannot begin with this number in a topic that does not exist. */
const leavesGap = ({ producer }: ProduceRequest): boolean => (producer?.seq ?? 0) > 0;

function appended(target: FakePartition, request: ProduceRequest, nowMs: number) {
  const { idempotencyKey, records, producer, traced } = request;
  const payload = payloadOf(records, traced === true);
  if (producer != null) return target.appendNumbered(records, producer, payload, nowMs);
  const id = idempotencyKey === null ? null : Buffer.from(idempotencyKey).toString("hex");
  return target.append(records, id, payload, nowMs);
}

const outOfRange = ({ endOffset }: FakePartition) =>
  ({ ok: false, code: "offset_out_of_range", details: { endOffset } }) as const;
