import type { JoinSide } from "./join-side.ts";

type Sides = { readonly left: JoinSide; readonly right: JoinSide };
export type LateRecords = {
  /** 1 at the index of each late record. */
  readonly left: Uint8Array;
  readonly right: Uint8Array;
  readonly count: number;
};

const STEPS_A_SLICE = 256;

/**
 * Finds the records that came after the watermark had passed them: older, by more than `sizeMs`,
 * than min(newest left, newest right) − lateness as it was when they came.
 *
 * The two sides are walked as one stream in event order. Each side keeps its order of offsets, and
 * the side goes first whose newest time so far, with the next record, is lower. Among equal ones those
 * records go first that make their side newer, then the left side. So the order depends on nothing
 * but times and offsets: it is the same on every node, however the records were read, and also
 * where one topic was filled long before the other. Records in order of time are never late.
 */
export function* findLate(
  { left, right }: Sides,
  latenessMs: number,
  sizeMs: number,
): Generator<void, LateRecords> {
  const walks = [new SideWalk(left.times), new SideWalk(right.times)] as const;
  let count = 0;
  for (let steps = 1; ; steps++) {
    const walk = nextOf(...walks);
    if (walk === null) break;
    const other = walk === walks[0] ? walks[1] : walks[0];
    if (other.newestMs !== null) {
      const watermarkMs = Math.min(walk.reachedMs, other.newestMs) - latenessMs;
      if (walk.timeMs < watermarkMs - sizeMs) {
        walk.late[walk.at] = 1;
        count++;
      }
    }
    walk.advance();
    if (steps % STEPS_A_SLICE === 0) yield;
  }
  return { left: walks[0].late, right: walks[1].late, count };
}

function nextOf(left: SideWalk, right: SideWalk): SideWalk | null {
  if (left.isOver) return right.isOver ? null : right;
  if (right.isOver) return left;
  if (left.reachedMs !== right.reachedMs) return left.reachedMs < right.reachedMs ? left : right;
  return right.isNewer && !left.isNewer ? right : left;
}

/** One side in the order of its offsets; records without a time are passed over. */
class SideWalk {
  readonly #times: readonly (number | null)[];
  readonly late: Uint8Array;
  at = -1;
  timeMs = 0;
  /** Newest time of the records before `at`; null if there is none. */
  newestMs: number | null = null;
  /** The same with the record at `at`. */
  reachedMs = 0;

  constructor(times: readonly (number | null)[]) {
    this.#times = times;
    this.late = new Uint8Array(times.length);
    this.#find(0);
  }

  get isOver(): boolean {
    return this.at >= this.#times.length;
  }

  get isNewer(): boolean {
    return this.newestMs === null || this.timeMs > this.newestMs;
  }

  advance(): void {
    this.newestMs = this.reachedMs;
    this.#find(this.at + 1);
  }

  #find(from: number): void {
    for (this.at = from; this.at < this.#times.length; this.at++) {
      const time = this.#times[this.at] ?? null;
      if (time === null) continue;
      this.timeMs = time;
      this.reachedMs = Math.max(this.newestMs ?? time, time);
      return;
    }
  }
}
