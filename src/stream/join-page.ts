import type { Matches } from "./join-match.ts";

/** Facts that decide where a page of rows may end. Indexes are those of the sides. */
export type PagePlan = {
  readonly matches: Matches;
  readonly leftLate: Uint8Array;
  readonly rightLate: Uint8Array;
  readonly isLeftOuter: boolean;
  readonly isRightOuter: boolean;
  readonly dedupeOnce: boolean;
  readonly maxRows: number;
};

/**
 * Rows come from the lefts before `leftRows` and the rights before `rightRows`, at most `maxRows`.
 * The next page begins at `nextLeft` and `nextRight`.
 */
export type PageEnd = {
  readonly leftRows: number;
  readonly rightRows: number;
  readonly nextLeft: number;
  readonly nextRight: number;
  readonly isTruncated: boolean;
};

type Sums = {
  /** Rows of all lefts before each index. */
  readonly rowsBefore: Float64Array;
  /** Right-only rows of all rights before each index. */
  readonly rightRowsBefore: Float64Array;
  /** Lowest right that a left at or after the index matches; the number of rights if none. */
  readonly lowestOwed: Int32Array;
  /** One past the highest right that a left before the index matches. */
  readonly afterHighestUsed: Int32Array;
};

/**
 * Where a page ends whose rows are more than `maxRows`: only whole lefts, and so that the next
 * page, from the offsets in the answer, finds every pair that this one does not have, and none
 * that it has. Where rights are used up (right, full, dedupe_once), both sides are cut so that no
 * pair crosses the cut; a page that has no such place does not advance, and says so.
 */
export function planPage(plan: PagePlan): PageEnd {
  const sums = sumsOf(plan);
  const lefts = plan.leftLate.length;
  const rights = plan.rightLate.length;
  const total = (sums.rowsBefore[lefts] ?? 0) + (sums.rightRowsBefore[rights] ?? 0);
  const whole = { leftRows: lefts, rightRows: rights, nextLeft: lefts, nextRight: rights };
  if (total <= plan.maxRows) return { ...whole, isTruncated: false };
  const needsCleanCut = plan.isRightOuter || plan.dedupeOnce;
  const [left, right] = needsCleanCut ? cleanCut(sums, plan) : leftCut(sums, plan);
  const rows = (sums.rowsBefore[left] ?? 0) + (sums.rightRowsBefore[right] ?? 0);
  if (rows > 0) {
    const cut = { leftRows: left, rightRows: right, nextLeft: left, nextRight: right };
    return { ...cut, isTruncated: true };
  }
  const stuck = { ...whole, nextLeft: left, nextRight: right, isTruncated: true };
  return needsCleanCut ? stuck : insideOneLeft(stuck, sums, plan);
}

function sumsOf(plan: PagePlan): Sums {
  const { leftCount, leftFirst, leftLast } = plan.matches;
  const lefts = plan.leftLate.length;
  const rights = plan.rightLate.length;
  const rowsBefore = new Float64Array(lefts + 1);
  const lowestOwed = new Int32Array(lefts + 1).fill(rights);
  const afterHighestUsed = new Int32Array(lefts + 1);
  for (let i = 0; i < lefts; i++) {
    const used = leftCount[i] === 0 ? 0 : (leftLast[i] ?? 0) + 1;
    rowsBefore[i + 1] = (rowsBefore[i] ?? 0) + rowsOfLeft(plan, i);
    afterHighestUsed[i + 1] = Math.max(afterHighestUsed[i] ?? 0, used);
  }
  for (let i = lefts - 1; i >= 0; i--) {
    const owed = leftCount[i] === 0 ? rights : (leftFirst[i] ?? 0);
    lowestOwed[i] = Math.min(lowestOwed[i + 1] ?? rights, owed);
  }
  return { rowsBefore, rightRowsBefore: rightRowsOf(plan), lowestOwed, afterHighestUsed };
}

function rowsOfLeft({ matches, leftLate, isLeftOuter }: PagePlan, left: number): number {
  const count = matches.leftCount[left] ?? 0;
  if (count > 0) return count;
  return isLeftOuter && leftLate[left] === 0 ? 1 : 0;
}

function rightRowsOf({ matches, rightLate, isRightOuter }: PagePlan): Float64Array {
  const before = new Float64Array(rightLate.length + 1);
  for (let i = 0; i < rightLate.length; i++) {
    const isAlone = isRightOuter && rightLate[i] === 0 && matches.rightMatched[i] === 0;
    before[i + 1] = (before[i] ?? 0) + (isAlone ? 1 : 0);
  }
  return before;
}

/** The most lefts whose rows fit; rights go on at the first that a later left needs. */
function leftCut({ rowsBefore, lowestOwed }: Sums, { maxRows }: PagePlan): [number, number] {
  let left = 0;
  while (left + 1 < rowsBefore.length && (rowsBefore[left + 1] ?? 0) <= maxRows) left++;
  return [left, lowestOwed[left] ?? 0];
}

/** The last place where no pair crosses the cut and the rows fit. */
function cleanCut(sums: Sums, { maxRows }: PagePlan): [number, number] {
  let best: [number, number] = [0, 0];
  for (let left = 0; left < sums.rowsBefore.length; left++) {
    const lowest = sums.afterHighestUsed[left] ?? 0;
    const highest = sums.lowestOwed[left] ?? 0;
    const room = maxRows - (sums.rowsBefore[left] ?? 0);
    if (room < 0) break;
    if (lowest > highest || (sums.rightRowsBefore[lowest] ?? 0) > room) continue;
    best = [left, lastAtMost(sums.rightRowsBefore, room, lowest, highest)];
  }
  return best;
}

/** The last index from `low` to `high` whose value is at most `limit`; that of `low` is. */
function lastAtMost(values: Float64Array, limit: number, low: number, high: number): number {
  let first = low;
  let last = high;
  while (first < last) {
    const middle = (first + last + 1) >> 1;
    if ((values[middle] ?? 0) <= limit) first = middle;
    else last = middle - 1;
  }
  return first;
}

/** One left alone has more rows than fit: the page ends among its rights, if no other needs them. */
function insideOneLeft(stuck: PageEnd, sums: Sums, { matches, maxRows }: PagePlan): PageEnd {
  const left = stuck.nextLeft;
  const nextRight = matches.rightsOf(left)[maxRows] ?? 0;
  const isFree = (sums.lowestOwed[left + 1] ?? 0) >= nextRight;
  return { ...stuck, nextRight: isFree ? nextRight : stuck.nextRight };
}
