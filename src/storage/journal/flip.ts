/**
 * Tells one flipped bit from a torn write. A frame that was never synced may be invalid because the
 * power failed during the write. No client was told of it. But a torn write lacks whole blocks. If
 * flipping a single bit makes all checksums valid, the whole frame had been written, and it may
 * have been synced and acknowledged. A torn frame of n bytes looks like that by chance once in 2^32
 * / 8n times. It is then treated as damage, which is safe.
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
 * @returns the entry of the frame there, if a single flipped bit explains all that is wrong with
 * it.
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
  // A watermark has no data, and its presence was never promised.
  if (kind === KIND_WATERMARK || length > PAYLOAD_BYTES_MAX) return null;
  const payload = await segment.file.read(position + FRAME_HEADER_BYTES, length);
  if (payload.length < length) return null;
  const difference = payloadCrcOf(payload, segment.seed, position) ^ payloadCrc;
  if (!isWhole && difference !== 0) return null;
  const bit = inHeader ?? flippedBit(difference, length);
  if (bit === null || isCutThere(isWhole ? [payload] : [header, payload], bit)) return null;
  return { index, term };
}

/** Tells whether a segment with an invalid header was written right after `chain`. */
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

/** @returns the first bit whose flip makes the bytes valid. */
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

/**
 * Zeros from the bit to the end are a write that was cut short there and lacks only one set bit.
 */
function isCutThere(parts: readonly Uint8Array[], bit: number): boolean {
  let from = bit >>> 3;
  for (const part of parts) {
    if (part.subarray(Math.min(from, part.length)).some((byte) => byte !== 0)) return false;
    from = Math.max(0, from - part.length);
  }
  return true;
}
