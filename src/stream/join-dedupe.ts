import {
  type JoinSides,
  type KeyGroup,
  type Matches,
  newMatchArrays,
  type WorkMeter,
} from "./join-match.ts";
import { type Pair, PairHeap } from "./pair-heap.ts";

const NO_PARTNER = -1;
/** Bound for the rule that lists pairs one by one. */
export const LISTED_PAIRS_MAX = 500_000;

/**
 * Each record in at most one pair: pairs are taken by distance, then left offset, then right
 * offset, and kept if neither record is used yet.
 *
 * The nearest of the remaining pairs always consists of two neighbours in the order of time, because
 * a record between them would make a nearer pair with one of the two. So only neighbours are
 * candidates. They are kept in a heap: O(n log n), while listing all pairs would be O(n²).
 */
export class OnceMatches implements Matches {
  readonly leftCount: Int32Array;
  readonly leftFirst: Int32Array;
  readonly leftLast: Int32Array;
  readonly rightMatched: Uint8Array;
  readonly #sides: JoinSides;
  readonly #sizeMs: number;
  readonly #meter: WorkMeter;
  #listed = 0;

  constructor(sides: JoinSides, sizeMs: number, meter: WorkMeter) {
    const arrays = newMatchArrays(sides.left, sides.right);
    this.leftCount = arrays.leftCount;
    this.leftFirst = arrays.leftFirst.fill(NO_PARTNER);
    this.leftLast = arrays.leftLast;
    this.rightMatched = arrays.rightMatched;
    this.#sides = sides;
    this.#sizeMs = sizeMs;
    this.#meter = meter;
  }

  rightsOf(left: number): readonly number[] {
    const right = this.leftFirst[left] ?? NO_PARTNER;
    return right === NO_PARTNER ? [] : [right];
  }

  *addGroup(group: KeyGroup): Generator<void> {
    const line = new TimeLine(this.#pointsOf(group), this.#sizeMs);
    let steps = 0;
    for (const point of line.points) {
      // At one time, the pairs of distance 0 in their order are first with first, and so on.
      while (point.left.length > point.leftUsed && point.right.length > point.rightUsed) {
        this.#pair(point.left[point.leftUsed++] ?? 0, point.right[point.rightUsed++] ?? 0);
        if (++steps % 64 === 0) yield;
      }
    }
    line.link();
    for (let pair = line.next(); pair !== undefined; pair = line.next()) {
      this.#pair(pair.left, pair.right);
      if (++steps % 64 === 0) yield;
    }
    this.#meter.operations += line.operations;
  }

  /**
   * The same for pairs whose left offset is not above the right one. Neighbours are then not enough, so all pairs of the window are listed, up to a bound.
   *
   * @returns false if there are too many.
   */
  *addGroupInOffsetOrder(group: KeyGroup): Generator<void, boolean> {
    const heap = new PairHeap();
    for (const left of group.left) {
      if (!this.#list(left, group.right, heap)) return false;
      yield;
    }
    for (let pair = heap.pop(), i = 1; pair !== undefined; pair = heap.pop(), i++) {
      const isFree = this.leftCount[pair.left] === 0 && this.rightMatched[pair.right] === 0;
      if (isFree) this.#pair(pair.left, pair.right);
      if (i % 64 === 0) yield;
    }
    return true;
  }

  /** @returns false if there are too many. */
  #list(leftIndex: number, group: readonly number[], heap: PairHeap): boolean {
    const { left, right } = this.#sides;
    const time = left.times[leftIndex] ?? 0;
    const offset = left.offsets[leftIndex] ?? 0;
    for (const rightIndex of group) {
      const distance = Math.abs((right.times[rightIndex] ?? 0) - time);
      this.#meter.operations++;
      if (distance > this.#sizeMs || offset > (right.offsets[rightIndex] ?? 0)) continue;
      if (++this.#listed > LISTED_PAIRS_MAX) return false;
      heap.push({ distance, left: leftIndex, right: rightIndex });
    }
    return true;
  }

  #pair(left: number, right: number): void {
    this.#meter.operations++;
    this.leftCount[left] = 1;
    this.leftFirst[left] = right;
    this.leftLast[left] = right;
    this.rightMatched[right] = 1;
  }

  /** Merges the two sorted lists of a group into points of time. */
  #pointsOf(group: KeyGroup): TimePoint[] {
    const points: TimePoint[] = [];
    const { left, right } = this.#sides;
    const timeOf = (index: number | undefined, times: readonly (number | null)[]): number =>
      index === undefined ? Number.POSITIVE_INFINITY : (times[index] ?? 0);
    for (let l = 0, r = 0; l < group.left.length || r < group.right.length; ) {
      const leftTime = timeOf(group.left[l], left.times);
      const rightTime = timeOf(group.right[r], right.times);
      const point = newPoint(Math.min(leftTime, rightTime));
      while (timeOf(group.left[l], left.times) === point.timeMs) {
        point.left.push(group.left[l++] ?? 0);
      }
      while (timeOf(group.right[r], right.times) === point.timeMs) {
        point.right.push(group.right[r++] ?? 0);
      }
      points.push(point);
    }
    this.#meter.operations += group.left.length + group.right.length;
    return points;
  }
}

/** The records of one key at one time. Those before `…Used` have a partner. */
type TimePoint = {
  readonly timeMs: number;
  readonly left: number[];
  readonly right: number[];
  leftUsed: number;
  rightUsed: number;
  previous: TimePoint | null;
  following: TimePoint | null;
};

function newPoint(timeMs: number): TimePoint {
  return {
    timeMs,
    left: [],
    right: [],
    leftUsed: 0,
    rightUsed: 0,
    previous: null,
    following: null,
  };
}

/** Points of time that have records of one side only, linked; gives the next pair to be taken. */
class TimeLine {
  readonly points: readonly TimePoint[];
  readonly #sizeMs: number;
  readonly #heap = new PairHeap();
  readonly #pointOfLeft = new Map<number, TimePoint>();
  readonly #pointOfRight = new Map<number, TimePoint>();

