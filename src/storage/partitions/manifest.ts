import { ByteReader, type ByteWriter, DecodeError } from "../../lib/bytes.ts";
import type { PartitionLog, PartitionRecord } from "./log.ts";
import {
  PIECE_BYTES_MAX,
  type PiecePlace,
  pieceLabel,
  type SegmentRecord,
  type SegmentState,
  segmentName,
} from "./segment-state.ts";
import { sharedFilePath } from "./shared-file.ts";

/** Every segment has a file of its own. */
const VERSION_OWN = 1;
/** Segments may be pieces of shared files. Written from the first shared file on. */
const VERSION_SHARED = 2;

const OWN_FILE = 0;

/** A shared file of a manifest, and the bytes of it that the manifest may name. */
export type SharedRecord = { readonly number: number; readonly length: number };

export type ManifestHead = {
  readonly partitions: number;
  /** The number of the next shared file. 0: there were none so far. */
  readonly nextShared: number;
  readonly shared: readonly SharedRecord[];
};

export const NO_PARTITIONS: ManifestHead = { partitions: 0, nextShared: 0, shared: [] };

/**
 * A manifest names all partitions with their segments and lengths, so that recovery looks at no
 * directory. Varints: version; with version 2 the number of the next shared file, and the number of
 * shared files, each with its number and its length; number of partitions, then for each of them topic
 * id, partition, low watermark, end offset, end bytes, last timestamp, number of segments, and for each
 * of these base offset, length, logical bytes before, first and last timestamp, and the checksum of its
 * index; with version 2 then 0 for a file of its own, or 1 + the number of the shared file and the
 * position in it. The last segment is active unless it is a piece of a shared file.
 */
export function writeManifestHead(to: ByteWriter, head: ManifestHead): void {
  const { partitions, nextShared, shared } = head;
  to.varint(nextShared === 0 ? VERSION_OWN : VERSION_SHARED);
  if (nextShared > 0) {
    to.varint(nextShared);
    to.varint(shared.length);
    for (const { number, length } of shared) {
      to.varint(number);
      to.varint(length);
    }
  }
  to.varint(partitions);
}

/** @param isShared whether the head has a number of the next shared file. */
export function writeManifestPartition(to: ByteWriter, log: PartitionLog, isShared: boolean): void {
  to.varint(log.topicId);
  to.varint(log.partition);
  to.varint(log.lowWatermark);
  to.varint(log.endOffset);
  to.varint(log.endBytes);
  to.varint(log.lastTimestampMs);
  const { segments } = log;
  const count = isShared && isEmptyBehindPiece(log) ? segments.length - 1 : segments.length;
  to.varint(count);
  for (let at = 0; at < count; at++) {
    const segment = segments[at] as SegmentState;
    to.varint(segment.baseOffset);
    to.varint(segment.length);
    to.varint(segment.bytesBefore);
    to.varint(segment.firstTimestampMs);
    to.varint(segment.lastTimestampMs);
    to.varint(segment.indexCrc);
    if (isShared) writePlace(to, segment);
  }
}

/** An empty segment behind a piece is left out, and made again when it is needed. */
export function isEmptyBehindPiece({ segments }: PartitionLog): boolean {
  const { length } = segments;
  const last = segments[length - 1];
  return length > 1 && last?.length === 0 && segments[length - 2]?.shared !== null;
}

function writePlace(to: ByteWriter, { shared, position }: SegmentState): void {
  to.varint(shared === null ? OWN_FILE : 1 + shared.number);
  if (shared !== null) to.varint(position);
}

/**
 * @param each gets each partition, and the position of its bytes in the manifest.
 * @throws DecodeError if the bytes are not a manifest.
 */
export function readManifest(
  bytes: Uint8Array,
  each: (record: PartitionRecord, from: number, to: number) => void,
): ManifestHead {
  const reader = new ByteReader(bytes);
  const { isShared, nextShared, shared, partitions } = readHead(reader);
  for (let left = partitions; left > 0; left--) {
    const from = reader.position;
    const record = readPartition(reader, shared, isShared);
    each(record, from, reader.position);
  }
  if (reader.remaining > 0) throw new DecodeError("bytes after the end of the manifest");
  return { partitions, nextShared, shared: recordsOf(shared) };
}

