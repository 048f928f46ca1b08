import type { Offset } from "../../record/offset.ts";
import { effectiveRetention } from "../retention.ts";
import {
  type BrokerEffects,
  type BrokerRejected,
  type BrokerState,
  findPartition,
  raiseLowWatermark,
  rejectMissing,
} from "../state.ts";

export type Trim = {
  readonly type: "trim";
  readonly topicId: number;
  readonly partition: number;
  readonly beforeOffset: Offset;
  /** Logical bytes of all records ever below `beforeOffset`. */
  readonly bytesBefore: number;
  /** Of the policy that the leader's sweeper saw; see `EffectiveRetention`. */
  readonly policyRevision: number;
};

export type TrimResult =
  | {
      readonly ok: true;
      readonly type: "trim";
      /** 0 where the trim came too late or under another policy. */
      readonly deletedCount: number;
      readonly freedBytes: number;
    }
  | BrokerRejected<"topic_not_found" | "partition_not_found">;

/**
 * Retention as the leader's sweeper decided it. Between its decision and here a policy may have
 * been switched off; once that is acknowledged nothing more may be lost to it.
 */
export function applyTrim(state: BrokerState, command: Trim, effects: BrokerEffects): TrimResult {
  const { topicId, beforeOffset, bytesBefore } = command;
  const partition = findPartition(state, topicId, command.partition);
  if (partition === undefined) return rejectMissing(state, topicId);
  const { revision } = effectiveRetention(state, topicId, command.partition);
  const isStale = revision !== command.policyRevision;
  const isMove = beforeOffset > partition.lowWatermark && beforeOffset <= partition.endOffset;
  if (isStale || !isMove) return { ok: true, type: "trim", deletedCount: 0, freedBytes: 0 };
  const { deletedCount, freedBytes } = raiseLowWatermark(partition, beforeOffset, bytesBefore);
  effects.trimmed(partition);
  return { ok: true, type: "trim", deletedCount, freedBytes };
}