  constructor(points: readonly TimePoint[], sizeMs: number) {
    this.points = points;
    this.#sizeMs = sizeMs;
  }

  get operations(): number {
    return this.#heap.operations;
  }

  link(): void {
    let previous: TimePoint | null = null;
    for (const point of this.points) {
      for (const left of point.left) this.#pointOfLeft.set(left, point);
      for (const right of point.right) this.#pointOfRight.set(right, point);
      if (isUsedUp(point)) continue;
      point.previous = previous;
      if (previous !== null) {
        previous.following = point;
        this.#offer(previous, point);
      }
      previous = point;
    }
  }

  next(): Pair | undefined {
    for (let pair = this.#heap.pop(); pair !== undefined; pair = this.#heap.pop()) {
      if (this.#take(pair)) return pair;
    }
    return undefined;
  }

  /** @returns false if the pair is of the past; if need be, its points have offered another. */
  #take(pair: Pair): boolean {
    const left = this.#pointOfLeft.get(pair.left);
    const right = this.#pointOfRight.get(pair.right);
    if (left === undefined || right === undefined) return false;
    const areNeighbours = left.following === right || right.following === left;
    if (!areNeighbours || isUsedUp(left) || isUsedUp(right)) return false;
    if (left.left[left.leftUsed] !== pair.left || right.right[right.rightUsed] !== pair.right) {
      // One of the two was taken meanwhile; the next of its point has a higher offset.
      this.#offer(left, right);
      return false;
    }
    left.leftUsed++;
    right.rightUsed++;
    this.#dropIfUsedUp(left);
    this.#dropIfUsedUp(right);
    if (!isUsedUp(left) && !isUsedUp(right)) this.#offer(left, right);
    return true;
  }

  #dropIfUsedUp(point: TimePoint): void {
    if (!isUsedUp(point)) return;
    const { previous, following } = point;
    if (previous !== null) previous.following = following;
    if (following !== null) following.previous = previous;
    if (previous !== null && following !== null) this.#offer(previous, following);
  }

  /** Two neighbours, in either order, if they are of different sides and near enough. */
  #offer(a: TimePoint, b: TimePoint): void {
    const distance = Math.abs(b.timeMs - a.timeMs);
    if (distance > this.#sizeMs) return;
    const left = a.left[a.leftUsed] ?? b.left[b.leftUsed];
    const right = a.right[a.rightUsed] ?? b.right[b.rightUsed];
    const areOpposite = hasLeft(a) !== hasLeft(b);
    if (areOpposite && left !== undefined && right !== undefined) {
      this.#heap.push({ distance, left, right });
    }
  }
}

function hasLeft(point: TimePoint): boolean {
  return point.leftUsed < point.left.length;
}

function isUsedUp(point: TimePoint): boolean {
  return !hasLeft(point) && point.rightUsed >= point.right.length;
}
