import { committedOffset } from "../../broker/groups.ts";
import { listRetention } from "../../broker/retention.ts";
import { findTopic, type PartitionState, type TopicState } from "../../broker/state.ts";
import { groupsIn, lagIn, standingsIn } from "../../groups/standings.ts";
import { smallest } from "../../lib/smallest.ts";
import type { Machine } from "../../machine/machine.ts";
import { PartitionDamaged } from "../../storage/partitions/damaged.ts";
import type {
  ConsumePage,
  ConsumeReject,
  ConsumeRequest,
  GroupLag,
  ListTopicsRequest,
  OffsetsAt,
  OffsetsAtRequest,
  RecordWait,
  Rejected,
  Result,
  RetentionPolicy,
  TopicDescription,
  TopicSummary,
} from "../api.ts";
import { handleOf, type PartitionHandle } from "../partition-handle.ts";
import {
  beyondEnd,
  type Found,
  findAfterCatchUp,
  findPartition,
  offsetOutOfRange,
} from "./find-partition.ts";
import type { Linearizer } from "./linearizer.ts";
import { offsetsAt } from "./offsets-at.ts";

type Outcome = Result<ConsumePage, ConsumeReject>;
type Place = Extract<Found, { ok: true }>;
type Read = Pick<ConsumePage, "slices" | "first"> | null;

const EMPTY: Read = { slices: [], first: null };

/** Answers reads from the applied state of this node. */
export class Reader {
  readonly #machine: Machine;
  readonly #linearizer: Linearizer;

  constructor(machine: Machine, linearizer: Linearizer) {
    this.#machine = machine;
    this.#linearizer = linearizer;
  }

  async consume(request: ConsumeRequest): Promise<Outcome> {
    if (request.linearizable) {
      const outcome = await this.#linearizer.confirm();
      if (outcome !== "ok") return { ok: false, code: outcome };
    }
    for (let before: PartitionState | null = null; ; ) {
      const place = this.#find(request);
      const found = place instanceof Promise ? await place : place;
      if (!found.ok) return found;
      const { partition } = found;
      const read = this.#page(partition, request);
      // Most pages come from memory and do not need a promise.
      const page = read instanceof Promise ? await read : read;
      // The file was removed during the read: a snapshot was installed, or the node stops.
      if (!handleOf(partition).log.deleted || partition === before) return page;
      before = partition;
    }
  }

  /** Returns the partition if the requested offset is a position in it. */
  #find(request: ConsumeRequest): Place | Promise<Place | Rejected<ConsumeReject>> {
    const found = findPartition(this.#machine, request);
    return found.ok && isWithin(found, request) ? found : this.#findAfterCatchUp(request);
  }

  async #findAfterCatchUp(request: ConsumeRequest): Promise<Place | Rejected<ConsumeReject>> {
    for (;;) {
      const found = await findAfterCatchUp(this.#machine, request, this.#linearizer);
      if (!found.ok || isWithin(found, request)) return found;
      const wrong = await this.#outOfRange(found, request);
      if (wrong !== null) return wrong;
    }
  }

