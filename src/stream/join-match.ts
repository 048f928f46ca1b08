import type { JoinSide } from "./join-side.ts";

/** The records of one key that can match, by index; each list in the order of time, then offset. */
export type KeyGroup = { readonly left: number[]; readonly right: number[] };

/** Which records match, by index: what the rows and the page's end are made of. */
export type Matches = {
  /** How many rights each left matches, and the first and last of them (by offset). */
  readonly leftCount: Int32Array;
  readonly leftFirst: Int32Array;
  readonly leftLast: Int32Array;
  readonly rightMatched: Uint8Array;
  /** The rights of a left in the order of their offsets. */
  rightsOf(left: number): readonly number[];
};

/** Counts steps, so that a test can see how the work grows. */
export type WorkMeter = { operations: number };

export function newMatchArrays(left: JoinSide, right: JoinSide) {
  return {
    leftCount: new Int32Array(left.length),
    leftFirst: new Int32Array(left.length),
    leftLast: new Int32Array(left.length),
    rightMatched: new Uint8Array(right.length),
  };
}

/** Sorts both lists of a group by time. Indexes rise with offsets, so they break ties. */
export function sortGroup(group: KeyGroup, sides: JoinSides, meter: WorkMeter): void {
  sortByTime(group.left, sides.left.times, meter);
  sortByTime(group.right, sides.right.times, meter);
}

export type JoinSides = { readonly left: JoinSide; readonly right: JoinSide };

function sortByTime(indexes: number[], times: readonly (number | null)[], meter: WorkMeter): void {
  indexes.sort((a, b) => {
    meter.operations++;
    return (times[a] ?? 0) - (times[b] ?? 0) || a - b;
  });
}

/**
 * Every pair of equal keys within the window, without listing them: as the lefts go by in the
 * order of time, the rights that match are a range that only moves forward. Its lowest and highest
 * index come from two monotonic queues. O(n) for sorted groups; the range is listed only for rows
 * that are emitted.
 */
export class WindowMatches implements Matches {
  readonly leftCount: Int32Array;
  readonly leftFirst: Int32Array;
  readonly leftLast: Int32Array;
  readonly rightMatched: Uint8Array;
  readonly #rangeStart: Int32Array;
  readonly #rightsOf: (readonly number[] | undefined)[];
  readonly #sides: JoinSides;
  readonly #sizeMs: number;
  readonly #meter: WorkMeter;

  constructor(sides: JoinSides, sizeMs: number, meter: WorkMeter) {
    const arrays = newMatchArrays(sides.left, sides.right);
    this.leftCount = arrays.leftCount;
    this.leftFirst = arrays.leftFirst;
    this.leftLast = arrays.leftLast;
    this.rightMatched = arrays.rightMatched;
    this.#rangeStart = new Int32Array(sides.left.length);
    this.#rightsOf = new Array(sides.left.length);
    this.#sides = sides;
    this.#sizeMs = sizeMs;
    this.#meter = meter;
  }

  rightsOf(left: number): readonly number[] {
    const rights = this.#rightsOf[left] ?? [];
    const start = this.#rangeStart[left] ?? 0;
    const range = rights.slice(start, start + (this.leftCount[left] ?? 0));
    this.#meter.operations += range.length;
    return range.sort((a, b) => a - b);
  }

  *addGroup(group: KeyGroup): Generator<void> {
    const range = new TimeRange(group.right, this.#sides.right.times, this.#meter);
    for (const [i, left] of group.left.entries()) {
      const time = this.#sides.left.times[left] ?? 0;
      range.moveTo(time - this.#sizeMs, time + this.#sizeMs);
      this.leftCount[left] = range.length;
      this.#rangeStart[left] = range.start;
      this.#rightsOf[left] = group.right;
      if (range.length > 0) {
        this.leftFirst[left] = range.lowest;
        this.leftLast[left] = range.highest;
      }
      if (i % 64 === 63) yield;
    }
    yield;
    this.#markMatchedRights(group);
  }

  /** The same seen from the rights, of which only whether they match is asked. */
  #markMatchedRights(group: KeyGroup): void {
    const range = new TimeRange(group.left, this.#sides.left.times, this.#meter);
    for (const right of group.right) {
      const time = this.#sides.right.times[right] ?? 0;
      range.moveTo(time - this.#sizeMs, time + this.#sizeMs);
      if (range.length > 0) this.rightMatched[right] = 1;
    }
  }
}

/** The part of a list sorted by time that lies between two times, which only ever grow. */
class TimeRange {
  readonly #items: readonly number[];
  readonly #times: readonly (number | null)[];
  readonly #meter: WorkMeter;
  readonly #lowest = new MonotonicQueue((a, b) => a < b);
  readonly #highest = new MonotonicQueue((a, b) => a > b);
  start = 0;
  #end = 0;

  constructor(items: readonly number[], times: readonly (number | null)[], meter: WorkMeter) {
    this.#items = items;
    this.#times = times;
    this.#meter = meter;
  }

  get length(): number {
    return this.#end - this.start;
  }

  /** The lowest and highest item; the range must not be empty. */
  get lowest(): number {
    return this.#lowest.frontFrom(this.start);
  }

  get highest(): number {
    return this.#highest.frontFrom(this.start);
  }

  moveTo(from: number, to: number): void {
    this.#meter.operations++;
    for (; this.#end < this.#items.length && this.#timeAt(this.#end) <= to; this.#end++) {
      this.#lowest.push(this.#end, this.#items[this.#end] ?? 0);
      this.#highest.push(this.#end, this.#items[this.#end] ?? 0);
      this.#meter.operations++;
    }
    for (; this.start < this.#end && this.#timeAt(this.start) < from; this.start++) {
      this.#meter.operations++;
    }
  }

  #timeAt(position: number): number {
    return this.#times[this.#items[position] ?? 0] ?? 0;
  }
}

/** Keeps the best of a moving range at its front: what a better, later item hides is dropped. */
class MonotonicQueue {
  readonly #isBetter: (a: number, b: number) => boolean;
  readonly #positions: number[] = [];
  readonly #items: number[] = [];
  #front = 0;

  constructor(isBetter: (a: number, b: number) => boolean) {
    this.#isBetter = isBetter;
  }

  push(position: number, item: number): void {
    while (this.#items.length > this.#front && this.#isBetter(item, this.#items.at(-1) ?? 0)) {
      this.#items.pop();
      this.#positions.pop();
    }
    this.#items.push(item);
    this.#positions.push(position);
  }

  /** The best of the range that begins at position `start`, which holds at least one. */
  frontFrom(start: number): number {
    while ((this.#positions[this.#front] ?? start) < start) this.#front++;
    return this.#items[this.#front] ?? 0;
  }
}
