import { OnceMatches } from "./join-dedupe.ts";
import { findLate } from "./join-late.ts";
import { type KeyGroup, type Matches, sortGroup, WindowMatches } from "./join-match.ts";
import { type PageEnd, planPage } from "./join-page.ts";
import type { JoinRequest } from "./join-request.ts";
import { DEFAULT_JOIN_RULES, type JoinRules } from "./join-rules.ts";
import { JoinSide } from "./join-side.ts";
import { tooLarge } from "./query.ts";
import {
  DEFAULT_LIMITS,
  type FeedState,
  type RecordSource,
  type StreamLimits,
  type StreamRejection,
} from "./record-feed.ts";
import { newObject, type Value } from "./value.ts";

export type JoinRow = {
  readonly key: string | null;
  readonly leftTsMs: number | null;
  readonly rightTsMs: number | null;
  readonly left: Value;
  readonly right: Value;
};

export type JoinResult = {
  readonly rows: readonly JoinRow[];
  readonly nextOffsets: { readonly left: number; readonly right: number };
  readonly stats: JoinStats;
};
export type JoinStats = {
  readonly leftScanned: number;
  readonly rightScanned: number;
  readonly rows: number;
  readonly late: number;
  /** min(newest left, newest right) − lateness; null while a side has no record with a time. */
  readonly watermarkMs: number | bigint | null;
  readonly outerLeft: number;
  readonly outerRight: number;
  readonly dedupeOnce: boolean;
  readonly undecodable: number;
  /** Records without a time in `window.time_field`: they match nothing. */
  readonly untimed: number;
  /** `max_rows`, or the `limit` of a side, ended the page before the records did. */
  readonly truncated: boolean;
};

export type JoinOptions = {
  readonly leftOffset: number;
  readonly rightOffset: number;
  /** Default: `DEFAULT_JOIN_RULES`. */
  readonly rules?: JoinRules;
  readonly limits?: StreamLimits;
};

const NO_ENDS = { left: 0, right: 0 };
/** Steps of work between two looks at the budget. */
const STEPS_A_SLICE = 64;

/**
 * One join: feed both sides until `full` or their end, then `step` until it is done. Both take a
 * budget and return, so that a driver can yield in between. To cancel it, stop.
 */
export class JoinRun {
  readonly #request: JoinRequest;
  readonly #limits: StreamLimits;
  readonly #rules: JoinRules;
  readonly #left: JoinSide;
  readonly #right: JoinSide;
  readonly #rows: JoinRow[] = [];
  readonly #meter = { operations: 0 };
  #work: Generator<void> | null = null;
  #late = 0;
  #outerLeft = 0;
  #outerRight = 0;
  #end: PageEnd | null = null;
  rejection: StreamRejection | null = null;

