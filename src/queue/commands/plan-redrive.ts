import type { BrokerState, HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { LEVEL_DELIVERY } from "../../lib/log-levels.ts";
import { QUEUES_FEATURE } from "../definition.ts";
import { findQueue } from "../find.ts";
import type { HasQueues, QueueRejected, QueuesState } from "../state.ts";

/** Begins to move dead letters back at a rate, or ends that. The next leader goes on with a plan. */
export type PlanRedrive = {
  readonly type: "plan_redrive";
  readonly queueId: number;
  /** 0: ends the plan. */
  readonly perSecond: number;
  /** Dead letters that are to be moved; null: all. */
  readonly max: number | null;
};

export type PlanRedriveResult =
  | {
      readonly ok: true;
      readonly type: "plan_redrive";
      /** True if a plan was in force before. */
      readonly replaced: boolean;
    }
  | QueueRejected<"queue_not_found">;

function applyPlanRedrive(
  state: QueuesState,
  broker: BrokerState,
  { queueId, perSecond, max }: PlanRedrive,
): PlanRedriveResult {
  const found = findQueue(state, broker, queueId);
  if ("ok" in found) return found;
  const { queue } = found;
  const replaced = queue.redrive !== null;
  queue.redrive = perSecond === 0 ? null : { perSecond, left: max, nextAt: 0 };
  return { ok: true, type: "plan_redrive", replaced };
}

/** The maximum is stored plus one; 0: all. */
export const planRedrive: LeveledKind<PlanRedrive, PlanRedriveResult, HasBroker & HasQueues> = {
  type: "plan_redrive",
  tag: 69,
  level: LEVEL_DELIVERY,
  feature: QUEUES_FEATURE,
  encode(body, { queueId, perSecond, max }) {
    body.varint(queueId);
    body.varint(perSecond);
    body.varint(max === null ? 0 : max + 1);
  },
  decode(body) {
    const [queueId, perSecond, max] = [body.varint(), body.varint(), body.varint()];
    return { type: "plan_redrive", queueId, perSecond, max: max === 0 ? null : max - 1 };
  },
  apply: ({ broker, parts }, command) => applyPlanRedrive(parts.queues, broker, command),
  summarize: ({ replaced }, summary) => summary.flag(replaced),
};
