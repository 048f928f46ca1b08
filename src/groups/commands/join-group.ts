import { type BrokerState, findTopic, type HasBroker } from "../../broker/state.ts";
import type { LeveledKind } from "../../lib/command-kind.ts";
import { LEVEL_SHARED_WORK } from "../../lib/log-levels.ts";
import { SHARED_WORK } from "../level.ts";
import { addMember, groupNamed, renewLease, topicIn } from "../members.ts";
import { rebalance } from "../rebalance.ts";
import {
  changing,
  GROUP_PARTITIONS_MAX,
  type GroupEffects,
  type GroupMember,
  type GroupRejected,
  type GroupsState,
  type HasGroups,
  MEMBERS_MAX,
  rejectedGroup,
} from "../state.ts";
import { decodeList, encodeList } from "./slot-refs.ts";

export type JoinGroup = {
  readonly type: "join_group";
  readonly group: string;
  readonly member: string;
  readonly leaseMs: number;
  /** Names without duplicates. */
  readonly topics: readonly string[];
};

export type JoinGroupResult =
  | {
      readonly ok: true;
      readonly type: "join_group";
      readonly leaseUntilMs: number;
      /** False if it was a member already and has named the same topics. */
      readonly isChanged: boolean;
    }
  | GroupRejected<"topic_not_found" | "too_many_members" | "too_many_group_partitions">;

/** A member that joins again keeps its partitions, as far as it names their topics again. */
export function applyJoinGroup(
  state: HasBroker & HasGroups,
  command: JoinGroup,
  effects: GroupEffects,
): JoinGroupResult {
  const { broker, now } = state;
  const { groups } = state.parts;
  const present = groups.byName.get(command.group)?.members.get(command.member);
  const rejection = reject(groups, broker, command, present);
  if (rejection !== null) return rejection;
  const group = groupNamed(groups, command.group);
  changing(groups, group);
  const topics = command.topics.flatMap((name) => {
    const topic = findTopic(broker, name);
    return topic === undefined ? [] : [topicIn(groups, group, topic)];
  });
  const member = present ?? addMember(groups, group, command.member, command.leaseMs, topics);
  const isChanged = present === undefined || !sameTopics(present, command.topics);
  member.leaseMs = command.leaseMs;
  member.topics = topics;
  member.joins++;
  renewLease(groups, member, now);
  if (isChanged) rebalance(groups, group, effects);
  return { ok: true, type: "join_group", leaseUntilMs: member.dueAt, isChanged };
}

function reject(
  state: GroupsState,
  broker: BrokerState,
  { group, topics }: JoinGroup,
  present: GroupMember | undefined,
): Exclude<JoinGroupResult, { ok: true }> | null {
  let slots = state.slotCount;
  for (const topic of topics) {
    const found = findTopic(broker, topic);
    if (found === undefined) return rejectedGroup("topic_not_found", { topic });
    if (!state.byName.get(group)?.topics.has(topic)) slots += found.partitions.length;
  }
  if (present === undefined && state.memberCount >= MEMBERS_MAX) {
    return rejectedGroup("too_many_members", { membersMax: MEMBERS_MAX });
  }
  if (slots > GROUP_PARTITIONS_MAX && slots > state.slotCount) {
    return rejectedGroup("too_many_group_partitions", { partitionsMax: GROUP_PARTITIONS_MAX });
  }
  return null;
}

function sameTopics({ topics }: GroupMember, names: readonly string[]): boolean {
  const before = new Set(topics.map(({ name }) => name));
  return before.size === names.length && names.every((name) => before.has(name));
}

export const joinGroup: LeveledKind<
  JoinGroup,
  JoinGroupResult,
  HasBroker & HasGroups,
  GroupEffects
> = {
  type: "join_group",
  tag: 40,
  level: LEVEL_SHARED_WORK,
  feature: SHARED_WORK,
  encode(body, { group, member, leaseMs, topics }) {
    body.text(group);
    body.text(member);
    body.varint(leaseMs);
    encodeList(body, topics, (to, topic) => to.text(topic));
  },
  decode: (body) => ({
    type: "join_group",
    group: body.text(),
    member: body.text(),
    leaseMs: body.varint(),
    topics: decodeList(body, (from) => from.text()),
  }),
  apply: (state, command, effects) => applyJoinGroup(state, command, effects),
  summarize: ({ leaseUntilMs, isChanged }, summary) => {
    summary.numbers(leaseUntilMs, 0);
    summary.flag(isChanged);
  },
};