  constructor(request: JoinRequest, options: JoinOptions) {
    this.#request = request;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#rules = options.rules ?? DEFAULT_JOIN_RULES;
    const sideOptions = { keysAs: this.#rules.keysAs, limits: this.#limits };
    this.#left = new JoinSide(request.left, options.leftOffset, sideOptions);
    this.#right = new JoinSide(request.right, options.rightOffset, sideOptions);
  }

  /** Steps of matching so far; grows as n log n. */
  get operations(): number {
    return this.#meter.operations;
  }

  nextOffset(side: "left" | "right"): number {
    return this.#side(side).nextOffset;
  }

  /** Records of a side that may still be read. */
  remaining(side: "left" | "right"): number {
    return this.#side(side).remaining;
  }

  /** When the page begins later, because records before it are deleted. */
  skipTo(side: "left" | "right", offset: number): void {
    const target = this.#side(side);
    target.nextOffset = Math.max(target.nextOffset, offset);
  }

  /** As `QueryRun.feed`. */
  feed(side: "left" | "right", cursor: RecordSource, endOffset: number, budget: number): FeedState {
    if (this.rejection !== null) return "rejected";
    const state = this.#side(side).feed(cursor, endOffset, budget);
    if (this.#left.bytes + this.#right.bytes <= this.#limits.memoryBytesMax) return state;
    this.rejection = tooLarge(
      `the join keeps more than ${this.#limits.memoryBytesMax} bytes: lower limit or name fewer fields`,
    );
    return "rejected";
  }

  /** @returns true when `result` is ready, or there is a rejection. */
  step(budget: number): boolean {
    this.#work ??= this.#join();
    for (let left = budget; left > 0; left -= STEPS_A_SLICE) {
      if (this.rejection !== null || this.#work.next().done === true) return true;
    }
    return false;
  }

  /**
   * Only after `step` returned true without a rejection.
   *
   * @param ends where the records of both sides ended when the request came; a side that stopped
   * before, at its limit, makes the answer truncated.
   */
  result(ends = NO_ENDS): JoinResult {
    const left = this.#left;
    const right = this.#right;
    const { nextLeft, nextRight, isTruncated } = this.#end ?? {
      nextLeft: 0,
      nextRight: 0,
      isTruncated: false,
    };
    return {
      rows: this.#rows,
      nextOffsets: {
        left: left.offsets[nextLeft] ?? left.nextOffset,
        right: right.offsets[nextRight] ?? right.nextOffset,
      },
      stats: {
        leftScanned: left.scanned,
        rightScanned: right.scanned,
        rows: this.#rows.length,
        late: this.#late,
        watermarkMs: this.#watermark(),
        outerLeft: this.#outerLeft,
        outerRight: this.#outerRight,
        dedupeOnce: this.#request.dedupeOnce,
        undecodable: left.undecodable + right.undecodable,
        untimed: left.untimed + right.untimed,
        truncated: isTruncated || left.nextOffset < ends.left || right.nextOffset < ends.right,
      },
    };
  }

  #side(side: "left" | "right"): JoinSide {
    return side === "left" ? this.#left : this.#right;
  }

  #watermark(): number | bigint | null {
    if (this.#left.newestMs === null || this.#right.newestMs === null) return null;
    const newest = Math.min(this.#left.newestMs, this.#right.newestMs);
    const watermark = newest - this.#request.latenessMs;
    if (Number.isSafeInteger(watermark)) return watermark;
    return BigInt(newest) - BigInt(this.#request.latenessMs);
  }

  *#join(): Generator<void> {
    const { type, maxRows, dedupeOnce } = this.#request;
    const sides = { left: this.#left, right: this.#right };
    const late = yield* findLate(sides, this.#request.latenessMs, this.#request.sizeMs);
    const { left: leftLate, right: rightLate } = late;
    this.#late = late.count;
    const matches = yield* this.#match(yield* this.#groups(leftLate, rightLate));
    if (matches === null) return;
    const isLeftOuter = type === "left" || type === "full";
    const isRightOuter = type === "right" || type === "full";
    const plan = { matches, leftLate, rightLate, isLeftOuter, isRightOuter, dedupeOnce, maxRows };
    this.#end = planPage(plan);
    yield;
    yield* this.#emitLefts(plan, this.#end);
    if (isRightOuter) this.#emitRightsAlone(plan, this.#end);
  }

  *#groups(leftLate: Uint8Array, rightLate: Uint8Array): Generator<void, Iterable<KeyGroup>> {
    const groups = new Map<string, KeyGroup>();
    const left = this.#left;
    for (let i = 0; i < left.length; i++) {
      const key = keyAt(left, i, leftLate);
      if (i % STEPS_A_SLICE === 0) yield;
      if (key === null) continue;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, { left: [i], right: [] });
      else group.left.push(i);
    }
    const right = this.#right;
    for (let i = 0; i < right.length; i++) {
      const key = keyAt(right, i, rightLate);
      if (i % STEPS_A_SLICE === 0) yield;
      if (key !== null) groups.get(key)?.right.push(i);
    }
    return groups.values();
  }

  /** @returns null after a rejection. */
  *#match(groups: Iterable<KeyGroup>): Generator<void, Matches | null> {
    const sides = { left: this.#left, right: this.#right };
    const { sizeMs, dedupeOnce } = this.#request;
    const once = new OnceMatches(sides, sizeMs, this.#meter);
    const all = new WindowMatches(sides, sizeMs, this.#meter);
    let seen = 0;
    for (const group of groups) {
      if (++seen % STEPS_A_SLICE === 0) yield;
      if (group.right.length === 0) continue;
      sortGroup(group, sides, this.#meter);
      if (!dedupeOnce) yield* all.addGroup(group);
      else if (this.#rules.oncePairs === "any") yield* once.addGroup(group);
      else if (!(yield* once.addGroupInOffsetOrder(group))) {
        this.rejection = tooLarge("dedupe_once has too many pairs to choose from: lower limit");
        return null;
      }
    }
    return dedupeOnce ? once : all;
  }

  *#emitLefts(plan: JoinPlan, { leftRows }: PageEnd): Generator<void> {
    const { maxRows } = this.#request;
    for (let left = 0; left < leftRows && this.#rows.length < maxRows; left++) {
      if (left % STEPS_A_SLICE === 0) yield;
      if (plan.matches.leftCount[left] === 0) {
        if (plan.isLeftOuter && plan.leftLate[left] === 0) this.#emit(left, null);
        continue;
      }
      for (const right of plan.matches.rightsOf(left)) {
        if (this.#rows.length < maxRows) this.#emit(left, right);
      }
    }
  }

  #emitRightsAlone(plan: JoinPlan, { rightRows }: PageEnd): void {
    const { maxRows } = this.#request;
    for (let right = 0; right < rightRows && this.#rows.length < maxRows; right++) {
      const isAlone = plan.matches.rightMatched[right] === 0 && plan.rightLate[right] === 0;
      if (isAlone) this.#emit(null, right);
    }
  }

  #emit(left: number | null, right: number | null): void {
    if (right === null) this.#outerLeft++;
    if (left === null) this.#outerRight++;
    const key = left === null ? this.#right.keyTexts[right ?? 0] : this.#left.keyTexts[left];
    this.#rows.push({
      key: key ?? null,
      leftTsMs: left === null ? null : (this.#left.times[left] ?? null),
      rightTsMs: right === null ? null : (this.#right.times[right] ?? null),
      left: this.#valueOf(this.#left, left),
      right: this.#valueOf(this.#right, right),
    });
  }

  #valueOf(side: JoinSide, index: number | null): Value {
    if (index !== null) return side.values[index] ?? null;
    return this.#request.missingAs === "empty" ? newObject() : null;
  }
}

type JoinPlan = {
  readonly matches: Matches;
  readonly leftLate: Uint8Array;
  readonly rightLate: Uint8Array;
  readonly isLeftOuter: boolean;
};

/** The key of a record that can match: in time, with a key and a time. */
function keyAt(side: JoinSide, index: number, late: Uint8Array): string | null {
  if (late[index] === 1 || (side.times[index] ?? null) === null) return null;
  return side.keys[index] ?? null;
}
