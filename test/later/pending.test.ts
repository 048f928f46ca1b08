/** The index of records that wait, compared with a map and a sorted list. */
import { expect, test } from "bun:test";
import type { Pending } from "../../src/later/pending.ts";
import { PendingIndex } from "../../src/later/pending-index.ts";
import { CLASSES, classOfId } from "../../src/later/state.ts";

/** A generator with a seed (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const inOrder = (all: Iterable<Pending>): Pending[] =>
  [...all].sort((a, b) => classOfId(a.id) - classOfId(b.id) || a.id - b.id);
const byTime = (all: Iterable<Pending>): Pending[] =>
  [...all].sort((a, b) => a.dueAt - b.dueAt || a.id - b.id);

/** An index, and the map that it has to agree with. */
class Pair {
  readonly index = new PendingIndex(CLASSES, classOfId);
  readonly model = new Map<number, Pending>();
  #number = 0;

  add(random: (below: number) => number): void {
    const id = ++this.#number * 8 + random(CLASSES);
    const place = { topicId: 1 + random(3), partition: random(1024), offset: random(2 ** 31) };
    const pending = { id, dueAt: 1e12 + random(500), ...place, count: 1 + random(9) };
    this.index.add(pending);
    this.model.set(id, pending);
  }

  remove(id: number): void {
    expect(this.index.remove(id)).toBe(this.model.delete(id));
  }

  check(now: number): void {
    const { index, model } = this;
    expect(index.size).toBe(model.size);
    expect([...index.values()]).toEqual(inOrder(model.values()));
    const due = [...model.values()].filter(({ dueAt }) => dueAt <= now);
    expect(byTime(index.due(now))).toEqual(byTime(due));
    const [first] = byTime(model.values());
    expect(index.nextAt()).toBe(first?.dueAt ?? Number.POSITIVE_INFINITY);
  }
}

test("records that are added and removed at random are found, listed and due as in a map", () => {
  const random = randomOf(7);
  const pair = new Pair();
  for (let step = 0; step < 4_000; step++) {
    if (random(10) < 6) pair.add(random);
    else pair.remove(random(step + 2) * 8 + random(8));
    if (step % 400 === 0) pair.check(1e12 + random(500));
  }
  pair.check(1e12 + 250);
  for (const { id } of [...pair.model.values()].slice(0, 100)) {
    expect(pair.index.find(id)).toEqual(pair.model.get(id));
    expect(pair.index.find(id + 8 * 100_000)).toBeUndefined();
    const itsClass = classOfId(id);
    const rest = inOrder(pair.model.values()).filter(
      (each) => classOfId(each.id) === itsClass && each.id > id,
    );
    expect(pair.index.ofClass(itsClass, id).next().value).toEqual(rest[0]);
  }
});

test("a table of which few are left is rewritten, and what was captured before stays as it was", () => {
  const random = randomOf(11);
  const pair = new Pair();
  for (let i = 0; i < 60_000; i++) pair.add(random);
  const before = inOrder(pair.model.values());
  const captured = pair.index.capture();
  const [first] = captured;
  expect(first?.next().value).toEqual(before[0]);
  for (const id of [...pair.model.keys()]) if (random(20) > 0) pair.remove(id);
  for (let i = 0; i < 2_000; i++) pair.add(random);
  pair.check(1e12 + 250);
  expect(captured.flatMap((each) => [...each])).toEqual(before.slice(1));
  // In the order in which they fall due, as the leader delivers them.
  for (const { id } of byTime(pair.model.values())) {
    expect(pair.index.nextAt()).toBe(pair.model.get(id)?.dueAt as number);
    pair.remove(id);
  }
  pair.check(Number.MAX_SAFE_INTEGER);
});
