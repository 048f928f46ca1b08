import { feature as faultPoint } from "bun:bundle";
import { assign, NOBODY } from "./assign.ts";
import type { Group, GroupEffects, GroupMember, GroupsState, GroupTopic, Slot } from "./state.ts";

/**
 * Assigns the partitions of the group anew. A partition without an owner gets one at once. One that
 * should go to another member stays with its owner until the owner gives it up.
 */
export function rebalance(state: GroupsState, group: Group, effects: GroupEffects): void {
  const members = [...group.members.values()];
  const topics = [...group.topics.values()];
  const placed = placeAll(members, topics);
  const generation = state.lastGeneration + 1;
  const changed = new Set<GroupMember>();
  topics.forEach((topic, t) => {
    topic.slots.forEach((slot, p) => {
      const number = placed[t]?.[p] ?? NOBODY;
      const target = number === NOBODY ? null : (members[number] as GroupMember);
      if (aim(slot, target, generation, changed)) state.lastGeneration = generation;
    });
  });
  if (changed.size > 0) listOwned(members, topics, changed);
  for (const member of changed) effects.groupMemberChanged(member);
}

function placeAll(members: readonly GroupMember[], topics: readonly GroupTopic[]): number[][] {
  const numbers = new Map(members.map((member, i) => [member, i]));
  const numberOf = (member: GroupMember | null): number =>
    member === null ? NOBODY : (numbers.get(member) ?? NOBODY);
  const subscribers = new Map<GroupTopic, number[]>(topics.map((topic) => [topic, []]));
  members.forEach((member, i) => {
    for (const topic of member.topics) subscribers.get(topic)?.push(i);
  });
  return assign(
    members.length,
    topics.map((topic) => ({
      subscribers: subscribers.get(topic) ?? [],
      owners: topic.slots.map(({ owner }) => numberOf(owner)),
      targets: topic.slots.map(({ target }) => numberOf(target)),
    })),
  );
}

/** Returns whether the slot has a new owner. */
function aim(
  slot: Slot,
  target: GroupMember | null,
  generation: number,
  changed: Set<GroupMember>,
): boolean {
  const { owner, target: before } = slot;
  slot.target = target;
  if (owner !== null && !faultPoint("group-hand-over-in-one-step")) {
    if (target !== before) changed.add(owner);
    return false;
  }
  if (target === owner) return false;
  if (owner !== null) changed.add(owner);
  own(slot, target, generation, changed);
  return target !== null;
}

function own(
  slot: Slot,
  owner: GroupMember | null,
  generation: number,
  changed: Set<GroupMember>,
): void {
  slot.owner = owner;
  if (owner === null) return;
  if (!faultPoint("group-generation-stays")) slot.generation = generation;
  changed.add(owner);
}

/** Sets the lists of owned slots of the members that changed. */
function listOwned(
  members: readonly GroupMember[],
  topics: readonly GroupTopic[],
  changed: ReadonlySet<GroupMember>,
): void {
  const lists = new Map<GroupMember, Slot[]>();
  for (const member of members) if (changed.has(member)) lists.set(member, []);
  for (const topic of topics) {
    for (const slot of topic.slots) {
      if (slot.owner !== null) lists.get(slot.owner)?.push(slot);
    }
  }
  for (const [member, list] of lists) member.owned = list;
}

/** Hands revoked slots of one group over to their targets. */
export function release(
  state: GroupsState,
  group: Group,
  slots: readonly Slot[],
  effects: GroupEffects,
): void {
  if (slots.length === 0) return;
  const generation = ++state.lastGeneration;
  const changed = new Set<GroupMember>();
  for (const slot of slots) {
    if (slot.owner !== null) changed.add(slot.owner);
    own(slot, slot.target, generation, changed);
  }
  listOwned([...changed], [...group.topics.values()], changed);
  for (const member of changed) effects.groupMemberChanged(member);
}
