import { assert } from "./assert.ts";

/** Kinds of things that fall due. Things of the same time fall due in the order of these numbers. */
export const DUE_KIND = {
  groupLease: 1,
  queueVisibility: 2,
  queueDelay: 3,
  queueRetention: 4,
  schedule: 5,
  webhook: 6,
  stream: 7,
  producer: 8,
  keyExpiry: 9,
} as const;

export type DueKind = (typeof DUE_KIND)[keyof typeof DUE_KIND];

const NOT_IN_INDEX = -1;

/**
 * A thing that falls due at some time. Classes of things extend it, so that an index of a million things
 * needs no object and no map entry beside the things themselves.
 */
export abstract class LeanDue {
  /** A class whose things are many has getters for what is the same for all of them. */
  abstract get kind(): DueKind;
  /** Number of the group, queue or stream that the thing belongs to. */
  abstract get owner(): number;
  /** Unique within kind and owner. */
  readonly id: number;
  /** Milliseconds of the cluster's time. Only an index changes it, as its order depends on it. */
  dueAt = Number.POSITIVE_INFINITY;
  /** Place in the heap of the index. Only an index uses it. */
  place = NOT_IN_INDEX;

  constructor(id: number) {
    this.id = id;
  }

  get isInIndex(): boolean {
    return this.place !== NOT_IN_INDEX;
  }
}

/** The same for things whose kind and owner differ. */
export class Due extends LeanDue {
  readonly #kind: DueKind;
  readonly #owner: number;

  constructor(kind: DueKind, owner: number, id: number) {
    super(id);
    this.#kind = kind;
    this.#owner = owner;
  }

  override get kind(): DueKind {
    return this.#kind;
  }

  override get owner(): number {
    return this.#owner;
  }
}

/**
 * Things in the order in which they fall due: by time, then kind, owner and id. The order depends on
 * these four numbers only, never on the history, so that all nodes take the same things in the same
 * order. A binary heap: adding, moving and removing one of n things takes O(log n).
 */
export class DueIndex<Item extends LeanDue = LeanDue> {
  readonly #heap: Item[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** Returns the earliest time at which a thing falls due; `Infinity` if there is none. */
  nextAt(): number {
    return this.#heap[0]?.dueAt ?? Number.POSITIVE_INFINITY;
  }

  /** Returns for how many milliseconds the first thing has been due; 0 if nothing is due. */
  lateness(now: number): number {
    return Math.max(0, now - this.nextAt());
  }

  /** Adds the thing, or moves it to another time. */
  set(item: Item, dueAt: number): void {
    assert(Number.isFinite(dueAt), "a thing falls due at some time");
    const before = item.dueAt;
    item.dueAt = dueAt;
    if (!item.isInIndex) {
      this.#heap.push(item);
      this.#raise(this.#heap.length - 1, item);
      return;
    }
    assert(this.#heap[item.place] === item, "a thing is in one index");
    if (dueAt < before) this.#raise(item.place, item);
    else this.#sink(item.place, item);
  }

  /** Returns whether the thing was in the index. It keeps its time. */
  remove(item: Item): boolean {
    const { place } = item;
    if (place === NOT_IN_INDEX) return false;
    assert(this.#heap[place] === item, "a thing is in one index");
    item.place = NOT_IN_INDEX;
    const last = this.#heap.pop() as Item;
    if (last === item) return true;
    // The last thing may belong above or below the gap.
    this.#raise(place, last);
    this.#sink(last.place, last);
    return true;
  }

  /** Removes and returns the first thing that is due at `now`; null if nothing is due. */
  take(now: number): Item | null {
    const first = this.#heap[0];
    if (first === undefined || first.dueAt > now) return null;
    this.remove(first);
    return first;
  }

  /** Yields the things that are due at `now`, in no particular order. The index must not change. */
  *due(now: number): Generator<Item> {
    const places = [0];
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const item = this.#heap[place];
      if (item === undefined || item.dueAt > now) continue;
      yield item;
      places.push(2 * place + 1, 2 * place + 2);
    }
  }

  /** Moves the thing from the gap at `place` towards the root. */
  #raise(place: number, item: Item): void {
    const heap = this.#heap;
    let gap = place;
    while (gap > 0) {
      const above = (gap - 1) >>> 1;
      const parent = heap[above] as Item;
      if (!isBefore(item, parent)) break;
      heap[gap] = parent;
      parent.place = gap;
      gap = above;
    }
    heap[gap] = item;
    item.place = gap;
  }

  /** Moves the thing from the gap at `place` towards the leaves. */
  #sink(place: number, item: Item): void {
    const heap = this.#heap;
    let gap = place;
    for (;;) {
      let below = 2 * gap + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, heap[below] as Item)) below++;
      const child = heap[below] as Item;
      if (!isBefore(child, item)) break;
      heap[gap] = child;
      child.place = gap;
      gap = below;
    }
    heap[gap] = item;
    item.place = gap;
  }
}

function isBefore(a: LeanDue, b: LeanDue): boolean {
  if (a.dueAt !== b.dueAt) return a.dueAt < b.dueAt;
  if (a.kind !== b.kind) return a.kind < b.kind;
  return a.owner === b.owner ? a.id < b.id : a.owner < b.owner;
}
