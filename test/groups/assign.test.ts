import { expect, test } from "bun:test";
import { assign, NOBODY, type TopicToAssign } from "../../src/groups/assign.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** The state as one topic, whose owners are also the targets. */
const topicOf = (subscribers: readonly number[], owners: readonly number[]): TopicToAssign => ({
  subscribers,
  owners,
  targets: owners,
});

/** Number of owned partitions that get another owner. */
function movesOf(topics: readonly TopicToAssign[], placed: readonly number[][]): number {
  let moves = 0;
  topics.forEach(({ owners, subscribers }, t) => {
    owners.forEach((owner, p) => {
      if (subscribers.includes(owner) && placed[t]?.[p] !== owner) moves++;
    });
  });
  return moves;
}

const countsOf = (memberCount: number, placed: readonly number[][]): number[] => {
  const counts = range(memberCount).map(() => 0);
  for (const member of placed.flat())
    if (member !== NOBODY) counts[member] = (counts[member] ?? 0) + 1;
  return counts;
};
const spread = (counts: readonly number[]): number =>
  counts.length === 0 ? 0 : Math.max(...counts) - Math.min(...counts);
const squares = (counts: readonly number[]): number =>
  counts.reduce((sum, count) => sum + count * count, 0);

/** Every assignment of a topic whose counts differ by at most one. */
function* evenPlacements({ subscribers, owners }: TopicToAssign): Generator<number[]> {
  const base = Math.floor(owners.length / subscribers.length);
  const counts = new Map(subscribers.map((member) => [member, 0]));
  const placed: number[] = [];
  function* from(p: number): Generator<number[]> {
    if (p === owners.length) {
      if (spread([...counts.values()]) <= 1) yield [...placed];
      return;
    }
    for (const member of subscribers) {
      const count = counts.get(member) as number;
      if (count > base) continue;
      counts.set(member, count + 1);
      placed[p] = member;
      yield* from(p + 1);
      counts.set(member, count);
    }
  }
  yield* from(0);
}

/** The best evenness, and then the fewest moves, of all assignments: by trying each of them. */
function best(
  memberCount: number,
  topics: readonly TopicToAssign[],
): { squares: number; moves: number } {
  let found = { squares: Number.POSITIVE_INFINITY, moves: Number.POSITIVE_INFINITY };
  const choose = (chosen: number[][]): void => {
    const topic = topics[chosen.length];
    if (topic === undefined) {
      const value = {
        squares: squares(countsOf(memberCount, chosen)),
        moves: movesOf(topics, chosen),
      };
      const isBetter =
        value.squares < found.squares ||
        (value.squares === found.squares && value.moves < found.moves);
      if (isBetter) found = value;
      return;
    }
    for (const placed of evenPlacements(topic)) choose([...chosen, placed]);
  };
  choose([]);
  return found;
}

function expectEven(
  memberCount: number,
  topics: readonly TopicToAssign[],
  placed: number[][],
): void {
  topics.forEach(({ subscribers, owners }, t) => {
    const of = placed[t] as number[];
    expect(of).toHaveLength(owners.length);
    for (const member of of) {
      if (subscribers.length === 0) expect(member).toBe(NOBODY);
      else expect(subscribers).toContain(member);
    }
    const counts = countsOf(memberCount, [of]);
    expect(spread(subscribers.map((member) => counts[member] as number))).toBeLessThanOrEqual(1);
  });
}

function randomTopic(random: Random, memberCount: number, partitionsMax: number): TopicToAssign {
  const subscribers = range(memberCount).filter(() => random.below(4) > 0);
  const someone = () => random.below(memberCount + 1) - 1;
  const owners = range(1 + random.below(partitionsMax)).map(someone);
  const targets = owners.map((owner) => (random.below(4) === 0 ? someone() : owner));
  return { subscribers, owners, targets };
}

