/**
 * One file of the journal: a header of 64 bytes, then frames, then zeros up to its fixed capacity.
 *
 *     0  u32  checksum: bytes 4…64
 *     4  u32  magic "AyJs"
 *     8  u32  format version
 *    12  u32  capacity: size of the file, durable before the header is written
 *    16  u64  segment id, as in the name of the file
 *    24  u64  base index: the log up to here lies in older segments (or in a checkpoint)
 *    32  u64  base term: term of that index
 *    40  u64  durable watermark when the header was written
 *    48  u32  identity of the journal
 *    52  u32  header checksum of the last frame of the segment before (0: there was none)
 *    56  8 bytes of zero
 *
 * The header is written with the first frames, in one write. Until then the file is all zeros: a
 * preallocated segment.
 */
import type { DiskFile } from "../../env/disk.ts";
import { crcOfWords } from "./frame.ts";

export const SEGMENT_HEADER_BYTES = 64;
export const SEGMENT_VERSION = 1;
export const SEGMENT_CAPACITY_MAX = 2 ** 31;
const MAGIC = 0x734a7941;
const HIGH = 2 ** 32;
const WORDS = SEGMENT_HEADER_BYTES / 4;

export type SegmentHeader = {
  readonly version: number;
  readonly capacity: number;
  readonly id: number;
  readonly baseIndex: number;
  readonly baseTerm: number;
  readonly watermark: number;
  readonly identity: number;
  readonly previousChain: number;
  readonly checksum: number;
};

export type Segment = {
  readonly id: number;
  readonly path: string;
  readonly file: DiskFile;
  readonly seed: number;
  /** The size of the file, which consists of durable zeros and frames. */
  capacity: number;
  /** The position of the next frame. */
  end: number;
  /** The base index of the header: every frame in the segment has a higher index. */
  readonly baseIndex: number;
  /** The number of reads in progress. A released segment is closed when the last one ends. */
  readers: number;
  released: boolean;
  /** The header is on stable storage, so a start does not need the segments before it. */
  durable: boolean;
};

/** A file as recovery finds it. Without a valid header it is a preallocated segment, or damaged. */
export type Opened = {
  readonly segment: Segment;
  readonly header: SegmentHeader | null;
  readonly size: number;
};

/** Encodes a header, including its checksum. */
export function encodeSegmentHeader(header: Omit<SegmentHeader, "checksum">): Uint8Array {
  const words = new Uint32Array(WORDS);
  words[1] = MAGIC;
  words[2] = header.version;
  words[3] = header.capacity;
  setU64(words, 4, header.id);
  setU64(words, 6, header.baseIndex);
  setU64(words, 8, header.baseTerm);
  setU64(words, 10, header.watermark);
  words[12] = header.identity;
  words[13] = header.previousChain;
  words[0] = crcOfWords(words, 1, WORDS, 0);
  return new Uint8Array(words.buffer);
}

/** @returns null if these bytes are not a header. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | null {
  if (bytes.length < SEGMENT_HEADER_BYTES) return null;
  const words = new Uint32Array(bytes.slice(0, SEGMENT_HEADER_BYTES).buffer);
  const checksum = word(words, 0);
  if (word(words, 1) !== MAGIC || crcOfWords(words, 1, WORDS, 0) !== checksum) return null;
  return {
    version: word(words, 2),
    capacity: word(words, 3),
    id: u64(words, 4),
    baseIndex: u64(words, 6),
    baseTerm: u64(words, 8),
    watermark: u64(words, 10),
    identity: word(words, 12),
    previousChain: word(words, 13),
    checksum,
  };
}

export const segmentPath = (directory: string, id: number): string =>
  `${directory}/${String(id).padStart(16, "0")}.seg`;

/** @returns null if the name is not that of a segment. */
export function segmentIdOf(name: string): number | null {
  const match = /^(\d{16})\.seg$/.exec(name);
  return match?.[1] === undefined ? null : Number(match[1]);
}

const word = (words: Uint32Array, at: number): number => words[at] ?? 0;
const u64 = (words: Uint32Array, at: number): number =>
  word(words, at) + word(words, at + 1) * HIGH;

function setU64(words: Uint32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = value / HIGH;
}
