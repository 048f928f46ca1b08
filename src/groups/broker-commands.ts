/** Commands of the broker that also change groups whose members share partitions. */
import { commitOffset as brokerCommitOffset } from "../broker/commands/commit-offset.ts";
import { createTopic as brokerCreateTopic } from "../broker/commands/create-topic.ts";
import {
  deleteGroup as brokerDeleteGroup,
  type DeleteGroup,
} from "../broker/commands/delete-group.ts";
import { deleteTopic as brokerDeleteTopic } from "../broker/commands/delete-topic.ts";
import type { HasProducers } from "../broker/producers-part.ts";
import type { BrokerEffects, BrokerRejected, BrokerState, HasBroker } from "../broker/state.ts";
import type { CommandKind, CommandOf, ResultOf } from "../lib/command-kind.ts";
import { removeGroup, topicAppeared, topicVanished } from "./members.ts";
import {
  findSlot,
  type GroupEffects,
  type GroupMember,
  type GroupRejected,
  type GroupsState,
  type HasGroups,
  rejectedGroup,
} from "./state.ts";

type State = HasBroker & HasGroups;
type CommitOffset = CommandOf<typeof brokerCommitOffset>;
type CommitOffsetResult = ResultOf<typeof brokerCommitOffset> | GroupRejected<"leased">;

/** The member that owns the partition in the group, or null. */
export function ownerOf(
  groups: GroupsState,
  broker: BrokerState,
  { group, topicId, partition }: Pick<CommitOffset, "group" | "topicId" | "partition">,
): GroupMember | null {
  const found = groups.byName.get(group);
  const topic = broker.topicsById.get(topicId);
  if (found === undefined || topic === undefined) return null;
  return findSlot(found, topic.name, partition)?.owner ?? null;
}

/** A commit without a member would skip records that the owner of the partition works on. */
export const commitOffset: CommandKind<CommitOffset, CommitOffsetResult, State> = {
  ...brokerCommitOffset,
  apply(state, command, effects) {
    const owner = ownerOf(state.parts.groups, state.broker, command);
    if (owner !== null) return rejectedGroup("leased", { member: owner.name });
    return brokerCommitOffset.apply(state, command, effects);
  },
};

type Effects = BrokerEffects & GroupEffects;

export const createTopic: CommandKind<
  CommandOf<typeof brokerCreateTopic>,
  ResultOf<typeof brokerCreateTopic>,
  State,
  Effects
> = {
  ...brokerCreateTopic,
  apply(state, command, effects) {
    const result = brokerCreateTopic.apply(state, command, effects);
    const topic = state.broker.topicsByName.get(command.name);
    if (result.ok && result.created && topic !== undefined) {
      topicAppeared(state.parts.groups, topic, effects);
    }
    return result;
  },
};

export const deleteTopic: CommandKind<
  CommandOf<typeof brokerDeleteTopic>,
  ResultOf<typeof brokerDeleteTopic>,
  State & HasProducers,
  Effects
> = {
  ...brokerDeleteTopic,
  apply(state, command, effects) {
    const result = brokerDeleteTopic.apply(state, command, effects);
    if (result.ok) topicVanished(state.parts.groups, command.name, effects);
    return result;
  },
};

export type DeleteGroupResult =
  | {
      readonly ok: true;
      readonly type: "delete_group";
      /** Numbers of committed offsets and of members that were deleted. */
      readonly offsets: number;
      readonly members: number;
    }
  | BrokerRejected<"group_not_found">;

/** Deletes the committed offsets of the group and its members, which have to join again. */
export const deleteGroup: CommandKind<DeleteGroup, DeleteGroupResult, State, GroupEffects> = {
  ...brokerDeleteGroup,
  apply(state, command, effects) {
    const { groups } = state.parts;
    const group = groups.byName.get(command.group);
    const members = group === undefined ? 0 : removeGroup(groups, group, effects);
    const deleted = brokerDeleteGroup.apply(state, command, effects);
    if (deleted.ok) return { ...deleted, members };
    return group === undefined ? deleted : { ok: true, type: "delete_group", offsets: 0, members };
  },
};
