import type { Offset } from "../record/offset.ts";
import type { DedupeCapture } from "./dedupe-table.ts";
import type { BrokerState, LevelPolicy, PartitionState, TopicKeeper, TopicState } from "./state.ts";

export type PartitionCapture = {
  readonly partition: number;
  readonly lowWatermark: Offset;
  readonly endOffset: Offset;
  readonly bytesBelowLow: number;
  readonly bytesEnd: number;
  readonly committed: ReadonlyMap<string, Offset>;
  readonly policy: LevelPolicy;
  readonly dedupe: DedupeCapture | null;
};

export type TopicCapture = {
  readonly topic: TopicState;
  readonly policy: LevelPolicy;
  readonly partitions: readonly PartitionCapture[];
};

/**
 * The topics as they were when the capture was made, one after the other. Making it costs the same
 * for any number of topics: commands hand over what they are about to change, as long as it was not
 * taken yet. Committed offsets are copied before their first change in an epoch, policies are
 * replaced, and idempotency keys are only added.
 */
export class TopicsCapture implements TopicKeeper, Iterator<TopicCapture, undefined> {
  readonly #broker: BrokerState;
  /** The topics that exist now, also newer ones, in the order of their ids. */
  readonly #topics: Iterator<TopicState>;
  #next: TopicState | undefined;
  readonly #endTopicId: number;
  /** The id of the topic that was taken last. */
  #takenId = 0;
  readonly #partitions = new Map<PartitionState, PartitionCapture>();
  readonly #policies = new Map<TopicState, LevelPolicy>();
  /** Topics that were deleted before they were taken, in any order. */
  readonly #deleted: TopicCapture[] = [];

  constructor(broker: BrokerState) {
    broker.epoch++;
    this.#broker = broker;
    this.#endTopicId = broker.nextTopicId;
    this.#topics = broker.topicsById.values();
    broker.captures = [...broker.captures, this];
    this.#advance();
  }

  next(): IteratorResult<TopicCapture, undefined> {
    const value = this.#take();
    return value === null ? this.return() : { done: false, value };
  }

  /** Ends the capture: commands keep nothing for it any more. */
  return(): { done: true; value: undefined } {
    this.#broker.captures = this.#broker.captures.filter((one) => one !== this);
    this.#next = undefined;
    this.#deleted.length = 0;
    return { done: true, value: undefined };
  }

  partitionChanges(partition: PartitionState): void {
    if (this.#isOver(partition.topicId) || this.#partitions.has(partition)) return;
    this.#partitions.set(partition, capturePartition(partition));
  }

  policyChanges(topic: TopicState): void {
    if (this.#isOver(topic.topicId) || this.#policies.has(topic)) return;
    this.#policies.set(topic, topic.policy);
  }

  topicDeleted(topic: TopicState): void {
    if (this.#isOver(topic.topicId)) return;
    // The iterator leaves out what was deleted, unless it has taken the topic out already.
    if (topic !== this.#next) this.#deleted.push(this.#captureOf(topic));
  }

  /** True if the topic was taken already, or is newer than the capture. */
  #isOver(topicId: number): boolean {
    return topicId <= this.#takenId || topicId >= this.#endTopicId;
  }

  #take(): TopicCapture | null {
    const topic = this.#next;
    const deleted = this.#deleted.length === 0 ? null : this.#firstDeleted(topic);
    if (deleted !== null) {
      this.#takenId = deleted.topic.topicId;
      return deleted;
    }
    if (topic === undefined) return null;
    const capture = this.#captureOf(topic);
    this.#takenId = topic.topicId;
    this.#advance();
    return capture;
  }

  #advance(): void {
    const { value, done } = this.#topics.next();
    this.#next = done === true || value.topicId >= this.#endTopicId ? undefined : value;
  }

  /** Returns the first deleted topic if it comes before the next one that exists. */
  #firstDeleted(before: TopicState | undefined): TopicCapture | null {
    let first = 0;
    const idAt = (at: number) => this.#deleted[at]?.topic.topicId ?? Number.POSITIVE_INFINITY;
    for (let at = 1; at < this.#deleted.length; at++) if (idAt(at) < idAt(first)) first = at;
    if (idAt(first) > (before?.topicId ?? Number.POSITIVE_INFINITY)) return null;
    return this.#deleted.splice(first, 1)[0] ?? null;
  }

  #captureOf(topic: TopicState): TopicCapture {
    const policy = this.#policies.get(topic) ?? topic.policy;
    this.#policies.delete(topic);
    return { topic, policy, partitions: topic.partitions.map((one) => this.#partitionOf(one)) };
  }

  #partitionOf(partition: PartitionState): PartitionCapture {
    const changed = this.#partitions.get(partition);
    if (changed === undefined) return capturePartition(partition);
    this.#partitions.delete(partition);
    return changed;
  }
}

const capturePartition = (partition: PartitionState): PartitionCapture => ({
  partition: partition.partition,
  lowWatermark: partition.lowWatermark,
  endOffset: partition.endOffset,
  bytesBelowLow: partition.bytesBelowLow,
  bytesEnd: partition.bytesEnd,
  committed: partition.committed,
  policy: partition.policy,
  dedupe: partition.dedupe?.capture() ?? null,
});
