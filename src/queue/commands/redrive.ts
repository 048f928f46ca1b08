import { appendRecords } from "../../broker/records.ts";
import type { BrokerEffects, BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { decodeRedrive, encodeRedrive } from "../command-format.ts";
import { QUEUES_FEATURE, QUEUES_LEVEL } from "../definition.ts";
import { findQueue } from "../find.ts";
import type { HasQueues, QueueRejected, QueuesState } from "../state.ts";

/**
 * Moves dead letters back: appends their records to the topic of the queue again. The leader has
 * read the dead letters of one partition of the dead-letter topic, from `from` up to `to`.
 */
export type Redrive = {
  readonly type: "redrive";
  readonly queueId: number;
  readonly deadTopicId: number;
  readonly deadPartition: number;
  /** Where the queue has moved back everything before. Otherwise nothing is done. */
  readonly from: number;
  readonly to: number;
  readonly appends: readonly RedriveAppend[];
};

export type RedriveAppend = {
  readonly partition: number;
  readonly count: number;
  readonly logicalBytes: number;
  readonly batches: Uint8Array;
};

export type RedriveResult =
  | { readonly ok: true; readonly type: "redrive"; readonly moved: number }
  | QueueRejected<"queue_not_found">;

export function applyRedrive(
  state: QueuesState,
  broker: BrokerState,
  command: Redrive,
  now: Millis,
  effects: BrokerEffects,
): RedriveResult {
  const found = findQueue(state, broker, command.queueId);
  if ("ok" in found) return found;
  const { queue, topic } = found;
  const { deadPartition, from, to, appends } = command;
  const isCurrent =
    queue.deadTopicId === command.deadTopicId && queue.redriveFrom[deadPartition] === from;
  const fits = appends.every(({ partition }) => partition < topic.partitions.length);
  if (!isCurrent || !fits || to < from) return { ok: true, type: "redrive", moved: 0 };
  let moved = 0;
  for (const each of appends) {
    const its = topic.partitions[each.partition];
    if (its === undefined) continue;
    appendRecords(its, each, now, effects);
    moved += each.count;
  }
  queue.redriveFrom[deadPartition] = to;
  queue.dead = Math.max(0, queue.dead - moved);
  queue.redriven += moved;
  return { ok: true, type: "redrive", moved };
}

export const redrive: LeveledKind<Redrive, RedriveResult, HasBroker & HasQueues, BrokerEffects> = {
  type: "redrive",
  tag: 67,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: encodeRedrive,
  decode: decodeRedrive,
  apply: ({ broker, parts, now }, command, effects) =>
    applyRedrive(parts.queues, broker, command, now, effects),
  summarize: ({ moved }, summary) => summary.numbers(moved, 0),
};
