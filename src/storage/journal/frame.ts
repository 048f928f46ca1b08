/**
 * A frame encodes one entry of the Raft log in a journal segment. Little-endian, aligned to 16.
 *
 *     0  u32  header checksum: bytes 4…48
 *     4  u16  magic
 *     6  u8   kind: 1 entry, 2 watermark, 3 reset
 *     7  u8   entry type: 0 normal, 1 conf_change
 *     8  u32  payload length
 *    12  u32  payload checksum
 *    16  u64  index of the entry; of a watermark: last index; of a reset: the log continues after it
 *    24  u64  term of that index
 *    32  u64  durable watermark: everything up to this index was synced when the frame was written
 *    40  u32  synced position: everything before it in this segment, and every older segment, was
 *             synced when the frame was written
 *    44  u32  header checksum of the frame before (of the segment header, for the first)
 *    48       payload, then zeros up to the next multiple of 16
 *
 * Both checksums are CRC-32 seeded with the identity of the journal, the id of the segment and the
 * position in it, so that a frame is valid only where it was written.
 */
import { assert } from "../../lib/assert.ts";
import { crc32 } from "../../lib/crc32.ts";
import type { Entry, EntryType } from "../../raft/types.ts";

export const FRAME_HEADER_BYTES = 48;
export const FRAME_ALIGN = 16;
export const FRAME_MAGIC = 0x6a41;
export const KIND_ENTRY = 1;
export const KIND_WATERMARK = 2;
export const KIND_RESET = 3;
/** No entry is larger. A header with a greater length is damaged. */
export const PAYLOAD_BYTES_MAX = 256 * 1024 * 1024;

const HEADER_WORDS = FRAME_HEADER_BYTES / 4;
const HIGH = 2 ** 32;
const INITIAL_BYTES = 64 * 1024;
/** A buffer that grew beyond this size for one large batch is released. */
const KEEP_BYTES_MAX = 4 * 1024 * 1024;

// Words are read and written in native byte order, four bytes at a time.
assert(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, "the machine is little-endian");

export const frameBytes = (payloadLength: number): number =>
  FRAME_HEADER_BYTES + ((payloadLength + FRAME_ALIGN - 1) & -FRAME_ALIGN);

/** @param identity of the journal, so that a file of another journal is refused. */
export function segmentSeed(identity: number, segmentId: number): number {
  const words = new Uint32Array([identity, segmentId % HIGH, Math.floor(segmentId / HIGH)]);
  return crc32(new Uint8Array(words.buffer), 0);
}

/**
 * CRC-32 over words `from … to`, with tables. It takes 30 ns for a header; the native function
 * takes 72 ns, because it needs a view. Polynomial and result are the same.
 */
export function crcOfWords(words: Uint32Array, from: number, to: number, seed: number): number {
  let crc = ~seed;
  for (let i = from; i < to; i++) {
    crc ^= words[i] as number;
    crc =
      (TABLE[768 + (crc & 255)] as number) ^
      (TABLE[512 + ((crc >>> 8) & 255)] as number) ^
      (TABLE[256 + ((crc >>> 16) & 255)] as number) ^
      (TABLE[crc >>> 24] as number);
  }
  return ~crc >>> 0;
}

const TABLE = makeTable();

function makeTable(): Int32Array {
  const table = new Int32Array(1024);
  for (let i = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    table[i] = crc;
  }
  for (let i = 256; i < 1024; i++) {
    const before = table[i - 256] as number;
    table[i] = (before >>> 8) ^ (table[before & 255] as number);
  }
  return table;
}

/** Collects frames in one reused buffer. */
export class FrameEncoder {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #words = new Uint32Array(this.#bytes.buffer);
  #length = 0;
  #seed = 0;
  #start = 0;
  #chain = 0;
  #watermark = 0;
  #synced = 0;

  /** @param chain header checksum of the frame before `position`. */
  begin(seed: number, position: number, chain: number): void {
    assert(position % FRAME_ALIGN === 0, "frames are aligned");
    if (this.#bytes.length > KEEP_BYTES_MAX) this.#replace(INITIAL_BYTES);
    this.#length = 0;
    this.#seed = seed;
    this.#start = position;
    this.#chain = chain;
  }

  /** Sets the watermarks that the following frames carry. */
  setSynced(durableIndex: number, syncedPosition: number): void {
    this.#watermark = durableIndex;
    this.#synced = syncedPosition;
  }

  get chain(): number {
    return this.#chain;
  }

  /** The position in the segment of the next frame. */
  get position(): number {
    return this.#start + this.#length;
  }

  /** Valid until the next `begin`. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * Adds bytes that are not a frame: the header of a segment. The next frame has `chain` as its
   * predecessor.
   */
  raw(bytes: Uint8Array, chain: number): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    this.#chain = chain;
  }

