import type { CommandKind } from "../../lib/command-kind.ts";
import type { Offset } from "../../record/offset.ts";
import { effectiveRetention } from "../retention.ts";
import type { HasBroker } from "../state.ts";
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
  const { deletedCount, freedBytes } = raiseLowWatermark(
    state,
    partition,
    beforeOffset,
    bytesBefore,
  );
  effects.trimmed(partition);
  return { ok: true, type: "trim", deletedCount, freedBytes };
}

export const trim: CommandKind<Trim, TrimResult, HasBroker, BrokerEffects> = {
  type: "trim",
  tag: 6,
  summaryId: 6,
  encode(body, { topicId, partition, beforeOffset, bytesBefore, policyRevision }) {
    body.varint(topicId);
    body.varint(partition);
    body.varint(beforeOffset);
    body.varint(bytesBefore);
    body.varint(policyRevision);
  },
  decode: (body) => ({
    type: "trim",
    topicId: body.varint(),
    partition: body.varint(),
    beforeOffset: body.varint() as Offset,
    bytesBefore: body.varint(),
    policyRevision: body.varint(),
  }),
  apply: ({ broker }, command, effects) => applyTrim(broker, command, effects),
  summarize: ({ deletedCount, freedBytes }, summary) => summary.numbers(deletedCount, freedBytes),
};
