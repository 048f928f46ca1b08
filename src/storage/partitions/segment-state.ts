import { assert } from "../../lib/assert.ts";
import { INDEX_INTERVAL_BYTES, SegmentIndex } from "./segment-index.ts";
import type { SharedFile } from "./shared-file.ts";

const NAME_DIGITS = 20;

export const segmentName = (baseOffset: number): string =>
  `${String(baseOffset).padStart(NAME_DIGITS, "0")}.seg`;
export const indexName = (baseOffset: number): string =>
  `${String(baseOffset).padStart(NAME_DIGITS, "0")}.idx`;

/** The fields of a segment that recovery needs. */
export type SegmentRecord = {
  readonly baseOffset: number;
  /** Stored bytes. */
  readonly length: number;
  /** Logical bytes of all records of the partition before this segment. */
  readonly bytesBefore: number;
  readonly firstTimestampMs: number;
  readonly lastTimestampMs: number;
  /** The CRC-32 of the index up to `length`. */
  readonly indexCrc: number;
  /** Null if the segment has a file of its own. */
  readonly piece: PiecePlace | null;
};

/** The place of a segment in a shared file. */
export type PiecePlace = { readonly file: number; readonly position: number };

/** The largest segment in a shared file. It is so small that its index has no point. */
export const PIECE_BYTES_MAX = INDEX_INTERVAL_BYTES;

/**
 * A run of batches of a partition: a file of its own, or a piece of a shared file. Which one is
 * decided when it is first written. The last segment is active, those before it are sealed.
 */
export class SegmentState {
  readonly baseOffset: number;
  /**
   * The start of the segment in the partition's stream of stored bytes, counted since this start.
   */
  readonly start: number;
  readonly bytesBefore: number;
  readonly #directory: string;
  #path: string | null = null;
  /** The file that contains it, if it shares one. Bytes of a piece never change their place. */
  #shared: SharedFile | null = null;
  /** The position of its first byte in the file. */
  position = 0;
  /** It was decided which file the segment is in. */
  isPlaced: boolean;
  /** The newest consistent point when the segment was created. Only later ones can name it. */
  readonly createdCut: number;
  length: number;
  firstTimestampMs: number;
  lastTimestampMs: number;
  sealed = false;
  /** Bytes that a checkpoint covers: the file exists, and bytes after them are truncated. */
  readonly restoredLength: number;
  /** This process created or truncated the file, so it may be written. */
  fileReady = false;
  /** Points from `indexedFrom` on; null once the `.idx` file has them. */
  index: SegmentIndex | null;
  indexedFrom: number;
  /** The `.idx` file has the complete index. */
  indexStored = false;
  /** The number of points in the `.idx` file of an active segment. */
  storedPoints = 0;
  /** The checksum that an `.idx` file must have, up to `restoredLength` or when sealed. */
  fileIndexCrc: number;
  /** The segment is no longer part of its log. */
  trimmed = false;
  /** Called when the last reader or writer is done. */
  whenFree: (() => void) | null = null;
  #pins = 0;
  #nextPoint: number;

  constructor(directory: string, start: number, createdCut: number, record: SegmentRecord) {
    this.baseOffset = record.baseOffset;
    this.start = start;
    this.bytesBefore = record.bytesBefore;
    this.#directory = directory;
    this.isPlaced = record.length > 0;
    this.createdCut = createdCut;
    this.length = record.length;
    this.restoredLength = record.length;
    this.fileIndexCrc = record.indexCrc;
    this.index = record.piece === null ? new SegmentIndex(record.indexCrc) : null;
    this.firstTimestampMs = record.firstTimestampMs;
    this.lastTimestampMs = record.lastTimestampMs;
    this.indexedFrom = record.length;
    // A restored segment continues with a point, so that both halves of its index join.
    this.#nextPoint = record.length === 0 ? INDEX_INTERVAL_BYTES : record.length;
  }

  get shared(): SharedFile | null {
    return this.#shared;
  }

  /** The path of the file that contains the segment. */
  get path(): string {
    return this.#shared === null ? this.label : this.#shared.path;
  }

  /** Names the segment in errors. It is the path of its file, unless it shares one. */
  get label(): string {
    this.#path ??= labelOf(this.#directory, this.baseOffset, this.#shared);
    return this.#path;
  }

  get indexPath(): string {
    return `${this.#directory}/${indexName(this.baseOffset)}`;
  }

  /** Makes it a piece of a shared file, and seals it. Before, it must not be in any file. */
  placeIn(file: SharedFile, position: number): void {
    assert(this.#pins === 0 && this.length <= PIECE_BYTES_MAX, "a piece is small and not in use");
    this.#shared = file;
    this.#path = null;
    this.position = position;
    this.isPlaced = true;
    this.sealed = true;
    this.index = null;
    this.indexStored = true;
  }

  get indexCrc(): number {
    return this.index === null ? this.fileIndexCrc : this.index.crc;
  }

  get pinned(): boolean {
    return this.#pins > 0;
  }

  /** Keeps the file until `unpin`. */
  pin(): void {
    this.#pins++;
    this.#shared?.pin();
  }

  unpin(): void {
    this.#pins--;
    this.#shared?.unpin();
    if (this.#pins === 0) this.whenFree?.();
  }

  get end(): number {
    return this.start + this.length;
  }

  /** Accounts for a batch that was appended to the tail. */
  grow(offset: number, length: number, timestampMs: number, bytesBefore: number): void {
    if (this.length === 0) this.firstTimestampMs = timestampMs;
    if (this.length >= this.#nextPoint) {
      this.index?.add(offset, this.length, timestampMs, bytesBefore);
      this.#nextPoint = this.length + INDEX_INTERVAL_BYTES;
    }
    this.length += length;
    this.lastTimestampMs = timestampMs;
  }
}

/** `directory` ends with the topic id and the partition, so that an error of a piece names them. */
function labelOf(directory: string, baseOffset: number, shared: SharedFile | null): string {
  if (shared === null) return `${directory}/${segmentName(baseOffset)}`;
  return pieceLabel(shared.path, directory, baseOffset);
}

/** Names a piece: its file, its partition and its base offset. */
export const pieceLabel = (path: string, directory: string, baseOffset: number): string =>
  `${path}:${directory.slice(directory.lastIndexOf("/") + 1)}/${segmentName(baseOffset)}`;
