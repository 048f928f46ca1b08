import { feature as faultPoint } from "bun:bundle";
import type { CommandKind } from "../../lib/command-kind.ts";
import type { Offset } from "../../record/offset.ts";
import type { HasBroker } from "../state.ts";
import {
  type BrokerEffects,
  type BrokerRejected,
  type BrokerState,
  findPartition,
  raiseLowWatermark,
  rejected,
  rejectMissing,
} from "../state.ts";

export type DeleteBefore = {
  readonly type: "delete_before";
  readonly topicId: number;
  readonly partition: number;
  readonly beforeOffset: Offset;
  /** Logical bytes of all records ever below `beforeOffset`, as the leader's log counts them. */
  readonly bytesBefore: number;
};

export type DeleteBeforeResult =
  | {
      readonly ok: true;
      readonly type: "delete_before";
      readonly deletedCount: number;
      readonly freedBytes: number;
    }
  | BrokerRejected<"topic_not_found" | "partition_not_found" | "offset_out_of_range">;

/** Raises the low watermark permanently; the offsets below are never used again. */
export function applyDeleteBefore(
  state: BrokerState,
  command: DeleteBefore,
  effects: BrokerEffects,
): DeleteBeforeResult {
  const partition = findPartition(state, command.topicId, command.partition);
  if (partition === undefined) return rejectMissing(state, command.topicId);
  const { beforeOffset, bytesBefore } = command;
  if (beforeOffset > partition.endOffset) {
    return rejected("offset_out_of_range", { endOffset: partition.endOffset });
  }
  if (beforeOffset <= partition.lowWatermark || faultPoint("delete-before-not-replicated")) {
    return { ok: true, type: "delete_before", deletedCount: 0, freedBytes: 0 };
  }
  const { deletedCount, freedBytes } = raiseLowWatermark(
    state,
    partition,
    beforeOffset,
    bytesBefore,
  );
  effects.trimmed(partition);
  return { ok: true, type: "delete_before", deletedCount, freedBytes };
}

export const deleteBefore: CommandKind<DeleteBefore, DeleteBeforeResult, HasBroker, BrokerEffects> =
  {
    type: "delete_before",
    tag: 5,
    summaryId: 5,
    encode(body, { topicId, partition, beforeOffset, bytesBefore }) {
      body.varint(topicId);
      body.varint(partition);
      body.varint(beforeOffset);
      body.varint(bytesBefore);
    },
    decode: (body) => ({
      type: "delete_before",
      topicId: body.varint(),
      partition: body.varint(),
      beforeOffset: body.varint() as Offset,
      bytesBefore: body.varint(),
    }),
    apply: ({ broker }, command, effects) => applyDeleteBefore(broker, command, effects),
    summarize: ({ deletedCount, freedBytes }, summary) => summary.numbers(deletedCount, freedBytes),
  };
