import { expect, test } from "bun:test";
import { DUE_KIND, Due, DueIndex, type DueKind, type LeanDue } from "../../src/lib/due-index.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const KINDS: readonly DueKind[] = Object.values(DUE_KIND);

const inOrder = (a: LeanDue, b: LeanDue): number =>
  a.dueAt - b.dueAt || a.kind - b.kind || a.owner - b.owner || a.id - b.id;

/** The index as a list that is sorted for each question. */
class Model {
  readonly items = new Set<LeanDue>();

  get sorted(): LeanDue[] {
    return [...this.items].sort(inOrder);
  }

  take(now: number): LeanDue | null {
    const first = this.sorted[0];
    if (first === undefined || first.dueAt > now) return null;
    this.items.delete(first);
    return first;
  }
}

/** All things that a run uses, each once, in random order. */
function thingsOf(random: Random): Due[] {
  const things: Due[] = [];
  for (const kind of KINDS) {
    for (let owner = 0; owner < 4; owner++) {
      for (let id = 0; id < 4; id++) things.push(new Due(kind, owner, id));
    }
  }
  for (let i = things.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [things[i], things[other]] = [things[other] as Due, things[i] as Due];
  }
  return things;
}

/** Goal: the index answers like a sorted list. Method: random changes, and all answers after each. */
test("things are taken by time, kind, owner and id, whatever was added, moved and removed", () => {
  forEachSeed(40, (random) => {
    const index = new DueIndex();
    const model = new Model();
    const things = thingsOf(random);
    const times = random.pick([3, 50, 1_000_000]);
    for (let i = 0; i < 600; i++) {
      const thing = random.pick(things);
      switch (random.below(4)) {
        case 0:
          expect(index.remove(thing)).toBe(model.items.delete(thing));
          break;
        case 1: {
          const now = random.below(times);
          expect(index.take(now)).toBe(model.take(now));
          break;
        }
        default:
          index.set(thing, random.below(times));
          model.items.add(thing);
      }
      expect(thing.isInIndex).toBe(model.items.has(thing));
      expect(index.size).toBe(model.items.size);
      const next = model.sorted[0]?.dueAt ?? Number.POSITIVE_INFINITY;
      expect(index.nextAt()).toBe(next);
      expect(index.lateness(times)).toBe(Math.max(0, times - next));
    }
    const expected = model.sorted;
    const taken: (LeanDue | null)[] = expected.map(() => index.take(times));
    expect(taken).toEqual(expected);
    expect(index.take(Number.MAX_SAFE_INTEGER)).toBeNull();
  });
});

test("two indexes with other histories take the same things in the same order", () => {
  forEachSeed(10, (random) => {
    const orders = [0, 1].map(() => {
      const index = new DueIndex();
      for (const thing of thingsOf(random)) {
        if (random.below(2) === 0) index.set(thing, random.below(100));
        index.set(thing, (thing.kind * 7 + thing.owner * 3 + thing.id) % 5);
      }
      return Array.from({ length: index.size }, () => {
        const { dueAt, kind, owner, id } = index.take(5) as Due;
        return `${dueAt} ${kind} ${owner} ${id}`;
      });
    });
    expect(orders[0]).toHaveLength(KINDS.length * 16);
    expect(orders[0]).toEqual(orders[1] as string[]);
  });
});

test("nothing is taken before its time, and a thing that was taken can be added again", () => {
  const index = new DueIndex();
  const thing = new Due(DUE_KIND.groupLease, 1, 1);
  expect(index.nextAt()).toBe(Number.POSITIVE_INFINITY);
  expect(index.lateness(10)).toBe(0);
  index.set(thing, 10);
  expect(index.take(9)).toBeNull();
  expect(index.take(10)).toBe(thing);
  expect(thing.isInIndex).toBe(false);
  expect(index.remove(thing)).toBe(false);
  index.set(thing, 20);
  expect(index.nextAt()).toBe(20);
  expect(index.lateness(25)).toBe(5);
});

test("the kinds have numbers of their own", () => {
  expect(new Set(KINDS).size).toBe(KINDS.length);
});

test("a time that is no number, and a thing of another index, are bugs", () => {
  const thing = new Due(DUE_KIND.schedule, 1, 1);
  expect(() => new DueIndex().set(thing, Number.NaN)).toThrow();
  new DueIndex().set(thing, 1);
  expect(() => new DueIndex().set(thing, 2)).toThrow();
  expect(() => new DueIndex().remove(thing)).toThrow();
});

test("the due things can be looked at without taking them", () => {
  forEachSeed(20, (random) => {
    const index = new DueIndex();
    const things = thingsOf(random);
    for (const thing of things) index.set(thing, random.below(10));
    for (let now = -1; now <= 10; now++) {
      const expected = things.filter(({ dueAt }) => dueAt <= now).sort(inOrder);
      expect([...index.due(now)].sort(inOrder)).toEqual(expected);
    }
  });
});
