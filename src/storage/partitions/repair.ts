/**
 * Repairs damaged segment files with the same batches from a peer. Offsets and timestamps are
 * assigned when an entry is applied, so the bytes are the same on all nodes.
 */
import { feature as faultPoint } from "bun:bundle";
import { type Disk, DiskFailure, type DiskFile } from "../../env/disk.ts";
import { parentOf } from "../../lib/path.ts";
import {
  batchBaseOffset,
  batchCount,
  batchLength,
  checkBatch,
  checkBatchHeader,
} from "../../record/batch-header.ts";
import { BATCH_HEADER_BYTES } from "../../record/format.ts";
import { failedSync, syncDirectory } from "../durable.ts";
import { isListed } from "../listed.ts";
import { PartitionDamaged } from "./damaged.ts";
import type { PartitionLog } from "./log.ts";
import type { SegmentFiles } from "./segment-files.ts";
import type { SegmentIndex } from "./segment-index.ts";
import { readWindow } from "./segment-reader.ts";
import type { SegmentState } from "./segment-state.ts";
import type { PartitionWindow } from "./window.ts";

const SLICE_BYTES = 1024 * 1024;

export type SegmentPlace = {
  readonly topicId: number;
  readonly partition: number;
  /** Base offset of the segment. */
  readonly segmentOffset: number;
};

/** The batches `fromOffset … endOffset` at `position`, which cannot all be read. */
export type DamagedRange = SegmentPlace & {
  readonly position: number;
  readonly length: number;
  readonly fromOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
};

/** Thrown if the batches of a peer cannot replace the damaged bytes. Nothing was written. */
export class RepairRefused extends Error {
  override readonly name = "RepairRefused";
}

export type RepairScope = {
  readonly disk: Disk;
  readonly files: SegmentFiles;
  readonly log: PartitionLog;
  readonly segment: SegmentState;
  /** The part of the segment that is in the file, and the offset at its end. */
  readonly end: Place;
  /** Shared files that are known to be there, so that their directory is not listed for each piece. */
  readonly found: Set<string>;
  readonly nextTurn: () => Promise<void>;
};

type Place = { readonly position: number; readonly offset: number };

/**
 * @returns null if the segment is no longer retained, or is not in a file yet.
 * @throws DiskFull if it cannot be written up to its current end.
 */
export async function repairScope(
  shared: Pick<RepairScope, "disk" | "files" | "found" | "nextTurn">,
  log: PartitionLog,
  segmentOffset: number,
  flush: (log: PartitionLog, target: number) => Promise<void>,
): Promise<RepairScope | null> {
  const at = log.segments.findIndex(({ baseOffset }) => baseOffset === segmentOffset);
  const segment = log.segments[at];
  if (segment === undefined || segment.length === 0 || !segment.isPlaced) return null;
  const offset = log.segments[at + 1]?.baseOffset ?? log.endOffset;
  const end = { position: segment.length, offset };
  const isAsRestored = !segment.sealed && !segment.fileReady && segment.restoredLength > 0;
  if (isAsRestored) {
    // Later appends are in memory. The file may be too short to be extended.
    return { ...shared, log, segment, end: log.restoredEnd };
  }
  await flush(log, segment.end);
  return { ...shared, log, segment, end };
}

/** Reads the segment up to the first damage. @returns null if there is none. */
export async function findDamage(
  scope: RepairScope,
  pace: (bytes: number) => Promise<void>,
): Promise<DamagedRange | null> {
  const { log, segment, end } = scope;
  const from = await withFile(scope, (file) => firstBad(scope, file, pace));
  if (from === null) return null;
  const to = await withFile(scope, (file) => nextGood(scope, file, from));
  return {
    topicId: log.topicId,
    partition: log.partition,
    segmentOffset: segment.baseOffset,
    position: from.position,
    length: (to ?? end).position - from.position,
    fromOffset: from.offset,
    endOffset: (to ?? end).offset,
  };
}

/** @throws RepairRefused unless `batches` fit the damaged range exactly. */
export async function writeRepair(
  scope: RepairScope,
  range: DamagedRange,
  batches: Uint8Array,
): Promise<void> {
  const { disk, files, log, segment } = scope;
  await checkRange(scope, range);
  checkBatches(log.seed, range, batches);
  await withFile(scope, (file) => compareHeaders(file, log.seed, range, batches));
  const mode = (await isListed(disk, segment.path)) ? "existing" : "truncate";
  await files.use(segment.path, mode, async (file) => {
    await file.write(segment.position + range.position, batches);
    await file.sync().catch(failedSync);
  });
  if (mode === "truncate") await syncDirectory(disk, parentOf(segment.path));
}

/** The part of a file that belongs to one segment. */
type SegmentBytes = {
  /** Returns fewer bytes only at the end of the segment or of the file. */
  read(position: number, length: number): Promise<Uint8Array>;
  size(): Promise<number>;
};

function bytesOf(
  file: DiskFile,
  { shared, position: start, length: all }: SegmentState,
): SegmentBytes {
  if (shared === null) return file;
  return {
    read: (position, length) => file.read(start + position, Math.min(length, all - position)),
    size: async () => Math.max(0, Math.min(all, (await file.size()) - start)),
  };
}

