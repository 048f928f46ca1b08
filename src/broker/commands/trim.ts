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
  /** Revision of the policy that the leader used; see `EffectiveRetention`. */
  readonly policyRevision: number;
};

export type TrimResult =
  | {
      readonly ok: true;
      readonly type: "trim";
      /** 0 if the trim came too late or under another policy. */
      readonly deletedCount: number;
      readonly freedBytes: number;
    }
  | BrokerRejected<"topic_not_found" | "partition_not_found">;

/**
 * Applies retention as the leader decided it. The policy may have been disabled since then. After
 * that is acknowledged, no record may be deleted because of it.
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