  /** @returns null if the requested offset may be within the partition now. */
  async #outOfRange(
    { topic, partition }: Place,
    request: ConsumeRequest,
  ): Promise<Rejected<ConsumeReject> | null> {
    const { topicId = null, offset } = request;
    if (topicId !== null && topicId !== topic.topicId) {
      return topicId < topic.topicId
        ? createdAgain(topic, partition)
        : await this.#newerTopic(request, topicId);
    }
    return await beyondEnd(this.#machine, request, offset ?? 0, this.#linearizer);
  }

  /** Ids increase, so the reader saw the topic on a node that does not lag, or in another cluster. */
  async #newerTopic(
    request: ConsumeRequest,
    topicId: number,
  ): Promise<Rejected<ConsumeReject> | null> {
    const behind = await this.#linearizer.catchUp();
    const found = findPartition(this.#machine, request);
    if (!found.ok || found.topic.topicId === topicId) return null;
    return behind ?? createdAgain(found.topic, found.partition);
  }

  /** @returns a promise only if a file has to be read. */
  #page(partition: PartitionState, request: ConsumeRequest): Outcome | Promise<Outcome> {
    const committed = committedOffset(partition, request.group);
    const asked = request.offset ?? committed ?? partition.lowWatermark;
    // The page ends at the current end: records appended while a file is read are not in it.
    const { endOffset } = partition;
    const from = Math.max(asked, partition.lowWatermark);
    const pageOf = (read: Read): Outcome => {
      if (read === null) return { ok: false, code: "data_damaged" };
      // The partition may have been trimmed during the read.
      const { lowWatermark } = partition;
      return {
        ok: true,
        slices: read.slices,
        first: read.first,
        topicId: partition.topicId,
        startOffset: Math.max(asked, lowWatermark),
        committedOffset: committed,
        lowWatermark,
        endOffset: Math.max(endOffset, lowWatermark),
      };
    };
    const read = from >= endOffset ? EMPTY : readRecords(handleOf(partition), from, request);
    return read instanceof Promise ? read.then(pageOf) : pageOf(read);
  }

  offsetsAt(request: OffsetsAtRequest): Promise<Result<OffsetsAt, ConsumeReject>> {
    return offsetsAt(this.#machine, this.#linearizer, request);
  }

  async waitForRecords(wait: RecordWait): Promise<void> {
    const found = findPartition(this.#machine, wait);
    // Deleted, or deleted and created again: the next read reports it.
    if (!found.ok || found.topic.topicId !== wait.topicId) return;
    if (found.partition.endOffset > wait.offset) return;
    await handleOf(found.partition).waits.wait(wait.offset, wait.timeoutMs, wait.signal);
  }

  listTopics(request: ListTopicsRequest = ALL_TOPICS): readonly TopicSummary[] {
    const { broker } = this.#machine;
    const names = smallest(namesWithin(broker.userTopics.values(), request), request.limit);
    return names.map((name) => summaryOf(findTopic(broker, name) as TopicState));
  }

  describeTopic(
    name: string,
    rowsMax = Number.MAX_SAFE_INTEGER,
  ): Result<TopicDescription, "topic_not_found"> {
    const topic = findTopic(this.#machine.broker, name);
    if (topic === undefined) return { ok: false, code: "topic_not_found" };
    const names = groupsIn(this.#machine.parts.groups, topic);
    const shown = Math.floor(rowsMax / topic.partitions.length);
    return {
      ok: true,
      topic: name,
      partitions: topic.partitions.length,
      partitionList: topic.partitions.map((partition) => ({
        partition: partition.partition,
        lowWatermark: partition.lowWatermark,
        endOffset: partition.endOffset,
        bytes: retainedBytes(partition),
      })),
      groups: this.#rowsOf(topic, names.slice(0, shown)),
      groupsLeft: names.slice(shown),
    };
  }

  groupsOf(
    name: string,
    names?: readonly string[],
  ): Result<{ groups: readonly GroupLag[] }, "topic_not_found"> {
    const topic = findTopic(this.#machine.broker, name);
    if (topic === undefined) return { ok: false, code: "topic_not_found" };
    const all = names ?? groupsIn(this.#machine.parts.groups, topic);
    return { ok: true, groups: this.#rowsOf(topic, all) };
  }

  /** Progress of these groups in all partitions. */
  #rowsOf(topic: TopicState, names: readonly string[]): GroupLag[] {
    const { groups } = this.#machine.parts;
    return names.flatMap((group) =>
      [...standingsIn(groups, topic, group)].map(({ partition, committed }) => ({
        group,
        partition: partition.partition,
        committedOffset: committed,
        lag: lagIn(partition, committed),
      })),
    );
  }

  listRetention(): readonly RetentionPolicy[] {
    return listRetention(this.#machine.broker);
  }
}

/** True if the offset is a position in this topic. */
const isWithin = (
  { topic, partition }: Place,
  { topicId = null, offset }: ConsumeRequest,
): boolean =>
  (topicId === null || topicId === topic.topicId) &&
  (offset === null || offset <= partition.endOffset);

/** A reader that continued with an offset of the deleted topic would skip or repeat records. */
const createdAgain = ({ name }: TopicState, { partition, endOffset }: PartitionState) =>
  offsetOutOfRange(
    endOffset,
    `Topic "${name}" was deleted and created again: the offset is of the deleted one, partition ${partition} now ends at ${endOffset}`,
  );

/** @returns null if the records are damaged and no peer has restored them in time. */
function readRecords(
  { log }: PartitionHandle,
  from: number,
  { limit, maxBytes }: ConsumeRequest,
): Read | Promise<Read> {
  try {
    const page = log.page(from, limit, maxBytes);
    return page instanceof Promise ? page.catch(nullIfDamaged) : page;
  } catch (error) {
    return nullIfDamaged(error);
  }
}

function nullIfDamaged(error: unknown): null {
  if (error instanceof PartitionDamaged) return null;
  throw error;
}

const ALL_TOPICS = { prefix: "", after: "", limit: Number.MAX_SAFE_INTEGER };

function* namesWithin(
  topics: Iterable<TopicState>,
  { prefix, after }: ListTopicsRequest,
): Generator<string> {
  for (const { name } of topics) if (name > after && name.startsWith(prefix)) yield name;
}

function summaryOf(topic: TopicState): TopicSummary {
  let messages = 0;
  let bytes = 0;
  for (const partition of topic.partitions) {
    messages += partition.endOffset - partition.lowWatermark;
    bytes += retainedBytes(partition);
  }
  return { topic: topic.name, partitions: topic.partitions.length, messages, bytes };
}

/** Bytes of keys and values from the low watermark on. */
export const retainedBytes = (partition: PartitionState): number =>
  partition.bytesEnd - partition.bytesBelowLow;
