import { FRAME_ALIGN, FRAME_HEADER_BYTES, FrameDecoder } from "./frame.ts";
import type { Segment } from "./segment.ts";

const SLICE_BYTES = 1024 * 1024;

/** Calls `visit` for every valid frame header in a range of a segment, in sequence or not. */
export async function scanFrames(
  segment: Segment,
  from: number,
  to: number,
  visit: (frame: FrameDecoder, position: number) => void,
): Promise<number> {
  const frame = new FrameDecoder();
  let bytesRead = 0;
  const begin = Math.ceil(from / FRAME_ALIGN) * FRAME_ALIGN;
  for (let start = begin; start < to; start += SLICE_BYTES) {
    const length = Math.min(SLICE_BYTES + FRAME_HEADER_BYTES - FRAME_ALIGN, to - start);
    const bytes = await segment.file.read(start, length);
    bytesRead += bytes.length;
    frame.load(bytes, start, segment.seed);
    for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; at += FRAME_ALIGN) {
      if (frame.maybeFrame(at) && frame.header(at)) visit(frame, start + at);
    }
  }
  return bytesRead;
}
