/**
 * Queues in a snapshot: sections of one tag, which consist of parts that begin with their kind.
 *
 *     1  varint next queue id
 *     2  a queue: id, name, topic id, definition, counts, progress of moving dead letters back
 *     3  a partition: queue id, number, low offset, runs of finished records above it
 *     4  items: queue id, number of the partition, and for each item: offset, attempts, state,
 *        time, key
 *     5  a redrive that goes on: queue id, rate, number that is left plus one or 0, time
 *
 * Queues come before all partitions and redrives, and a partition before its items.
 */
import { feature as faultPoint } from "bun:bundle";
import { type ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import {
  check,
  type DigestSink,
  type PartRestorer,
  SECTION_BYTES_TARGET,
  type Section,
  type StatePart,
} from "../lib/state-part.ts";
import { decodeDefinition, encodeDefinition } from "./command-format.ts";
import { QUEUE_SPAN_MAX } from "./definition.ts";
import { addQueue, NO_KEY, QueueItem, QueuePartition, QueueState, QueuesState } from "./state.ts";

const SECTION_TAG = 21;

const SECTION_NEXT_ID = 1;
const SECTION_QUEUE = 2;
const SECTION_PARTITION = 3;
const SECTION_ITEMS = 4;
/** Only since level 3 of the log. */
const SECTION_REDRIVE = 5;

const STATE_READY = 0;
const STATE_LEASED = 1;
const STATE_WAITING = 2;

/** Bounds a section of items: each takes at most 40 bytes. */
const ITEMS_PER_SECTION = 4_096;
/** Bounds a section of a partition: a run takes at most 10 bytes. */
const RUNS_MAX = QUEUE_SPAN_MAX;

/**
 * The bytes of all queues as they are now, in pieces, while commands go on to be applied. If a
 * partition changes before it was encoded, it is encoded right before the change.
 */
function captureQueues(state: QueuesState): Iterator<Section> {
  if (state.nextQueueId === 1) return [].values();
  const writer = new ByteWriter(SECTION_BYTES_TARGET);
  const ready: Uint8Array[] = [];
  const waiting: [QueueState, QueuePartition][] = [];
  const take = (): void => {
    if (writer.length === 0) return;
    ready.push(writer.take());
    writer.clear();
  };
  writer.u8(SECTION_NEXT_ID);
  writer.varint(state.nextQueueId);
  for (const queue of state.byName.values()) {
    writeQueue(writer, queue);
    writeRedrive(writer, queue);
    if (writer.length >= SECTION_BYTES_TARGET) take();
    for (const partition of queue.partitions) waiting.push([queue, partition]);
  }
  take();
  const encode = (queue: QueueState, partition: QueuePartition): void => {
    writePartition(writer, queue, partition, () => {
      if (writer.length >= SECTION_BYTES_TARGET) take();
    });
  };
  const marked = new Set<QueuePartition>();
  for (const [queue, partition] of waiting) {
    // Two snapshots at a time do not occur often: the older one is completed first.
    partition.beforeChange?.(partition);
    marked.add(partition);
    partition.beforeChange = () => {
      partition.beforeChange = null;
      marked.delete(partition);
      encode(queue, partition);
    };
  }
  return pieces(ready, waiting, marked, take);
}

const sectionOf = (body: Uint8Array): Section => ({ tag: SECTION_TAG, body });

function* pieces(
  ready: Uint8Array[],
  waiting: readonly (readonly [QueueState, QueuePartition])[],
  marked: Set<QueuePartition>,
  take: () => void,
): Generator<Section, undefined> {
  try {
    for (const [, partition] of waiting) {
      if (marked.has(partition)) partition.beforeChange?.(partition);
      yield* ready.splice(0).map(sectionOf);
    }
    take();
    yield* ready.splice(0).map(sectionOf);
  } finally {
    for (const partition of marked) partition.beforeChange = null;
  }
}

function writeQueue(writer: ByteWriter, queue: QueueState): void {
  writer.u8(SECTION_QUEUE);
  writer.varint(queue.queueId);
  writer.text(queue.name);
  writer.varint(queue.topicId);
  encodeDefinition(writer, queue.definition);
  writer.varint(queue.partitions.length);
  for (const count of countsOf(queue)) writer.varint(count);
  writer.varint(queue.deadTopicId);
  writer.varint(queue.redriveFrom.length);
  for (const offset of queue.redriveFrom) writer.varint(offset);
}

function writeRedrive(writer: ByteWriter, { queueId, redrive }: QueueState): void {
  if (redrive === null || faultPoint("snapshot-forgets-redrive")) return;
  const { perSecond, left, nextAt } = redrive;
  writer.u8(SECTION_REDRIVE);
  writer.varint(queueId);
  writer.varint(perSecond);
  writer.varint(left === null ? 0 : left + 1);
  writer.varint(nextAt);
}

const countsOf = ({ acked, dead, lost, purged, redriven }: QueueState): readonly number[] => [
  acked,
  dead,
  lost,
  purged,
  redriven,
];

function writePartition(
  writer: ByteWriter,
  queue: QueueState,
  partition: QueuePartition,
  sectionEnded: () => void,
): void {
  const { low, done, items } = partition;
  const runs = [...done.runs(low)];
  writer.u8(SECTION_PARTITION);
  writer.varint(queue.queueId);
  writer.varint(partition.partition);
  writer.varint(low);
  writer.varint(runs.length);
  let last = low;
  for (const [first, length] of runs) {
    writer.varint(first - last);
    writer.varint(length);
    last = first + length;
  }
  sectionEnded();
  const list = faultPoint("snapshot-forgets-leases") ? [] : [...items.values()];
  for (let at = 0; at < list.length; at += ITEMS_PER_SECTION) {
    writeItems(writer, queue, partition, list.slice(at, at + ITEMS_PER_SECTION));
    sectionEnded();
  }
}

function writeItems(
  writer: ByteWriter,
  queue: QueueState,
  partition: QueuePartition,
  items: readonly QueueItem[],
): void {
  writer.u8(SECTION_ITEMS);
  writer.varint(queue.queueId);
  writer.varint(partition.partition);
  writer.varint(items.length);
  for (const item of items) {
    writer.varint(item.offset);
    writer.varint(item.attempts);
    writer.u8(stateOf(queue, item));
    writer.varint(item.dueAt);
    writer.varint(item.key);
  }
}

function stateOf(queue: QueueState, item: QueueItem): number {
  if (queue.ready.has(item)) return STATE_READY;
  return item.isLeased ? STATE_LEASED : STATE_WAITING;
}

/** Builds the state from the pieces of a snapshot. */
export class QueuesRestorer implements PartRestorer<QueuesState> {
  readonly #state = new QueuesState();
  readonly #ready: [QueueState, QueueItem][] = [];
  readonly #restored = new Set<QueuePartition>();

  /** @throws DecodeError for bytes that no capture has written. */
  section(_tag: number, body: ByteReader): void {
    while (body.remaining > 0) this.#section(body.u8(), body);
  }

  /** @throws DecodeError if partitions are missing. */
  finish(): QueuesState {
    for (const { partitions } of this.#state.byName.values()) {
      check(
        partitions.every((each) => this.#restored.has(each)),
        "a queue lacks partitions",
      );
    }
    this.#ready.sort(([, a], [, b]) => a.dueAt - b.dueAt || a.id - b.id);
    for (const [queue, item] of this.#ready) queue.ready.add(item);
    return this.#state;
  }

  #section(kind: number, reader: ByteReader): void {
    switch (kind) {
      case SECTION_NEXT_ID:
        check(this.#state.nextQueueId === 1, "the next queue id comes twice");
        this.#state.nextQueueId = reader.varint();
        break;
      case SECTION_QUEUE:
        this.#queue(reader);
        break;
      case SECTION_PARTITION:
        this.#partition(reader);
        break;
      case SECTION_ITEMS:
        this.#items(reader);
        break;
      case SECTION_REDRIVE:
        this.#redrive(reader);
        break;
      default:
        throw new DecodeError(`unknown section ${kind} of queues`);
    }
  }

  #queue(reader: ByteReader): void {
    const queueId = reader.varint();
    const name = reader.text();
    const topicId = reader.varint();
    const definition = decodeDefinition(reader);
    const count = reader.varint();
    check(queueId > 0 && queueId < this.#state.nextQueueId, "a queue is newer than the newest");
    check(!this.#state.byId.has(queueId), "queues are not in order");
    check(!this.#state.byName.has(name), "two queues have one name");
    check(count <= 1024, "a queue has too many partitions");
    const partitions = Array.from({ length: count }, (_, at) => new QueuePartition(at, 0));
    const queue = new QueueState(queueId, name, topicId, definition, partitions);
    queue.acked = reader.varint();
    queue.dead = reader.varint();
    queue.lost = reader.varint();
    queue.purged = reader.varint();
    queue.redriven = reader.varint();
    queue.deadTopicId = reader.varint();
    const redriven = reader.varint();
    check(redriven <= 1024, "a dead-letter topic has too many partitions");
    queue.redriveFrom = Array.from({ length: redriven }, () => reader.varint());
    addQueue(this.#state, queue);
  }

  #redrive(reader: ByteReader): void {
    const queue = this.#state.byId.get(reader.varint());
    const [perSecond, left, nextAt] = [reader.varint(), reader.varint(), reader.varint()];
    check(perSecond > 0 && left !== 1, "a redrive moves nothing");
    if (queue === undefined) throw new DecodeError("unknown queue of a redrive");
    queue.redrive = { perSecond, left: left === 0 ? null : left - 1, nextAt };
  }

  #partition(reader: ByteReader): void {
    const { partition } = this.#place(reader);
    check(!this.#restored.has(partition), "a partition of a queue comes twice");
    this.#restored.add(partition);
    partition.low = reader.varint();
    const runs = reader.varint();
    check(runs <= RUNS_MAX, "a partition has too many runs");
    let next = partition.low;
    for (let i = 0; i < runs; i++) {
      const first = next + reader.varint();
      const length = reader.varint();
      check(length > 0 && first > partition.low, "a run of finished records is at the low offset");
      next = first + length;
      check(next - partition.low <= QUEUE_SPAN_MAX, "a finished record is too far from the others");
      for (let offset = first; offset < next; offset++) partition.done.add(offset, partition.low);
    }
  }

  #items(reader: ByteReader): void {
    const { queue, partition } = this.#place(reader);
    check(this.#restored.has(partition), "items come before their partition");
    for (let left = reader.varint(); left > 0; left--) this.#item(reader, queue, partition);
  }

  #item(reader: ByteReader, queue: QueueState, partition: QueuePartition): void {
    const offset = reader.varint();
    const attempts = reader.varint();
    const state = reader.u8();
    const dueAt = reader.varint();
    const key = reader.varint();
    check(
      !partition.isDone(offset) && !partition.items.has(offset),
      "an item is finished or comes twice",
    );
    check(offset - partition.low < QUEUE_SPAN_MAX, "an item is too far from the others");
    check(attempts > 0 && state <= STATE_WAITING, "an item was never given out");
    check(key === NO_KEY || !partition.keys.has(key), "two items have one key");
    const item = new QueueItem(queue.queueId, partition, offset, key);
    item.attempts = attempts;
    item.dueAt = dueAt;
    partition.items.set(offset, item);
    if (key !== NO_KEY) partition.keys.set(key, offset);
    this.#state.items++;
    if (state === STATE_READY) {
      this.#ready.push([queue, item]);
      return;
    }
    item.isLeased = state === STATE_LEASED;
    if (item.isLeased) queue.inFlight++;
    else queue.delayed++;
    queue.timed.set(item, dueAt);
  }

  #place(reader: ByteReader): { queue: QueueState; partition: QueuePartition } {
    const queue = this.#state.byId.get(reader.varint());
    const partition = queue?.partitions[reader.varint()];
    if (queue === undefined || partition === undefined)
      throw new DecodeError("unknown partition of a queue");
    return { queue, partition };
  }
}

function digestQueues(state: QueuesState, sink: DigestSink): void {
  const { writer } = sink;
  writer.varint(state.nextQueueId);
  for (const queue of [...state.byName.values()].sort((a, b) => a.queueId - b.queueId)) {
    writeQueue(writer, queue);
    writeRedrive(writer, queue);
    for (const partition of queue.partitions) {
      const items = [...partition.items.values()].sort((a, b) => a.offset - b.offset);
      writer.varint(partition.low);
      for (const [first, length] of partition.done.runs(partition.low)) {
        writer.varint(first);
        writer.varint(length);
      }
      writeItems(writer, queue, partition, items);
      sink.flush();
    }
  }
}

export const queuesPart: StatePart<QueuesState> = {
  tags: [SECTION_TAG],
  empty: () => new QueuesState(),
  capture: captureQueues,
  restorer: () => new QueuesRestorer(),
  digest: digestQueues,
  counts: ({ nextQueueId, items }) => [nextQueueId - 1, items],
};