/** Finds the first batch that cannot be read or does not continue the one before it. */
async function firstBad(
  scope: RepairScope,
  file: SegmentBytes | null,
  pace: (bytes: number) => Promise<void>,
): Promise<Place | null> {
  const { log, segment, end } = scope;
  const source = { path: segment.label, seed: log.seed };
  let at: Place = { position: 0, offset: segment.baseOffset };
  if (file === null) return at;
  const read = (position: number, length: number) => file.read(position, length);
  const limit = Math.min(end.position, await file.size());
  while (at.position < limit) {
    const slice = { ...at, bytes: SLICE_BYTES, limit };
    let window: PartitionWindow | null = null;
    try {
      window = await readWindow(read, source, slice);
      while (window.step()) window.checkPayload();
    } catch (error) {
      if (!(error instanceof PartitionDamaged)) throw error;
      return window === null ? at : { position: window.filePosition, offset: window.offset };
    }
    const bytes = window.filePosition - at.position;
    at = { position: window.filePosition, offset: window.offset };
    await pace(bytes);
  }
  return at.position < end.position ? at : null;
}

/** Returns where valid headers begin again after a damaged batch, or null if that is unknown. */
async function nextGood(
  scope: RepairScope,
  file: SegmentBytes | null,
  bad: Place,
): Promise<Place | null> {
  if (file === null) return null;
  const { log } = scope;
  for (const place of await candidates(scope, file, bad)) {
    if (await beginsBatch(file, log.seed, place)) return place;
  }
  return null;
}

/** Uses the header of the damaged batch if that is intact, otherwise the points of the index. */
async function candidates(scope: RepairScope, file: SegmentBytes, bad: Place): Promise<Place[]> {
  const { log, segment, end } = scope;
  const places: Place[] = [];
  if (await beginsBatch(file, log.seed, bad)) {
    const header = await file.read(bad.position, BATCH_HEADER_BYTES);
    const position = bad.position + batchLength(header, 0);
    places.push({ position, offset: bad.offset + batchCount(header, 0) });
  }
  const index = await indexOf(log, segment);
  for (let point = 0; index !== null && point < index.count; point++) {
    places.push({ position: index.position(point), offset: index.offset(point) });
  }
  return places.filter(({ position }) => position > bad.position && position < end.position);
}

/** Null if the index would have to be built from headers that cannot be read. */
async function indexOf(log: PartitionLog, segment: SegmentState): Promise<SegmentIndex | null> {
  try {
    return await log.indexOf(segment);
  } catch (error) {
    if (error instanceof PartitionDamaged) return null;
    throw error;
  }
}

async function beginsBatch(file: SegmentBytes, seed: number, place: Place): Promise<boolean> {
  const header = await file.read(place.position, BATCH_HEADER_BYTES);
  return isHeader(header, 0, seed) && batchBaseOffset(header, 0) === place.offset;
}

const isHeader = (bytes: Uint8Array, at: number, seed: number): boolean =>
  checkBatchHeader(bytes, at, seed) === null && batchCount(bytes, at) > 0;

/** The range begins at the damage, and ends where the damage ends or an intact batch follows. */
async function checkRange(scope: RepairScope, range: DamagedRange): Promise<void> {
  const found = await findDamage(scope, scope.nextTurn);
  if (found === null || found.position !== range.position) {
    throw new RepairRefused("nothing is damaged at this position");
  }
  const follows = { position: range.position + range.length, offset: range.endOffset };
  const isAll = found.length === range.length && found.endOffset === range.endOffset;
  const begins = (file: SegmentBytes | null) =>
    file === null ? Promise.resolve(false) : beginsBatch(file, scope.log.seed, follows);
  if (isAll || (await withFile(scope, begins))) return;
  throw new RepairRefused("the range ends elsewhere");
}

function checkBatches(seed: number, range: DamagedRange, batches: Uint8Array): void {
  if (batches.length !== range.length) {
    throw new RepairRefused(`${batches.length} bytes for ${range.length}`);
  }
  let offset = range.fromOffset;
  for (let at = 0; at < batches.length; at += batchLength(batches, at)) {
    const wrong = checkBatch(batches, at, seed);
    if (wrong !== null && !faultPoint("repair-takes-any-batches")) throw new RepairRefused(wrong);
    if (batchBaseOffset(batches, at) !== offset) throw new RepairRefused("offsets do not fit");
    offset += batchCount(batches, at);
  }
  if (offset !== range.endOffset) throw new RepairRefused("the batches end elsewhere");
}

/** Headers that can still be read must equal those of the peer. Otherwise the two have diverged. */
async function compareHeaders(
  file: SegmentBytes | null,
  seed: number,
  range: DamagedRange,
  batches: Uint8Array,
): Promise<void> {
  const here = (await file?.read(range.position, range.length)) ?? new Uint8Array(0);
  for (let at = 0; at < batches.length; at += batchLength(batches, at)) {
    const length = at + BATCH_HEADER_BYTES;
    if (length > here.length || !isHeader(here, at, seed)) continue;
    const isSame = here.subarray(at, length).every((byte, i) => byte === batches[at + i]);
    if (!isSame) throw new RepairRefused("the peer has another batch here");
  }
}

async function withFile<T>(
  scope: RepairScope,
  body: (file: SegmentBytes | null) => Promise<T>,
): Promise<T> {
  const { disk, files, found, segment } = scope;
  const { path } = segment;
  const isKnown = found.has(path);
  if (!isKnown && !(await isListed(disk, path))) return await body(null);
  if (segment.shared !== null) found.add(path);
  try {
    return await files.use(path, "existing", (file) => body(bytesOf(file, segment)));
  } catch (error) {
    if (!isKnown || !(error instanceof DiskFailure)) throw error;
    // The file may be gone since it was found.
    found.delete(path);
    return await withFile(scope, body);
  }
}
