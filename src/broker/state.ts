import { assert } from "../lib/assert.ts";
import { type CommandRejected, commandRejected, type Rejecting } from "../lib/command-rejected.ts";
import { IdMap } from "../lib/id-map.ts";
import type { Millis } from "../lib/ids.ts";
import type { Offset } from "../record/offset.ts";
import type { DedupeTable } from "./dedupe-table.ts";

/** Limits that decide what apply does, so they are replicated: see `configure`. */
export type BrokerLimits = {
  readonly dedupeWindowMs: number;
  readonly dedupeKeysMax: number;
  readonly partitionsMax: number;
};

export const DEFAULT_LIMITS: BrokerLimits = {
  dedupeWindowMs: 24 * 3_600_000,
  dedupeKeysMax: 1_000_000,
  partitionsMax: 10_000,
};

/** The policy of one level. Null means not set, 0 means disabled. Replaced, never changed. */
export type LevelPolicy = {
  readonly ttlMs: number | null;
  readonly maxBytes: number | null;
  /** Value of `BrokerState.retentionRevision` when this level was last set. */
  readonly revision: number;
};

export const NO_POLICY: LevelPolicy = { ttlMs: null, maxBytes: null, revision: 0 };

/** Most partitions of streams have no committed offsets. */
const NO_OFFSETS: ReadonlyMap<string, Offset> = new Map();

/** State of a partition; the records are in the caller's partition log. */
export class PartitionState {
  readonly topicId: number;
  readonly partition: number;
  /** First retained offset. */
  lowWatermark = 0 as Offset;
  /** The offset that the next record gets. */
  endOffset = 0 as Offset;
  /** Logical bytes of all records ever below the low watermark. */
  bytesBelowLow = 0;
  /** Logical bytes of all records ever. */
  bytesEnd = 0;
  /** Next offset to read of each consumer group. Shared with a snapshot while the epochs differ. */
  committed: ReadonlyMap<string, Offset> = NO_OFFSETS;
  /** The epoch in which `committed` was copied. */
  committedEpoch = -1;
  policy: LevelPolicy = NO_POLICY;
  /** Null until the first idempotency key. */
  dedupe: DedupeTable | null = null;

  /** Not replicated: belongs to the node. */
  node: object | null = null;

  constructor(topicId: number, partition: number) {
    this.topicId = topicId;
    this.partition = partition;
  }
}

/** Part of the names of topics that are not for users. No valid topic name has it. */
const HIDDEN_SIGN = ":";
/** Beginning of the names of the topics of streams. */
const STREAM_PREFIX = `stream${HIDDEN_SIGN}`;

/** The name of the topic of a stream. */
export const streamTopicName = (topicId: number): string => `${STREAM_PREFIX}${topicId}`;

export class TopicState {
  readonly topicId: number;
  /** Null: the topic of a stream. There may be very many, and their names follow from their ids. */
  readonly givenName: string | null;
  readonly partitions: readonly PartitionState[];
  policy: LevelPolicy = NO_POLICY;

  constructor(topicId: number, name: string, partitions: readonly PartitionState[]) {
    this.topicId = topicId;
    this.givenName = name === streamTopicName(topicId) ? null : name;
    this.partitions = partitions;
  }

  get name(): string {
    return this.givenName ?? streamTopicName(this.topicId);
  }
}

/** True for a topic in which another part of the state stores its records. See `hidden-topics.ts`. */
export const isHidden = ({ name }: { readonly name: string }): boolean =>
  name.includes(HIDDEN_SIGN);

export class BrokerState {
  limits: BrokerLimits = DEFAULT_LIMITS;
  /** In the order of their ids. */
  readonly topicsById = new IdMap<TopicState>();
  /** Those of them that are not topics of streams, in the same order. */
  readonly topicsByName = new Map<string, TopicState>();
  /** Those of them that are not hidden, in the order of their ids. */
  readonly userTopics = new Map<number, TopicState>();
  /** Partitions of the topics that are not hidden. */
  partitionCount = 0;
  /** Not replicated as such: the groups that have committed offsets, with the number of those. */
  readonly groups = new Map<string, number>();
  /** Not replicated as such: the committed offsets of all groups in all partitions. */
  committedOffsets = 0;
  /** Ids grow from 1 and are never reused: a produce to a deleted topic cannot hit a new one. */
  nextTopicId = 1;
  /** The policy of `"*"`. */
  policy: LevelPolicy = NO_POLICY;
  /** Grows with every change of any policy. */
  retentionRevision = 0;
  /** Not replicated: a lower bound of the time of all keys; `Infinity` if there are none. */
  oldestDedupeAt = Number.POSITIVE_INFINITY;
  /** Not replicated as such: the idempotency keys of all partitions. */
  dedupeKeys = 0;
  /** Not replicated: number of keys evicted for lack of room before their time had passed. */
  dedupeKeysCut = 0;
  /** Not replicated: some partition may hold more keys than `limits` allow. */
  isOverfull = false;
  /** Not replicated: what was last changed in an older epoch may be shared with a snapshot. */
  epoch = 0;
  /** Not replicated: the snapshots that are being encoded. Usually none. */
  captures: readonly TopicKeeper[] = [];
}

