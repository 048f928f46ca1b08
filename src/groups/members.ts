import { feature as faultPoint } from "bun:bundle";
import type { TopicState } from "../broker/state.ts";
import type { Millis } from "../lib/ids.ts";
import { rebalance } from "./rebalance.ts";
import {
  changing,
  Group,
  type GroupEffects,
  GroupMember,
  type GroupsState,
  GroupTopic,
  Slot,
} from "./state.ts";

/** Returns the group, which is created if it does not exist. */
export function groupNamed(state: GroupsState, name: string): Group {
  const present = state.byName.get(name);
  if (present !== undefined) return present;
  const group = new Group(++state.lastGroupId, name);
  state.byName.set(name, group);
  return group;
}

/** Returns the topic in the group, which is added if the group has not got it. */
export function topicIn(state: GroupsState, group: Group, topic: TopicState): GroupTopic {
  const present = group.topics.get(topic.name);
  if (present !== undefined) return present;
  const added = new GroupTopic(topic.name);
  group.topics.set(topic.name, added);
  indexTopic(state, group, topic.name);
  fillTopic(state, added, topic.topicId, topic.partitions.length);
  return added;
}

export function indexTopic(state: GroupsState, group: Group, topic: string): void {
  const groups = state.byTopic.get(topic);
  if (groups === undefined) state.byTopic.set(topic, new Set([group]));
  else groups.add(group);
}

function fillTopic(state: GroupsState, topic: GroupTopic, topicId: number, count: number): void {
  topic.topicId = topicId;
  topic.slots = Array.from({ length: count }, (_, partition) => new Slot(topic, partition));
  state.slotCount += count;
}

export function addMember(
  state: GroupsState,
  group: Group,
  name: string,
  leaseMs: number,
  topics: readonly GroupTopic[],
): GroupMember {
  const member = new GroupMember(group, ++state.lastMemberId, name, leaseMs, topics);
  group.members.set(name, member);
  return member;
}

/** The lease starts again now. */
export function renewLease(state: GroupsState, member: GroupMember, now: Millis): void {
  changing(state, member.group);
  state.leases.set(member, now + member.leaseMs);
}

/** Removes the member. Its partitions have no owner until `rebalance`, which must follow. */
export function dropMember(state: GroupsState, member: GroupMember, effects: GroupEffects): void {
  const { group } = member;
  group.members.delete(member.name);
  state.leases.remove(member);
  for (const slot of member.owned) slot.owner = null;
  member.owned = [];
  effects.groupMemberChanged(member);
}

/** Removes the members, and assigns the partitions of each of their groups anew once. */
export function removeMembers(
  state: GroupsState,
  removed: readonly GroupMember[],
  effects: GroupEffects,
): void {
  const groups = new Set(removed.map(({ group }) => group));
  for (const group of groups) changing(state, group);
  for (const member of removed) dropMember(state, member, effects);
  if (faultPoint("group-partitions-left-without-owner")) return;
  for (const group of groups) rebalance(state, group, effects);
}

/**
 * Removes members whose leases are over, in the order in which they ended.
 *
 * @returns how many of at most `max`.
 */
export function endLeases(
  state: GroupsState,
  now: Millis,
  max: number,
  effects: GroupEffects,
): number {
  if (faultPoint("group-leases-never-end")) return 0;
  const ended: GroupMember[] = [];
  while (ended.length < max) {
    const member = state.leases.take(now);
    if (member === null) break;
    ended.push(member);
  }
  removeMembers(state, ended, effects);
  return ended.length;
}

/** In the order of their ids, since generations are given in this order. */
const groupsWith = (state: GroupsState, topic: string): Group[] =>
  [...(state.byTopic.get(topic) ?? [])].sort((a, b) => a.id - b.id);

/** A topic was created: the members that named it share its partitions. */
export function topicAppeared(
  state: GroupsState,
  { name, topicId, partitions }: TopicState,
  effects: GroupEffects,
): void {
  for (const group of groupsWith(state, name)) {
    const topic = group.topics.get(name);
    if (topic === undefined) continue;
    changing(state, group);
    fillTopic(state, topic, topicId, partitions.length);
    rebalance(state, group, effects);
  }
}

/** A topic was deleted. Members that named it get the partitions of a new topic of that name. */
export function topicVanished(state: GroupsState, name: string, effects: GroupEffects): void {
  for (const group of groupsWith(state, name)) {
    const topic = group.topics.get(name);
    if (topic === undefined) continue;
    changing(state, group);
    emptyTopic(state, topic, effects);
    const isNamed = [...group.members.values()].some(({ topics }) => topics.includes(topic));
    if (!isNamed) forgetTopic(state, group, name);
    rebalance(state, group, effects);
    if (group.topics.size === 0 && group.members.size === 0) state.byName.delete(group.name);
  }
}

function emptyTopic(state: GroupsState, topic: GroupTopic, effects: GroupEffects): void {
  const owners = new Set<GroupMember>();
  for (const { owner } of topic.slots) if (owner !== null) owners.add(owner);
  state.slotCount -= topic.slots.length;
  topic.slots = [];
  topic.topicId = 0;
  for (const member of owners) {
    member.owned = member.owned.filter((slot) => slot.topic !== topic);
    effects.groupMemberChanged(member);
  }
}

function forgetTopic(state: GroupsState, group: Group, name: string): void {
  group.topics.delete(name);
  const groups = state.byTopic.get(name);
  groups?.delete(group);
  if (groups?.size === 0) state.byTopic.delete(name);
}

/** Removes the group with its members. Returns how many members it had. */
export function removeGroup(state: GroupsState, group: Group, effects: GroupEffects): number {
  changing(state, group);
  const members = [...group.members.values()];
  for (const member of members) dropMember(state, member, effects);
  for (const topic of [...group.topics.values()]) {
    state.slotCount -= topic.slots.length;
    forgetTopic(state, group, topic.name);
  }
  state.byName.delete(group.name);
  return members.length;
}
