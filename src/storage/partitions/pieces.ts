/**
 * Moves pieces of shared files: so that a file of which more than half is garbage can be removed, and
 * so that a partition that grows slowly does not have ever more pieces.
 */
import { feature as faultPoint } from "bun:bundle";
import { PartitionDamaged } from "./damaged.ts";
import type { PartitionLog } from "./log.ts";
import { PIECE_BYTES_MAX, SegmentState } from "./segment-state.ts";
import type { SharedFile } from "./shared-file.ts";
import type { SharedFiles } from "./shared-files.ts";

/** A partition with more pieces gets them merged. */
export const PIECES_MAX = 8;
/** Beyond this number of files, the smallest is emptied although it has little garbage. */
const FILES_MAX = 32;
/** Maximum number of bytes that are moved at once. */
const MOVED_BYTES_MAX = 16 * 1024 * 1024;
/** Partitions whose pieces are moved at the same time, so that they share a write. */
const TOGETHER = 64;
/** Partitions that are looked at in one event-loop iteration. */
const LOOKS = 1000;

export type TidyScope = {
  readonly shared: SharedFiles;
  /** Yields the key of each partition with pieces in the file, and null for each that has none. */
  readonly keysIn: (file: SharedFile) => Iterable<number | null>;
  /** The keys of partitions with many pieces. Those that are merged are removed. */
  readonly fragmented: Set<number>;
  /** Returns the partition, or null if it was deleted. */
  readonly at: (key: number) => PartitionLog | null;
  readonly nextTurn: () => Promise<void>;
};

/** Moves pieces, up to a bound. No consistent point may be taken meanwhile. */
export async function tidyPieces(scope: TidyScope): Promise<void> {
  const left = { bytes: MOVED_BYTES_MAX };
  await moveAll(scope, [...scope.fragmented], left, (log, key) => {
    scope.fragmented.delete(key);
    return runsOf(log).filter((run) => run.length > 1);
  });
  const file = scope.shared.worst(FILES_MAX);
  if (file === null) return;
  const keys = await keysIn(scope, file);
  await moveAll(scope, keys, left, (log) =>
    runsOf(log).filter((run) => run.some(({ shared }) => shared === file)),
  );
}

/** Finds the partitions that have pieces in the file. */
async function keysIn(scope: TidyScope, file: SharedFile): Promise<number[]> {
  const found: number[] = [];
  let looks = 0;
  for (const key of scope.keysIn(file)) {
    if (key !== null) found.push(key);
    if (++looks % LOOKS === 0) await scope.nextTurn();
  }
  return found;
}

async function moveAll(
  scope: TidyScope,
  keys: readonly number[],
  left: { bytes: number },
  runsToMove: (log: PartitionLog, key: number) => SegmentState[][],
): Promise<void> {
  for (let at = 0; at < keys.length && left.bytes > 0; at += TOGETHER) {
    const moves = keys.slice(at, at + TOGETHER).flatMap((key) => {
      const log = scope.at(key);
      if (log === null) return [];
      return runsToMove(log, key).map(async (run) => {
        left.bytes -= lengthOf(run);
        await move(scope.shared, log, run);
      });
    });
    const outcomes = await Promise.allSettled(moves);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    await scope.nextTurn();
  }
}

/** Returns the pieces of a partition in runs that fit into one piece. */
function runsOf({ segments, deleted }: PartitionLog): SegmentState[][] {
  const runs: SegmentState[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const segment of deleted ? [] : segments) {
    if (segment.shared === null) break;
    bytes += segment.length;
    if (bytes > PIECE_BYTES_MAX) {
      runs.push([]);
      bytes = segment.length;
    }
    runs.at(-1)?.push(segment);
  }
  return runs;
}

/** Writes the batches of a run as one piece. Nothing changes if they are damaged or leave meanwhile. */
async function move(
  shared: SharedFiles,
  log: PartitionLog,
  run: readonly SegmentState[],
): Promise<void> {
  const bytes = await bytesOf(log, run);
  if (bytes === null || !belongs(log, run)) return;
  const place = shared.place(bytes, () => undefined);
  let isMoved = false;
  try {
    if (!faultPoint("moved-piece-is-named-unwritten")) await shared.write(place);
    const isWritten = place.file.writtenTo >= place.end;
    isMoved =
      belongs(log, run) && (faultPoint("moved-piece-is-named-unwritten") ? true : isWritten);
  } finally {
    if (!isMoved) shared.release(place.file, bytes.length);
  }
  if (isMoved) log.mergePieces(run, mergedOf(log, run, place.file, place.position));
}

/** Returns the verified batches of a run, or null if they are damaged or not all there. */
async function bytesOf(
  log: PartitionLog,
  run: readonly SegmentState[],
): Promise<Uint8Array | null> {
  const first = run[0] as SegmentState;
  const last = run.at(-1) as SegmentState;
  const endOffset = log.segments[log.segments.indexOf(last) + 1]?.baseOffset ?? log.endOffset;
  try {
    const raw = await log.rawRange(first.baseOffset, endOffset, Number.MAX_SAFE_INTEGER);
    const isWhole =
      raw?.baseOffset === first.baseOffset &&
      raw.endOffset === endOffset &&
      raw.bytes.length === lengthOf(run);
    return isWhole ? raw.bytes : null;
  } catch (error) {
    // A reader or a scrub repairs it. Until then, the file stays.
    if (error instanceof PartitionDamaged) return null;
    throw error;
  }
}

function mergedOf(
  log: PartitionLog,
  run: readonly SegmentState[],
  file: SharedFile,
  position: number,
): SegmentState {
  const first = run[0] as SegmentState;
  const last = run.at(-1) as SegmentState;
  const merged = new SegmentState(log.directory, first.start, first.createdCut, {
    baseOffset: first.baseOffset,
    length: lengthOf(run),
    bytesBefore: first.bytesBefore,
    firstTimestampMs: first.firstTimestampMs,
    lastTimestampMs: last.lastTimestampMs,
    indexCrc: 0,
    piece: null,
  });
  merged.placeIn(file, position);
  return merged;
}

/** True if the run is part of the partition as it was. */
function belongs({ segments, deleted }: PartitionLog, run: readonly SegmentState[]): boolean {
  const at = segments.indexOf(run[0] as SegmentState);
  return !deleted && at >= 0 && run.every((segment, i) => segments[at + i] === segment);
}

const lengthOf = (run: readonly SegmentState[]): number =>
  run.reduce((sum, { length }) => sum + length, 0);
