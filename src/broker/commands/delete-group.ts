import type { CommandKind } from "../../lib/command-kind.ts";
import type { HasBroker } from "../state.ts";
import { type BrokerRejected, type BrokerState, rejected, writableOffsets } from "../state.ts";

export type DeleteGroup = { readonly type: "delete_group"; readonly group: string };

export type DeleteGroupResult =
  | {
      readonly ok: true;
      readonly type: "delete_group";
      /** Number of committed offsets that were deleted. */
      readonly offsets: number;
    }
  | BrokerRejected<"group_not_found">;

/** Deletes the committed offsets of a group in all topics. A later commit creates it again. */
export function applyDeleteGroup(state: BrokerState, { group }: DeleteGroup): DeleteGroupResult {
  const offsets = state.groups.get(group);
  if (offsets === undefined) return rejected("group_not_found");
  state.groups.delete(group);
  state.committedOffsets -= offsets;
  for (const topic of state.userTopics.values()) {
    for (const partition of topic.partitions) {
      if (!partition.committed.has(group)) continue;
      writableOffsets(state, partition).delete(group);
    }
  }
  return { ok: true, type: "delete_group", offsets };
}

export const deleteGroup: CommandKind<DeleteGroup, DeleteGroupResult, HasBroker> = {
  type: "delete_group",
  tag: 18,
  encode: (body, { group }) => body.text(group),
  decode: (body) => ({ type: "delete_group", group: body.text() }),
  apply: ({ broker }, command) => applyDeleteGroup(broker, command),
  summarize: ({ offsets }, summary) => summary.numbers(offsets, 0),
};
