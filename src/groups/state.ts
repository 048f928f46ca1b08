import { type CommandRejected, commandRejected, type Rejecting } from "../lib/command-rejected.ts";
import { DUE_KIND, Due, DueIndex } from "../lib/due-index.ts";

/** At most this many members in all groups. */
export const MEMBERS_MAX = 10_000;
/** At most this many partitions of joined topics, added up over all groups. */
export const GROUP_PARTITIONS_MAX = 200_000;

/** A partition in a group. */
export class Slot {
  readonly topic: GroupTopic;
  readonly partition: number;
  /** The member whose commits count. */
  owner: GroupMember | null = null;
  /** The owner-to-be. If it is not the owner, the owner has to give the partition up. */
  target: GroupMember | null = null;
  /** Fences commits of former owners. Greater than every generation in which another member owned it. */
  generation = 0;

  constructor(topic: GroupTopic, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get isRevoked(): boolean {
    return this.owner !== this.target;
  }
}

/** A topic that members of the group have joined with, now or before. */
export class GroupTopic {
  readonly name: string;
  /** 0 while the topic does not exist. */
  topicId = 0;
  slots: readonly Slot[] = [];

  constructor(name: string) {
    this.name = name;
  }
}

/** Falls due when its lease is over. */
export class GroupMember extends Due {
  readonly group: Group;
  readonly name: string;
  leaseMs: number;
  topics: readonly GroupTopic[];
  /** Not replicated as such: the slots whose owner it is, by topic and partition. */
  owned: readonly Slot[] = [];
  /** Not replicated: counts the calls of join. A reader starts again at the committed offsets. */
  joins = 0;

  constructor(
    group: Group,
    id: number,
    name: string,
    leaseMs: number,
    topics: readonly GroupTopic[],
  ) {
    super(DUE_KIND.groupLease, group.id, id);
    this.group = group;
    this.name = name;
    this.leaseMs = leaseMs;
    this.topics = topics;
  }
}

/** A group that members have joined. It stays without members, since its lag still counts. */
export class Group {
  readonly id: number;
  readonly name: string;
  readonly topics = new Map<string, GroupTopic>();
  /** In the order in which they joined. */
  readonly members = new Map<string, GroupMember>();

  constructor(id: number, name: string) {
    this.id = id;
    this.name = name;
  }
}

/** Receives a group that is about to change: a snapshot encodes it first. */
export type GroupsCapture = { changing(group: Group): void };

export class GroupsState {
  /** In the order of their ids. */
  readonly byName = new Map<string, Group>();
  /** Not replicated as such: the groups that have the topic. */
  readonly byTopic = new Map<string, Set<Group>>();
  /** Not replicated as such: the members of all groups, by the time at which their leases end. */
  readonly leases = new DueIndex<GroupMember>();
  /** Not replicated as such: the slots of all groups. */
  slotCount = 0;
  /** Ids and generations rise and are never used again, not even after a group was deleted. */
  lastGroupId = 0;
  lastMemberId = 0;
  lastGeneration = 0;
  /** Not replicated: snapshots that are being encoded. */
  readonly captures = new Set<GroupsCapture>();

  get isEmpty(): boolean {
    return this.lastGroupId === 0;
  }

  get memberCount(): number {
    return this.leases.size;
  }
}

/** The part of the machine that commands of groups change. */
export type HasGroups = { readonly parts: { readonly groups: GroupsState } };

/** Effects that the caller carries out while commands are applied. */
export interface GroupEffects {
  /** The partitions of the member changed, or it is not a member any more. */
  groupMemberChanged(member: GroupMember): void;
}

export type GroupRejectCode =
  | "topic_not_found"
  | "group_not_found"
  | "not_a_member"
  | "leased"
  | "too_many_members"
  | "too_many_group_partitions";

export type GroupRejected<Code extends GroupRejectCode = GroupRejectCode> = CommandRejected<Code>;

export const rejectedGroup: Rejecting<GroupRejectCode> = commandRejected;

export const findMember = (
  state: GroupsState,
  group: string,
  member: string,
): GroupMember | undefined => state.byName.get(group)?.members.get(member);

/** The slot of a partition in a group, if members of the group have joined with its topic. */
export function findSlot(group: Group, topicName: string, partition: number): Slot | undefined {
  return group.topics.get(topicName)?.slots[partition];
}

/** Must be called before anything of the group changes. */
export function changing(state: GroupsState, group: Group): void {
  for (const capture of state.captures) capture.changing(group);
}
