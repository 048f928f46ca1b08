import type { PartitionState } from "../broker/state.ts";
import { type CommandRejected, commandRejected, type Rejecting } from "../lib/command-rejected.ts";
import { DUE_KIND, DueIndex, type DueKind, LeanDue } from "../lib/due-index.ts";
import type { QueueDefinition } from "./definition.ts";
import { DoneSet } from "./done-set.ts";

/** A topic has at most this many partitions, so that partition and offset fit into one number. */
const PARTITIONS = 1024;

/** The key of a record that has none. */
export const NO_KEY = 0;

/** A record that was given out and is not finished: leased, waiting for its retry, or ready for it. */
export class QueueItem extends LeanDue {
  override readonly owner: number;
  readonly partition: QueuePartition;
  readonly offset: number;
  /** Hash of the record's key if the queue keeps the order of keys, otherwise `NO_KEY`. */
  readonly key: number;
  /** Deliveries so far. Never falls. */
  attempts = 0;
  /** True until the lease ends. Otherwise it waits until `dueAt`, and then it is ready. */
  isLeased = false;

  constructor(queueId: number, partition: QueuePartition, offset: number, key: number) {
    super(offset * PARTITIONS + partition.partition);
    this.owner = queueId;
    this.partition = partition;
    this.offset = offset;
    this.key = key;
  }

  override get kind(): DueKind {
    return DUE_KIND.queueVisibility;
  }
}

/** Called before a partition changes, while a snapshot still has to encode it. */
export type BeforeChange = (partition: QueuePartition) => void;

/** The progress of a queue in one partition of its topic. */
export class QueuePartition {
  readonly partition: number;
  /** All records below are finished: acknowledged, put aside, purged or removed by retention. */
  low = 0;
  readonly done = new DoneSet();
  readonly items = new Map<number, QueueItem>();
  /** Keys that are blocked by an item, if the queue keeps the order of keys: hash -> offset. */
  readonly keys = new Map<number, number>();
  beforeChange: BeforeChange | null = null;

  constructor(partition: number, low: number) {
    this.partition = partition;
    this.low = low;
  }

  /** True if the record is finished. */
  isDone(offset: number): boolean {
    return offset < this.low || this.done.has(offset, this.low);
  }

  /** Records up to the end that are not finished. */
  unfinished({ lowWatermark, endOffset }: PartitionState): number {
    if (lowWatermark <= this.low) return endOffset - this.low - this.done.size;
    let done = this.done.size;
    for (const [first, length] of this.done.runs(this.low)) {
      if (first >= lowWatermark) break;
      done -= Math.min(length, lowWatermark - first);
    }
    return endOffset - lowWatermark - done;
  }
}

/** The low offset as the next command on the queue finds it, which notices what retention deleted. */
export const lowOffset = (
  { low }: QueuePartition,
  { lowWatermark }: Pick<PartitionState, "lowWatermark">,
): number => Math.max(low, lowWatermark);

/** Replaced, never changed. */
export type RedrivePlan = {
  readonly perSecond: number;
  /** Dead letters that are still to be moved; null: all. */
  readonly left: number | null;
  /** The next ones are moved at this time. */
  readonly nextAt: number;
};

export class QueueState {
  readonly queueId: number;
  readonly name: string;
  readonly topicId: number;
  definition: QueueDefinition;
  readonly partitions: readonly QueuePartition[];
  /** Leased items and waiting ones, by the time at which that ends. */
  readonly timed = new DueIndex<QueueItem>();
  /** Items that can be given out again, in the order in which they became ready. */
  readonly ready = new Set<QueueItem>();
  inFlight = 0;
  delayed = 0;
  /** Number of records that were acknowledged since the queue was created, and so on. */
  acked = 0;
  /** Records that were put aside, without those that were moved back. */
  dead = 0;
  lost = 0;
  purged = 0;
  redriven = 0;
  /** The topic to which `redriveFrom` belongs; 0 before the first dead letter. */
  deadTopicId = 0;
  /** By partition of the dead-letter topic: the first dead letter that was not moved back. */
  redriveFrom: number[] = [];
  /** Dead letters are moved back at a rate. Null: they are not. */
  redrive: RedrivePlan | null = null;

  constructor(
    queueId: number,
    name: string,
    topicId: number,
    definition: QueueDefinition,
    partitions: readonly QueuePartition[],
  ) {
    this.queueId = queueId;
    this.name = name;
    this.topicId = topicId;
    this.definition = definition;
    this.partitions = partitions;
  }

  get items(): number {
    return this.timed.size + this.ready.size;
  }
}

export class QueuesState {
  /** Both maps hold the same queues, in the order of their ids. */
  readonly byName = new Map<string, QueueState>();
  readonly byId = new Map<number, QueueState>();
  /** Ids grow from 1 and are never reused, so that a receipt of a deleted queue hits no other one. */
  nextQueueId = 1;
  /** Not replicated as such: items of all queues. */
  items = 0;
}

/** The part of the replicated state that commands of queues need, besides the broker. */
export type HasQueues = { readonly parts: { readonly queues: QueuesState } };

export type QueueRejectCode =
  | "queue_not_found"
  | "queue_exists"
  | "too_many_queues"
  | "topic_not_found"
  | "too_many_partitions"
  | "topic_exists";

export type QueueRejected<Code extends QueueRejectCode = QueueRejectCode> = CommandRejected<Code>;

export const queueRejected: Rejecting<QueueRejectCode> = commandRejected;

export function addQueue(state: QueuesState, queue: QueueState): void {
  state.byName.set(queue.name, queue);
  state.byId.set(queue.queueId, queue);
}

export function removeQueue(state: QueuesState, queue: QueueState): void {
  state.byName.delete(queue.name);
  state.byId.delete(queue.queueId);
  state.items -= queue.items;
  for (const partition of queue.partitions) touch(partition);
}

/** Must be called before a partition changes. */
export function touch(partition: QueuePartition): void {
  partition.beforeChange?.(partition);
}
