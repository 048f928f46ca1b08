import { chooseTakers, type OpenTopic } from "./extras.ts";

/** No member. */
export const NOBODY = -1;

/** A topic of a group. Members are numbers from 0 in the order in which they joined. */
export type TopicToAssign = {
  /** Rising numbers of the members that have joined with the topic. */
  readonly subscribers: readonly number[];
  /** The present owner of each partition, or `NOBODY`. */
  readonly owners: readonly number[];
  /** The member that a partition was about to go to. Among equal assignments, one that keeps it is chosen. */
  readonly targets: readonly number[];
};

/**
 * Assigns the partitions of each topic to its subscribers:
 *
 * 1. The counts of the subscribers of a topic differ by at most one.
 * 2. The counts of members over all topics are as even as this allows. Those of members with the same
 *    topics differ by at most one.
 * 3. As few partitions as possible go to another member. See `chooseTakers` for the bound of this.
 *
 * The result depends on the arguments only.
 *
 * @returns the owner-to-be of each partition of each topic; `NOBODY` in a topic without subscribers.
 */
export function assign(memberCount: number, topics: readonly TopicToAssign[]): number[][] {
  const totals = new Array<number>(memberCount).fill(0);
  const shares = topics.map((topic) => shareOf(topic, totals));
  chooseTakers(
    shares.flatMap(({ open }) => (open === null ? [] : [open])),
    totals,
  );
  return shares.map(place);
}

type Share = {
  readonly topic: TopicToAssign;
  /** The partitions that each subscriber gets at least. */
  readonly base: number;
  readonly open: OpenTopic | null;
  /** Number of partitions that each subscriber owns now. */
  readonly owned: ReadonlyMap<number, number>;
};

function shareOf(topic: TopicToAssign, totals: number[]): Share {
  const { subscribers, owners } = topic;
  const owned = new Map(subscribers.map((member) => [member, 0]));
  if (subscribers.length === 0) return { topic, base: 0, open: null, owned };
  for (const owner of owners) {
    const count = owned.get(owner);
    if (count !== undefined) owned.set(owner, count + 1);
  }
  const base = Math.floor(owners.length / subscribers.length);
  for (const member of subscribers) totals[member] = (totals[member] as number) + base;
  const extras = owners.length - base * subscribers.length;
  if (extras === 0) return { topic, base, open: null, owned };
  const holders = new Set(subscribers.filter((member) => (owned.get(member) as number) > base));
  return { topic, base, open: { subscribers, extras, holders, takers: new Set() }, owned };
}

function place({ topic, base, open, owned }: Share): number[] {
  const { subscribers, owners, targets } = topic;
  const quota = (member: number): number => base + Number(open?.takers.has(member) ?? false);
  const surplus = new Map<number, number>();
  const room = new Map<number, number>();
  for (const member of subscribers) {
    const count = owned.get(member) as number;
    surplus.set(member, Math.max(0, count - quota(member)));
    room.set(member, Math.max(0, quota(member) - count));
  }
  const placed = owners.map((owner) => (owned.has(owner) ? owner : NOBODY));
  const giveUp = (partition: number): void => {
    const owner = placed[partition] as number;
    const left = surplus.get(owner) ?? 0;
    if (left === 0) return;
    surplus.set(owner, left - 1);
    placed[partition] = NOBODY;
  };
  // Members give up partitions that they were about to give up, and then their last ones.
  const fromLast = owners.map((_, i) => owners.length - 1 - i);
  for (const partition of fromLast) {
    if (targets[partition] !== owners[partition]) giveUp(partition);
  }
  for (const partition of fromLast) giveUp(partition);
  const free = placed.flatMap((member, partition) => (member === NOBODY ? [partition] : []));
  fill(placed, free, targets, subscribers, room);
  return placed;
}

/** Gives the free partitions to members with room: to the target if possible, otherwise in order. */
function fill(
  placed: number[],
  free: readonly number[],
  targets: readonly number[],
  subscribers: readonly number[],
  room: Map<number, number>,
): void {
  const give = (partition: number, member: number): boolean => {
    const left = room.get(member) ?? 0;
    if (left === 0) return false;
    room.set(member, left - 1);
    placed[partition] = member;
    return true;
  };
  const rest = free.filter((partition) => !give(partition, targets[partition] as number));
  let next = 0;
  for (const partition of rest) {
    while (next < subscribers.length && !give(partition, subscribers[next] as number)) next++;
  }
}