  entry(entry: Entry): void {
    const data = entry.data;
    const length = data.length;
    const size = frameBytes(length);
    this.#room(size);
    const at = this.#length;
    this.#bytes.set(data, at + FRAME_HEADER_BYTES);
    if (length % FRAME_ALIGN !== 0) {
      this.#bytes.fill(0, at + FRAME_HEADER_BYTES + length, at + size);
    }
    const crc = payloadCrcOf(data, this.#seed, this.position);
    this.#header(KIND_ENTRY | (typeCode(entry.type) << 8), length, crc, entry.index, entry.term);
    this.#length = at + size;
  }

  /** Adds a frame without payload: `KIND_WATERMARK` or `KIND_RESET`. */
  mark(kind: number, index: number, term: number): void {
    this.#room(FRAME_HEADER_BYTES);
    this.#header(kind, 0, 0, index, term);
    this.#length += FRAME_HEADER_BYTES;
  }

  #header(kind: number, length: number, payloadCrc: number, index: number, term: number): void {
    const words = this.#words;
    const at = this.#length >>> 2;
    words[at + 1] = FRAME_MAGIC | (kind << 16);
    words[at + 2] = length;
    words[at + 3] = payloadCrc;
    words[at + 4] = index;
    words[at + 5] = index / HIGH;
    words[at + 6] = term;
    words[at + 7] = term / HIGH;
    words[at + 8] = this.#watermark;
    words[at + 9] = this.#watermark / HIGH;
    words[at + 10] = this.#synced;
    words[at + 11] = this.#chain;
    const crc = crcOfWords(words, at + 1, at + HEADER_WORDS, (this.#seed ^ this.position) >>> 0);
    words[at] = crc;
    this.#chain = crc;
  }

  #room(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const old = this.#bytes;
    this.#replace(Math.max((needed + 15) & -16, old.length * 2));
    this.#bytes.set(old.subarray(0, this.#length));
  }

  #replace(size: number): void {
    this.#bytes = new Uint8Array(size);
    this.#words = new Uint32Array(this.#bytes.buffer);
  }
}

/** Decodes frames of a slice of a segment. Its fields are those of the last parsed frame. */
export class FrameDecoder {
  checksum = 0;
  kind = 0;
  typeCode = 0;
  length = 0;
  payloadCrc = 0;
  index = 0;
  term = 0;
  watermark = 0;
  synced = 0;
  chain = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #words: Uint32Array = new Uint32Array(0);
  #seed = 0;
  #start = 0;

  /** @param start position in the segment of the first byte of `bytes`; a multiple of 16. */
  load(bytes: Uint8Array, start: number, seed: number): void {
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    this.#bytes = aligned;
    this.#words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> 2);
    this.#seed = seed;
    this.#start = start;
  }

  get available(): number {
    return this.#bytes.length;
  }

  /** Tells whether the slice has the magic at `at`. This is a cheap test during a search. */
  maybeFrame(at: number): boolean {
    return ((this.#words[(at >>> 2) + 1] as number) & 0xffff) === FRAME_MAGIC;
  }

  /** Tells whether there are zeros instead of a header. */
  isZero(at: number): boolean {
    const end = Math.min(at + FRAME_HEADER_BYTES, this.#bytes.length);
    for (let i = at; i < end; i++) if (this.#bytes[i] !== 0) return false;
    return true;
  }

  /** @returns false if there is no valid header at `at`. The payload is not checked. */
  header(at: number): boolean {
    if (at + FRAME_HEADER_BYTES > this.#bytes.length || !this.maybeFrame(at)) return false;
    const words = this.#words;
    const first = at >>> 2;
    const seed = (this.#seed ^ (this.#start + at)) >>> 0;
    const crc = crcOfWords(words, first + 1, first + HEADER_WORDS, seed);
    if (crc !== words[first]) return false;
    const tag = words[first + 1] as number;
    this.checksum = crc;
    this.kind = (tag >>> 16) & 255;
    this.typeCode = tag >>> 24;
    this.length = words[first + 2] as number;
    this.payloadCrc = words[first + 3] as number;
    this.index = (words[first + 4] as number) + (words[first + 5] as number) * HIGH;
    this.term = (words[first + 6] as number) + (words[first + 7] as number) * HIGH;
    this.watermark = (words[first + 8] as number) + (words[first + 9] as number) * HIGH;
    this.synced = words[first + 10] as number;
    this.chain = words[first + 11] as number;
    return true;
  }

  /** Returns the payload of the last parsed header as a view, or null if its checksum is wrong. */
  payload(at: number): Uint8Array | null {
    const from = at + FRAME_HEADER_BYTES;
    const data = this.#bytes.subarray(from, from + this.length);
    if (data.length !== this.length) return null;
    return payloadCrcOf(data, this.#seed, this.#start + at) === this.payloadCrc ? data : null;
  }
}

/**
 * @param seed of the segment.
 * @param position of the frame in it.
 */
export function payloadCrcOf(payload: Uint8Array, seed: number, position: number): number {
  return payload.length === 0 ? 0 : crc32(payload, (seed ^ position) >>> 0);
}

const TYPES: readonly EntryType[] = ["normal", "conf_change"];

/** @returns null for a type that this version does not know. */
export const entryTypeOf = (code: number): EntryType | null => TYPES[code] ?? null;

function typeCode(type: EntryType): number {
  return type === "normal" ? 0 : 1;
}
