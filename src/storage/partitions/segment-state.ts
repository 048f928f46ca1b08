import { INDEX_INTERVAL_BYTES, SegmentIndex } from "./segment-index.ts";

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
};

/** One file of a partition. The last one is active, those before it are sealed. */
export class SegmentState {
  readonly baseOffset: number;
  /**
   * The start of the segment in the partition's stream of stored bytes, counted since this start.
   */
  readonly start: number;
  readonly bytesBefore: number;
  readonly path: string;
  readonly indexPath: string;
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
    this.path = `${directory}/${segmentName(record.baseOffset)}`;
    this.indexPath = `${directory}/${indexName(record.baseOffset)}`;
    this.createdCut = createdCut;
    this.length = record.length;
    this.restoredLength = record.length;
    this.fileIndexCrc = record.indexCrc;
    this.index = new SegmentIndex(record.indexCrc);
    this.firstTimestampMs = record.firstTimestampMs;
    this.lastTimestampMs = record.lastTimestampMs;
    this.indexedFrom = record.length;
    // A restored segment continues with a point, so that both halves of its index join.
    this.#nextPoint = record.length === 0 ? INDEX_INTERVAL_BYTES : record.length;
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
  }

  unpin(): void {
    this.#pins--;
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