function readHead(reader: ByteReader) {
  const version = reader.varint();
  if (version !== VERSION_OWN && version !== VERSION_SHARED) {
    throw new DecodeError(`manifest version ${version} is not known`);
  }
  const isShared = version === VERSION_SHARED;
  const nextShared = isShared ? reader.varint() : 0;
  const shared = isShared ? readShared(reader, nextShared) : new Map<number, number>();
  return { isShared, nextShared, shared, partitions: reader.varint() };
}

/** @returns the lengths of the files by their numbers. */
function readShared(reader: ByteReader, nextShared: number): Map<number, number> {
  const shared = new Map<number, number>();
  for (let left = reader.varint(); left > 0; left--) {
    const number = reader.varint();
    if (number >= nextShared || shared.has(number)) {
      throw new DecodeError(`shared file ${number} cannot be there`);
    }
    shared.set(number, reader.varint());
  }
  return shared;
}

/** Lengths of shared files that are not compared with the places of pieces. */
const ANY_LENGTH = { get: () => Number.MAX_SAFE_INTEGER };

/** Reads a partition as `writeManifestPartition` wrote it, with shared files. */
export const readManifestPartition = (bytes: Uint8Array): PartitionRecord =>
  readPartition(new ByteReader(bytes), ANY_LENGTH, true);

/** Reads the head alone, which is short. @throws DecodeError if the bytes do not begin a manifest. */
export function readManifestHead(bytes: Uint8Array): ManifestHead {
  const { shared, nextShared, partitions } = readHead(new ByteReader(bytes));
  return { partitions, nextShared, shared: recordsOf(shared) };
}

const recordsOf = (shared: ReadonlyMap<number, number>): SharedRecord[] =>
  [...shared].map(([number, length]) => ({ number, length }));

type Lengths = { get(file: number): number | undefined };

const readPartition = (
  reader: ByteReader,
  shared: Lengths,
  isShared: boolean,
): PartitionRecord => ({
  topicId: reader.varint(),
  partition: reader.varint(),
  lowWatermark: reader.varint(),
  endOffset: reader.varint(),
  endBytes: reader.varint(),
  lastTimestampMs: reader.varint(),
  segments: readSegments(reader, shared, isShared),
});

function readSegments(reader: ByteReader, shared: Lengths, isShared: boolean): SegmentRecord[] {
  const segments: SegmentRecord[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    segments.push(readSegment(reader, shared, isShared));
  }
  return segments;
}

function readSegment(reader: ByteReader, shared: Lengths, isShared: boolean): SegmentRecord {
  const baseOffset = reader.varint();
  const length = reader.varint();
  return {
    baseOffset,
    length,
    bytesBefore: reader.varint(),
    firstTimestampMs: reader.varint(),
    lastTimestampMs: reader.varint(),
    indexCrc: reader.varint(),
    piece: isShared ? readPlace(reader, shared, length) : null,
  };
}

function readPlace(reader: ByteReader, shared: Lengths, length: number): PiecePlace | null {
  const place = reader.varint();
  if (place === OWN_FILE) return null;
  const file = place - 1;
  const position = reader.varint();
  const end = shared.get(file);
  if (length === 0 || length > PIECE_BYTES_MAX || end === undefined || position + length > end) {
    throw new DecodeError(`a piece of ${length} bytes does not lie in shared file ${file}`);
  }
  return { file, position };
}

export const partitionDirectory = (root: string, topicId: number, partition: number): string =>
  `${root}/${topicId}-${partition}`;

/** A segment that a manifest names, with the totals that its bytes must match. */
export type ManifestSegment = SegmentRecord & {
  readonly topicId: number;
  readonly partition: number;
  /** The file that contains it, and the position in it. */
  readonly path: string;
  readonly position: number;
  /** Names the segment in errors. */
  readonly label: string;
  /** The end of the segment: where the next one, or the partition, continues. */
  readonly endOffset: number;
  readonly endBytes: number;
};