/** Keeps what a snapshot that is being encoded still needs, before it changes. */
export interface TopicKeeper {
  partitionChanges(partition: PartitionState): void;
  policyChanges(topic: TopicState): void;
  topicDeleted(topic: TopicState): void;
}

/** Must be called before a field of a partition changes. */
export function beforeChange({ captures }: BrokerState, partition: PartitionState): void {
  if (captures.length === 0) return;
  for (const capture of captures) capture.partitionChanges(partition);
}

/** Effects that the caller carries out, in order, while commands are applied. */
export interface BrokerEffects {
  /** `batches` is a view of the entry: copy it or use it before returning. */
  append(
    partition: PartitionState,
    batches: Uint8Array,
    baseOffset: Offset,
    timestampMs: Millis,
    count: number,
    logicalBytes: number,
  ): void;
  /** The low watermark has moved. */
  trimmed(partition: PartitionState): void;
  topicCreated(topic: TopicState): void;
  topicDeleted(topic: TopicState): void;
}

export type BrokerRejectCode =
  | "topic_exists"
  | "too_many_partitions"
  | "topic_not_found"
  | "group_not_found"
  | "partition_not_found"
  | "offset_out_of_range"
  | "sequence_gap"
  | "stale_epoch"
  | "producer_not_found";

export type BrokerRejected<Code extends BrokerRejectCode = BrokerRejectCode> = CommandRejected<
  Code,
  number
>;

export const rejected: Rejecting<BrokerRejectCode, number> = commandRejected;

export const findTopic = (state: BrokerState, name: string): TopicState | undefined =>
  state.topicsByName.get(name);

export const findPartition = (
  state: BrokerState,
  topicId: number,
  partition: number,
): PartitionState | undefined => state.topicsById.get(topicId)?.partitions[partition];

/** The reason why `findPartition` returned no partition. */
export const rejectMissing = (
  state: BrokerState,
  topicId: number,
): BrokerRejected<"topic_not_found" | "partition_not_found"> =>
  rejected(state.topicsById.has(topicId) ? "partition_not_found" : "topic_not_found");

export function addTopic(state: BrokerState, topic: TopicState): void {
  state.topicsById.set(topic.topicId, topic);
  // Nobody looks for the topic of a stream by its name.
  if (topic.givenName === null) return;
  assert(!state.topicsByName.has(topic.name), "topic names are unique");
  state.topicsByName.set(topic.name, topic);
  if (isHidden(topic)) return;
  state.userTopics.set(topic.topicId, topic);
  state.partitionCount += topic.partitions.length;
}

export function removeTopic(state: BrokerState, topic: TopicState): void {
  for (const capture of state.captures) capture.topicDeleted(topic);
  state.topicsById.delete(topic.topicId);
  if (topic.givenName !== null) state.topicsByName.delete(topic.name);
  if (state.userTopics.delete(topic.topicId)) state.partitionCount -= topic.partitions.length;
}

/** Moves the low watermark forward, never back and never beyond the end. */
export function raiseLowWatermark(
  state: BrokerState,
  partition: PartitionState,
  beforeOffset: Offset,
  bytesBefore: number,
): { deletedCount: number; freedBytes: number } {
  assert(beforeOffset > partition.lowWatermark, "the low watermark only rises");
  assert(beforeOffset <= partition.endOffset, "the low watermark stays within the partition");
  // The leader counted from its own log; a wrong sum must not make the kept bytes negative.
  const bytes = Math.max(partition.bytesBelowLow, Math.min(bytesBefore, partition.bytesEnd));
  const deletedCount = beforeOffset - partition.lowWatermark;
  const freedBytes = bytes - partition.bytesBelowLow;
  beforeChange(state, partition);
  partition.lowWatermark = beforeOffset;
  partition.bytesBelowLow = bytes;
  return { deletedCount, freedBytes };
}

/** The part of the replicated state that commands of this folder need. */
export type HasBroker = { readonly broker: BrokerState; readonly now: Millis };

/** Returns the committed offsets for a change. They are copied if a snapshot may refer to them. */
export function writableOffsets(
  state: BrokerState,
  partition: PartitionState,
): Map<string, Offset> {
  beforeChange(state, partition);
  if (partition.committedEpoch !== state.epoch) {
    partition.committed = new Map(partition.committed);
    partition.committedEpoch = state.epoch;
  }
  return partition.committed as Map<string, Offset>;
}
