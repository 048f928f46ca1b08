import { feature as faultPoint } from "bun:bundle";
import { appendRecords } from "../../broker/records.ts";
import type { BrokerEffects, BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import type { Millis } from "../../lib/ids.ts";
import { LEVEL_DELIVERY } from "../../lib/log-levels.ts";
import { decodeRedrive, encodeRedrive } from "../command-format.ts";
import { QUEUES_FEATURE, QUEUES_LEVEL } from "../definition.ts";
import { type FoundQueue, findQueue } from "../find.ts";
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

/** A redrive as a part of the queue's plan. */
export type RedrivePlanned = Omit<Redrive, "type"> & {
  readonly type: "redrive_planned";
  /** When the plan goes on. */
  readonly nextAt: number;
};

type Result<Type extends string> =
  | { readonly ok: true; readonly type: Type; readonly moved: number }
  | QueueRejected<"queue_not_found">;
export type RedriveResult = Result<"redrive">;
export type RedrivePlannedResult = Result<"redrive_planned">;

function applyRedrive(
  state: QueuesState,
  broker: BrokerState,
  command: Redrive,
  now: Millis,
  effects: BrokerEffects,
): RedriveResult {
  const found = findQueue(state, broker, command.queueId);
  if ("ok" in found) return found;
  return { ok: true, type: "redrive", moved: move(broker, found, command, now, effects) };
}

function applyRedrivePlanned(
  state: QueuesState,
  broker: BrokerState,
  command: RedrivePlanned,
  now: Millis,
  effects: BrokerEffects,
): RedrivePlannedResult {
  const found = findQueue(state, broker, command.queueId);
  if ("ok" in found) return found;
  const plan = found.queue.redrive;
  // It was ended while the command was on its way.
  if (plan === null) return { ok: true, type: "redrive_planned", moved: 0 };
  const moved = move(broker, found, command, now, effects);
  const left =
    plan.left === null || faultPoint("redrive-plan-counts-nothing") ? plan.left : plan.left - moved;
  const isOver = left !== null && left <= 0;
  found.queue.redrive = isOver ? null : { ...plan, left, nextAt: command.nextAt };
  return { ok: true, type: "redrive_planned", moved };
}

/** @returns the number of dead letters that were moved. */
function move(
  broker: BrokerState,
  { queue, topic }: FoundQueue,
  command: Omit<Redrive, "type">,
  now: Millis,
  effects: BrokerEffects,
): number {
  const { deadPartition, from, to, appends } = command;
  const isCurrent =
    queue.deadTopicId === command.deadTopicId && queue.redriveFrom[deadPartition] === from;
  const fits = appends.every(({ partition }) => partition < topic.partitions.length);
  if (!isCurrent && !faultPoint("redrive-moves-twice")) return 0;
  if (!fits || to < from) return 0;
  let moved = 0;
  for (const each of appends) {
    const its = topic.partitions[each.partition];
    if (its === undefined) continue;
    appendRecords(broker, its, each, now, effects);
    moved += each.count;
  }
  queue.redriveFrom[deadPartition] = to;
  queue.dead = Math.max(0, queue.dead - moved);
  queue.redriven += moved;
  return moved;
}

export const redrive: LeveledKind<Redrive, RedriveResult, HasBroker & HasQueues, BrokerEffects> = {
  type: "redrive",
  tag: 67,
  level: QUEUES_LEVEL,
  feature: QUEUES_FEATURE,
  encode: encodeRedrive,
  decode: (body, end) => ({ type: "redrive", ...decodeRedrive(body, end) }),
  apply: ({ broker, parts, now }, command, effects) =>
    applyRedrive(parts.queues, broker, command, now, effects),
  summarize: ({ moved }, summary) => summary.numbers(moved, 0),
};

export const redrivePlanned: LeveledKind<
  RedrivePlanned,
  RedrivePlannedResult,
  HasBroker & HasQueues,
  BrokerEffects
> = {
  type: "redrive_planned",
  tag: 77,
  level: LEVEL_DELIVERY,
  feature: QUEUES_FEATURE,
  encode(body, fields) {
    body.varint(fields.nextAt);
    encodeRedrive(body, fields);
  },
  decode(body, end) {
    const nextAt = body.varint();
    return { type: "redrive_planned", nextAt, ...decodeRedrive(body, end) };
  },
  apply: ({ broker, parts, now }, command, effects) =>
    applyRedrivePlanned(parts.queues, broker, command, now, effects),
  summarize: ({ moved }, summary) => summary.numbers(moved, 0),
};
