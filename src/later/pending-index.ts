import { type Pending, PendingRows } from "./pending.ts";

/** More than the number of classes, so that a row and its class are one number. */
const CLASS_FACTOR = 8;

/**
 * Records that wait: by class, then in the order of their ids, and by the time at which they fall due.
 * Records of the same time fall due in the order of their ids. The binary heap has the rows.
 */
export class PendingIndex {
  readonly #classes: readonly PendingRows[];
  readonly #classOfId: (id: number) => number;
  /** Row times `CLASS_FACTOR` plus class. */
  readonly #heap: number[] = [];

  constructor(classes: number, classOfId: (id: number) => number) {
    this.#classes = Array.from({ length: classes }, () => new PendingRows());
    this.#classOfId = classOfId;
  }

  get size(): number {
    return this.#heap.length;
  }

  /** Returns the earliest time at which records fall due; `Infinity` if none wait. */
  nextAt(): number {
    const [first] = this.#heap;
    return first === undefined ? Number.POSITIVE_INFINITY : this.#dueAt(first);
  }

  /** Returns for how many milliseconds the first ones have been due; 0 if nothing is due. */
  lateness(now: number): number {
    return Math.max(0, now - this.nextAt());
  }

  /** @param pending its id is higher than those of its class before it. */
  add(pending: Pending): void {
    const itsClass = this.#classOfId(pending.id);
    const place = this.#heap.length;
    const row = this.#rows(itsClass).add(pending, place);
    const entry = row * CLASS_FACTOR + itsClass;
    this.#heap.push(entry);
    this.#raise(place, entry);
  }

  find(id: number): Pending | undefined {
    const rows = this.#classes[this.#classOfId(id)];
    const row = rows?.rowOf(id) ?? -1;
    return row < 0 ? undefined : rows?.at(row);
  }

  /** @returns false if they do not wait. */
  remove(id: number): boolean {
    const itsClass = this.#classOfId(id);
    const rows = this.#classes[itsClass];
    const row = rows?.rowOf(id) ?? -1;
    if (rows === undefined || row < 0) return false;
    const place = rows.placeOf(row);
    const heap = this.#heap;
    const last = heap.pop() as number;
    if (place < heap.length) {
      // The last one may belong above or below the gap.
      this.#sink(this.#raise(place, last), last);
    }
    rows.remove(row, (at, moved) => {
      heap[at] = moved * CLASS_FACTOR + itsClass;
    });
    return true;
  }

  /** Yields the records that are due at `now`, in no particular order. The index must not change. */
  *due(now: number): Generator<Pending> {
    const places = [0];
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const entry = this.#heap[place];
      if (entry === undefined || this.#dueAt(entry) > now) continue;
      yield this.#rowsOf(entry).at(rowOf(entry));
      places.push(2 * place + 1, 2 * place + 2);
    }
  }

  /** Yields the records of a class with a higher id than `after`, in order. */
  ofClass(itsClass: number, after = 0): Generator<Pending> {
    return this.#rows(itsClass).values(after);
  }

  /** Yields all records: by class, then in the order of their ids. The index must not change. */
  *values(): Generator<Pending> {
    for (const rows of this.#classes) yield* rows.values();
  }

  /** Returns the same records as they are now, whatever changes afterwards. */
  capture(): readonly Generator<Pending>[] {
    return this.#classes.map((rows) => rows.capture());
  }

  #rows(itsClass: number): PendingRows {
    return this.#classes[itsClass] as PendingRows;
  }

  #rowsOf(entry: number): PendingRows {
    return this.#rows(entry % CLASS_FACTOR);
  }

  #dueAt(entry: number): number {
    return this.#rowsOf(entry).dueAt(rowOf(entry));
  }

  #isBefore(a: number, b: number): boolean {
    const difference = this.#dueAt(a) - this.#dueAt(b);
    if (difference !== 0) return difference < 0;
    return this.#rowsOf(a).idAt(rowOf(a)) < this.#rowsOf(b).idAt(rowOf(b));
  }

  #put(place: number, entry: number): void {
    this.#heap[place] = entry;
    this.#rowsOf(entry).setPlace(rowOf(entry), place);
  }

  /** Moves the entry from the gap at `place` towards the root. @returns its place. */
  #raise(place: number, entry: number): number {
    const heap = this.#heap;
    let gap = place;
    while (gap > 0) {
      const above = (gap - 1) >>> 1;
      const parent = heap[above] as number;
      if (!this.#isBefore(entry, parent)) break;
      this.#put(gap, parent);
      gap = above;
    }
    this.#put(gap, entry);
    return gap;
  }

  /** Moves the entry from the gap at `place` towards the leaves. */
  #sink(place: number, entry: number): void {
    const heap = this.#heap;
    let gap = place;
    for (;;) {
      let below = 2 * gap + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && this.#isBefore(right, heap[below] as number)) below++;
      const child = heap[below] as number;
      if (!this.#isBefore(child, entry)) break;
      this.#put(gap, child);
      gap = below;
    }
    this.#put(gap, entry);
  }
}

const rowOf = (entry: number): number => Math.floor(entry / CLASS_FACTOR);
