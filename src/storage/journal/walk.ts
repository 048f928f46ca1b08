/** Walks a segment frame by frame, for tools that inspect a journal. */
import { FRAME_HEADER_BYTES, FrameDecoder, frameBytes, PAYLOAD_BYTES_MAX } from "./frame.ts";
import { SEGMENT_HEADER_BYTES, type Segment } from "./segment.ts";

const SLICE_BYTES = 1024 * 1024;

export type WalkedFrame = {
  readonly position: number;
  readonly kind: number;
  readonly typeCode: number;
  readonly index: number;
  readonly term: number;
  /**
   * The watermarks of the frame: entries up to this index and bytes up to this position were
   * durable when it was written.
   */
  readonly watermark: number;
  readonly synced: number;
  readonly length: number;
  /** The payload as a view; null if its checksum is wrong. */
  readonly payload: Uint8Array | null;
  /** Whether the padding after the payload is zero. No checksum covers it. */
  readonly isPadded: boolean;
};

/** Yields frames from the first on, up to the first position without a complete header. */
export async function* walkFrames(
  { file, seed, capacity }: Pick<Segment, "file" | "seed" | "capacity">,
  from: number = SEGMENT_HEADER_BYTES,
): AsyncGenerator<WalkedFrame, void> {
  const decoder = new FrameDecoder();
  let start = from;
  let wanted = SLICE_BYTES;
  for (;;) {
    const left = capacity - start;
    if (left < FRAME_HEADER_BYTES) return;
    const length = Math.min(wanted, left);
    const bytes = await file.read(start, length);
    decoder.load(bytes, start, seed);
    let at = 0;
    let size = sizeAt(decoder, at, left);
    while (size !== null && at + size <= bytes.length) {
      yield walked(decoder, bytes, at, start + at);
      at += size;
      size = sizeAt(decoder, at, left);
    }
    const isShort = bytes.length < length;
    if (size === null || (at === 0 && isShort)) return;
    wanted = Math.max(size, SLICE_BYTES);
    start += at;
  }
}

/**
 * Returns the frame at `at`, or only its header if more bytes are needed. Returns null if no frame
 * begins there.
 */
function sizeAt(decoder: FrameDecoder, at: number, left: number): number | null {
  if (at + FRAME_HEADER_BYTES > Math.min(decoder.available, left)) return FRAME_HEADER_BYTES;
  if (!decoder.header(at) || decoder.length > PAYLOAD_BYTES_MAX) return null;
  const size = frameBytes(decoder.length);
  return at + size > left ? null : size;
}

function walked(
  decoder: FrameDecoder,
  bytes: Uint8Array,
  at: number,
  position: number,
): WalkedFrame {
  const { kind, typeCode, index, term, watermark, synced, length } = decoder;
  const behind = bytes.subarray(at + FRAME_HEADER_BYTES + length, at + frameBytes(length));
  const isPadded = behind.every((byte) => byte === 0);
  const payload = decoder.payload(at);
  return {
    position,
    kind,
    typeCode,
    index,
    term,
    watermark,
    synced,
    length,
    payload,
    isPadded,
  };
}
