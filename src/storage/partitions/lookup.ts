import { RecordCursor } from "../../record/batch-reader.ts";
import { OffsetTrimmed } from "./damaged.ts";
import type { SegmentIndex } from "./segment-index.ts";
import type { SegmentState } from "./segment-state.ts";
import type { TailChunk } from "./tail.ts";
import type { PartitionWindow } from "./window.ts";

/** The part of a partition log that a lookup needs. */
export interface LookupSource {
  /** The partition or its store is closed, so no file is read any more. */
  readonly deleted: boolean;
  readonly lowWatermark: number;
  readonly endOffset: number;
  readonly endBytes: number;
  readonly lastTimestampMs: number;
  readonly segments: readonly SegmentState[];
  readonly chunks: readonly TailChunk[];
  indexOf(segment: SegmentState): SegmentIndex | Promise<SegmentIndex>;
  /** Returns a window that begins at or before `offset`, or null if memory does not contain it. */
  memoryWindow(offset: number): PartitionWindow | null;
  /**
   * Returns a window of a file whose next batch contains `offset`, or null if it was trimmed
   * meanwhile.
   */
  fileWindow(offset: number, records: number, bytes: number): Promise<PartitionWindow | null>;
}

/**
 * The target: the first record not older than a time, the bytes before an offset, or the inverse.
 */
export type LookupGoal = {
  readonly by: "time" | "offset" | "bytes";
  readonly value: number;
};

/** @returns an offset for `time` and `bytes`, logical bytes for `offset`. */
export function lookUp(source: LookupSource, goal: LookupGoal): number | Promise<number> {
  const atEnd = answerAtEnd(source, goal);
  if (atEnd !== null) return atEnd;
  const chunk = lastBefore(source.chunks, goal);
  if (chunk !== null) {
    const walk = new Walk(goal, chunk.baseOffset, chunk.bytesBefore);
    const found = walkMemory(source, walk);
    return found === null ? walkOn(source, walk) : clamp(source, goal, found);
  }
  const first = source.segments[0];
  if (first === undefined || !startsBefore(first, goal)) return answerAtStart(source, goal);
  return fromFiles(source, goal);
}

async function fromFiles(source: LookupSource, goal: LookupGoal): Promise<number> {
  const segment = lastBefore(source.segments, goal);
  if (segment === null || source.deleted) return answerAtStart(source, goal);
  segment.pin();
  let index: SegmentIndex;
  try {
    index = await source.indexOf(segment);
  } catch (error) {
    if (source.deleted) return answerAtStart(source, goal);
    throw error;
  } finally {
    segment.unpin();
  }
  const point = pointBefore(index, goal);
  const start =
    point < 0
      ? new Walk(goal, segment.baseOffset, segment.bytesBefore)
      : new Walk(goal, index.offset(point), index.bytesBefore(point));
  return walkOn(source, start);
}

async function walkOn(source: LookupSource, walk: Walk): Promise<number> {
  for (;;) {
    const found = walkMemory(source, walk);
    if (found !== null) return clamp(source, walk.goal, found);
    const window = await source.fileWindow(walk.offset, 1, 0);
    // The segment was trimmed during the lookup, so the retained part begins later.
    if (window === null) return lookUp(source, walk.goal);
    const inFile = walk.take(window);
    if (inFile !== null) return clamp(source, walk.goal, inFile);
  }
}

/** Returns null if the walk leaves memory. */
function walkMemory(source: LookupSource, walk: Walk): number | null {
  while (walk.offset < source.endOffset) {
    const window = source.memoryWindow(walk.offset);
    if (window === null) return null;
    const found = walk.take(window);
    if (found !== null) return found;
  }
  return walk.goal.by === "offset" ? source.endBytes : source.endOffset;
}

/** Walks over batches in order, up to the one that contains the answer. */
class Walk {
  readonly goal: LookupGoal;
  /** Base offset of the next batch, and the logical bytes before it. */
  offset: number;
  #bytesBefore: number;

  constructor(goal: LookupGoal, offset: number, bytesBefore: number) {
    this.goal = goal;
    this.offset = offset;
    this.#bytesBefore = bytesBefore;
  }

  take(window: PartitionWindow): number | null {
    while (window.step()) {
      if (window.offset < this.offset) continue;
      if (this.#isIn(window)) return this.#answer(window);
      this.offset = window.offset + window.count;
      this.#bytesBefore += window.logicalBytes;
    }
    return null;
  }

  #isIn(window: PartitionWindow): boolean {
    const { by, value } = this.goal;
    if (by === "time") return window.timestampMs >= value;
    if (by === "offset") return window.offset + window.count > value;
    return this.#bytesBefore + window.logicalBytes >= value;
  }

  #answer(window: PartitionWindow): number {
    const { by, value } = this.goal;
    if (by === "time") return window.offset;
    if (by === "offset" && window.offset === value) return this.#bytesBefore;
    window.checkPayload();
    const cursor = new RecordCursor(window.bytes.subarray(window.at, window.at + window.length));
    let bytes = this.#bytesBefore;
    while (cursor.next()) {
      if (by === "offset" && cursor.offset === value) return bytes;
      bytes += cursor.logicalBytes;
      if (by === "bytes" && bytes >= value) return cursor.offset + 1;
    }
    throw window.damaged("the records do not add up to what the header says");
  }
}

function answerAtEnd(source: LookupSource, { by, value }: LookupGoal): number | null {
  if (by === "offset") return value === source.endOffset ? source.endBytes : null;
  const end = by === "time" ? source.lastTimestampMs : source.endBytes;
  return value > end ? source.endOffset : null;
}

function answerAtStart(source: LookupSource, goal: LookupGoal): number {
  if (goal.by === "offset") throw new OffsetTrimmed(`offset ${goal.value} is not kept any more`);
  return source.lowWatermark;
}

const clamp = (source: LookupSource, { by }: LookupGoal, found: number): number =>
  by === "offset" ? found : Math.max(found, source.lowWatermark);

type Part = {
  readonly baseOffset: number;
  readonly bytesBefore: number;
  readonly firstTimestampMs: number;
};

/** Tells whether the answer must be in this part or a later one. */
function startsBefore(part: Part, { by, value }: LookupGoal): boolean {
  if (by === "time") return part.firstTimestampMs < value;
  return by === "offset" ? part.baseOffset <= value : part.bytesBefore < value;
}

/** Returns the last part that may contain the answer. Parts are in order. */
function lastBefore<P extends Part>(parts: readonly P[], goal: LookupGoal): P | null {
  let low = 0;
  let high = parts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const part = parts[middle];
    if (part !== undefined && startsBefore(part, goal)) low = middle + 1;
    else high = middle;
  }
  return parts[low - 1] ?? null;
}

function pointBefore(index: SegmentIndex, { by, value }: LookupGoal): number {
  if (by === "time") return index.beforeTime(value);
  return by === "offset" ? index.atOffset(value) : index.beforeBytes(value);
}
