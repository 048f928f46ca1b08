import { feature as faultPoint } from "bun:bundle";
import type { CommandKind } from "../../lib/command-kind.ts";
import type { Offset } from "../../record/offset.ts";
import { countOffset } from "../groups.ts";
import type { HasBroker } from "../state.ts";
import {
  type BrokerRejected,
  type BrokerState,
  findPartition,
  rejected,
  rejectMissing,
  writableOffsets,
} from "../state.ts";

export type CommitOffset = {
  readonly type: "commit_offset";
  readonly topicId: number;
  readonly partition: number;
  readonly group: string;
  /** The next offset that the group will read, as in Kafka; not the last one it has read. */
  readonly offset: Offset;
};

export type CommitOffsetResult =
  | { readonly ok: true; readonly type: "commit_offset"; readonly committedOffset: Offset }
  | BrokerRejected<"topic_not_found" | "partition_not_found" | "offset_out_of_range">;

/**
 * Records how far a consumer group has read. A commit below the present one is accepted and
 * ignored: a consumer that was slow to stop must not rewind the one that took over.
 */
export function applyCommitOffset(state: BrokerState, command: CommitOffset): CommitOffsetResult {
  const partition = findPartition(state, command.topicId, command.partition);
  if (partition === undefined) return rejectMissing(state, command.topicId);
  const { group, offset } = command;
  if (offset > partition.endOffset) {
    return rejected("offset_out_of_range", { endOffset: partition.endOffset });
  }
  const before = partition.committed.get(group);
  if (before !== undefined && offset <= before && !faultPoint("commit-offset-regress")) {
    return { ok: true, type: "commit_offset", committedOffset: before };
  }
  if (before === undefined) countOffset(state, group);
  writableOffsets(state, partition).set(group, offset);
  return { ok: true, type: "commit_offset", committedOffset: offset };
}

export const commitOffset: CommandKind<CommitOffset, CommitOffsetResult, HasBroker> = {
  type: "commit_offset",
  tag: 4,
  summaryId: 2,
  encode(body, { topicId, partition, group, offset }) {
    body.varint(topicId);
    body.varint(partition);
    body.text(group);
    body.varint(offset);
  },
  decode: (body) => ({
    type: "commit_offset",
    topicId: body.varint(),
    partition: body.varint(),
    group: body.text(),
    offset: body.varint() as Offset,
  }),
  apply: ({ broker }, command) => applyCommitOffset(broker, command),
  summarize: ({ committedOffset }, summary) => summary.numbers(committedOffset, 0),
};
