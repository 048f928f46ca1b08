/**
 * One flipped bit, told from a torn write. A frame that was never synced may be wrong because the
 * power went while it was written: then nobody was told of it. But a write that is torn lacks whole
 * stretches; where a single bit makes all checksums right again, all of the frame had been written,
 * and it may have been synced and acknowledged. By chance a torn frame of n bytes looks like that
 * once in 2^32 / 8n times, and is then treated with more respect than it has earned.
 */
import type { DiskFile } from "../../env/disk.ts";
import { flippedBit } from "../../lib/crc32.ts";
import type { LogEnd } from "./damage.ts";
import {
  FRAME_HEADER_BYTES,
  FrameDecoder,
  KIND_WATERMARK,
  PAYLOAD_BYTES_MAX,
  payloadCrcOf,
} from "./frame.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, type Segment } from "./segment.ts";

/**
 * @param chain header checksum of the frame before `position`.
 * @returns the entry of the frame there, if one flipped bit is all that is wrong with that.
 */
export async function flippedEntry(
  segment: Segment,
  position: number,
  chain: number,
): Promise<LogEnd | null> {
  const room = segment.capacity - position - FRAME_HEADER_BYTES;
  if (room < 0) return null;
  const header = await segment.file.read(position, FRAME_HEADER_BYTES);
  const frame = new FrameDecoder();
  const isHeader = (bytes: Uint8Array) => {
    frame.load(bytes, position, segment.seed);
    return frame.header(0) && frame.chain === chain && frame.length <= room;
  };
  const isWhole = isHeader(header);
  const inHeader = isWhole ? null : bitThatMakes(header, isHeader);
  if (!isWhole && inHeader === null) return null;
  // The decoder holds the header as it was written.
  const { kind, index, term, length, payloadCrc } = frame;
  // A watermark holds nothing, and that it is there was never promised.
  if (kind === KIND_WATERMARK || length > PAYLOAD_BYTES_MAX) return null;
  const payload = await segment.file.read(position + FRAME_HEADER_BYTES, length);
  if (payload.length < length) return null;
  const difference = payloadCrcOf(payload, segment.seed, position) ^ payloadCrc;
  if (!isWhole && difference !== 0) return null;
  const bit = inHeader ?? flippedBit(difference, length);
  if (bit === null || isCutThere(isWhole ? [payload] : [header, payload], bit)) return null;
  return { index, term };
}

/** A segment whose header is not valid: whether it was written right behind `chain`. */
export async function hasFlippedHeader(
  file: DiskFile,
  id: number,
  chain: number,
): Promise<boolean> {
  const header = await file.read(0, SEGMENT_HEADER_BYTES);
  const follows = (bytes: Uint8Array) => {
    const decoded = decodeSegmentHeader(bytes);
    return decoded !== null && decoded.id === id && decoded.previousChain === chain;
  };
  return header.length === SEGMENT_HEADER_BYTES && bitThatMakes(header, follows) !== null;
}

/** @returns the first bit that is right when it is flipped. */
function bitThatMakes(bytes: Uint8Array, isRight: (bytes: Uint8Array) => boolean): number | null {
  const tried = bytes.slice();
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const at = bit >>> 3;
    tried[at] = (tried[at] as number) ^ (1 << (bit & 7));
    if (isRight(tried)) return bit;
    tried[at] = bytes[at] as number;
  }
  return null;
}

/** Zeros from the bit to the end: a write that was cut there, and lacks but one bit that was set. */
function isCutThere(parts: readonly Uint8Array[], bit: number): boolean {
  let from = bit >>> 3;
  for (const part of parts) {
    if (part.subarray(Math.min(from, part.length)).some((byte) => byte !== 0)) return false;
    from = Math.max(0, from - part.length);
  }
  return true;
}