/** Goal: no other assignment is more even, or as even with fewer moves. Method: all of them are tried. */
test("assignments are as even as possible, and then move as little as possible", () => {
  forEachSeed(400, (random) => {
    const memberCount = 1 + random.below(4);
    const topics = range(1 + random.below(3)).map(() => randomTopic(random, memberCount, 4));
    const assignable = topics.filter(({ subscribers }) => subscribers.length > 0);
    const placed = assign(memberCount, topics);
    expectEven(memberCount, topics, placed);
    const taken = assign(memberCount, assignable);
    expect({
      squares: squares(countsOf(memberCount, taken)),
      moves: movesOf(assignable, taken),
    }).toEqual(best(memberCount, assignable));
  });
});

test("members of the same topics get counts that differ by at most one, however many there are", () => {
  forEachSeed(60, (random) => {
    const memberCount = 1 + random.below(60);
    const all = range(memberCount);
    const topics = range(1 + random.below(40)).map((): TopicToAssign => {
      const { owners, targets } = randomTopic(random, memberCount, 90);
      return { subscribers: all, owners, targets };
    });
    const placed = assign(memberCount, topics);
    expectEven(memberCount, topics, placed);
    expect(spread(countsOf(memberCount, placed))).toBeLessThanOrEqual(1);
  });
});

/** So many members and topics that the search for fewer moves ends early. */
test("the counts are even in a group that is too large for the fewest moves", () => {
  forEachSeed(3, (random) => {
    const memberCount = 300;
    const all = range(memberCount);
    const topics = range(150).map((): TopicToAssign => {
      const owners = range(1 + random.below(90)).map(() => random.below(40));
      return { subscribers: all, owners, targets: owners };
    });
    const placed = assign(memberCount, topics);
    expectEven(memberCount, topics, placed);
    expect(spread(countsOf(memberCount, placed))).toBeLessThanOrEqual(1);
  });
});

test("members of some topics get their share of each, in large groups too", () => {
  forEachSeed(30, (random) => {
    const memberCount = 1 + random.below(50);
    const topics = range(1 + random.below(30)).map(() => randomTopic(random, memberCount, 120));
    expectEven(memberCount, topics, assign(memberCount, topics));
  });
});

test("an assignment that is even stays as it is", () => {
  forEachSeed(100, (random) => {
    const memberCount = 1 + random.below(12);
    const topics = range(1 + random.below(6)).map(() => randomTopic(random, memberCount, 30));
    const first = assign(memberCount, topics);
    const again = topics.map(({ subscribers }, t) => topicOf(subscribers, first[t] as number[]));
    expect(assign(memberCount, again)).toEqual(first);
  });
});

test("a new member gets partitions of those with most, and nothing else moves", () => {
  const owners = [0, 0, 0, 0, 1, 1, 1, 1];
  expect(assign(3, [topicOf([0, 1, 2], owners)])).toEqual([[0, 0, 0, 2, 1, 1, 1, 2]]);
});

test("the partitions of a member that left are divided, and nothing else moves", () => {
  const owners = [0, 1, NOBODY, 0, 1, NOBODY, 0, 1, NOBODY];
  expect(assign(2, [topicOf([0, 1], owners)])).toEqual([[0, 1, 0, 0, 1, 0, 0, 1, 1]]);
});

test("two topics of one partition go to two members, though one had both", () => {
  const topics = [topicOf([0, 1], [0]), topicOf([0, 1], [0])];
  expect(assign(2, topics)).toEqual([[1], [0]]);
});

test("a partition that was on its way to a member goes on to it", () => {
  const topic = { subscribers: [0, 1, 2], owners: [0, 0, 0, 0, 0, 0], targets: [0, 2, 0, 0, 1, 1] };
  expect(assign(3, [topic])).toEqual([[0, 2, 0, 2, 1, 1]]);
});

test("a topic without subscribers has no owners, and a group without members is empty", () => {
  expect(assign(1, [topicOf([], [0, 0])])).toEqual([[NOBODY, NOBODY]]);
  expect(assign(0, [topicOf([], [NOBODY])])).toEqual([[NOBODY]]);
  expect(assign(0, [])).toEqual([]);
});