/** A file that a manifest names, with its segments: one, or many if partitions share it. */
export type ManifestFile = {
  readonly path: string;
  readonly length: number;
  /** The number of a shared file; null for the file of one segment. */
  readonly shared: number | null;
  readonly segments: readonly ManifestSegment[];
};

/** Returns the segments with bytes, in order. @throws DecodeError */
export function manifestSegments(root: string, manifest: Uint8Array): ManifestSegment[] {
  return manifestFiles(root, manifest).flatMap(({ segments }) => segments);
}

/** Returns the files of the segments with bytes: those of one segment first. @throws DecodeError */
export function manifestFiles(root: string, manifest: Uint8Array): ManifestFile[] {
  const own: ManifestFile[] = [];
  const pieces = new Map<number, ManifestSegment[]>();
  const { shared } = readManifest(manifest, (record) => {
    for (const segment of segmentsOf(root, record)) {
      const { path, length, piece } = segment;
      if (piece === null) own.push({ path, length, shared: null, segments: [segment] });
      else listOf(pieces, piece.file).push(segment);
    }
  });
  for (const { number, length } of shared) {
    const segments = listOf(pieces, number).sort((a, b) => a.position - b.position);
    own.push({ path: sharedFilePath(root, number), length, shared: number, segments });
  }
  return own;
}

/** A file that a manifest names. */
export type ManifestFileHead = Pick<ManifestFile, "path" | "length" | "shared"> & {
  /** The only segment of a file that is not shared. */
  readonly own: Pick<ManifestSegment, "topicId" | "partition" | "baseOffset"> | null;
};

/**
 * Returns the same files as `manifestFiles` in the same order, without the segments. No objects are made
 * for pieces, because there may be very many. @throws DecodeError
 */
export function manifestFileHeads(root: string, manifest: Uint8Array): ManifestFileHead[] {
  const heads: ManifestFileHead[] = [];
  const reader = new ByteReader(manifest);
  const { isShared, shared, partitions } = readHead(reader);
  for (let left = partitions; left > 0; left--) readOwnFiles(reader, isShared, root, heads);
  for (const [number, length] of shared) {
    heads.push({ path: sharedFilePath(root, number), length, shared: number, own: null });
  }
  return heads;
}

/** Fields of a partition between its number and its segments, and of a segment behind its length. */
const SKIPPED_FIELDS = 4;

function readOwnFiles(
  reader: ByteReader,
  isShared: boolean,
  root: string,
  heads: ManifestFileHead[],
): void {
  const topicId = reader.varint();
  const partition = reader.varint();
  for (let i = 0; i < SKIPPED_FIELDS; i++) reader.varint();
  for (let left = reader.varint(); left > 0; left--) {
    const baseOffset = reader.varint();
    const length = reader.varint();
    for (let i = 0; i < SKIPPED_FIELDS; i++) reader.varint();
    const place = isShared ? reader.varint() : OWN_FILE;
    if (place !== OWN_FILE) reader.varint();
    if (place !== OWN_FILE || length === 0) continue;
    const path = `${partitionDirectory(root, topicId, partition)}/${segmentName(baseOffset)}`;
    heads.push({ path, length, shared: null, own: { topicId, partition, baseOffset } });
  }
}

function segmentsOf(root: string, record: PartitionRecord): ManifestSegment[] {
  const { topicId, partition, segments, endOffset, endBytes } = record;
  const directory = partitionDirectory(root, topicId, partition);
  const found: ManifestSegment[] = [];
  segments.forEach((segment, i) => {
    const { length, piece, baseOffset } = segment;
    if (length === 0) return;
    const next = segments[i + 1];
    const own = `${directory}/${segmentName(baseOffset)}`;
    const path = piece === null ? own : sharedFilePath(root, piece.file);
    found.push({
      ...segment,
      topicId,
      partition,
      path,
      position: piece?.position ?? 0,
      label: piece === null ? own : pieceLabel(path, directory, baseOffset),
      endOffset: next?.baseOffset ?? endOffset,
      endBytes: next?.bytesBefore ?? endBytes,
    });
  });
  return found;
}

function listOf<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}
