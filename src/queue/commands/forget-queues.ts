import type { BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { LEVEL_DELIVERY } from "../../lib/log-levels.ts";
import { QUEUES_FEATURE } from "../definition.ts";
import { type HasQueues, type QueuesState, removeQueue } from "../state.ts";

/** Removes the queues whose topic was deleted. Nobody can see them, but their items count. */
export type ForgetQueues = { readonly type: "forget_queues" };

export type ForgetQueuesResult = {
  readonly ok: true;
  readonly type: "forget_queues";
  readonly removed: number;
};

/** @returns the number of queues that were removed. */
export function removeOrphans(state: QueuesState, broker: BrokerState): number {
  let removed = 0;
  for (const queue of [...state.byName.values()]) {
    if (broker.topicsById.has(queue.topicId)) continue;
    removeQueue(state, queue);
    removed++;
  }
  return removed;
}

export const forgetQueues: LeveledKind<ForgetQueues, ForgetQueuesResult, HasBroker & HasQueues> = {
  type: "forget_queues",
  tag: 78,
  level: LEVEL_DELIVERY,
  feature: QUEUES_FEATURE,
  encode() {},
  decode: () => ({ type: "forget_queues" }),
  apply: ({ broker, parts }) => ({
    ok: true,
    type: "forget_queues",
    removed: removeOrphans(parts.queues, broker),
  }),
  summarize: ({ removed }, summary) => summary.numbers(removed, 0),
};
