/**
 * Finds where to continue in a damaged journal whose beginning a checkpoint covers. The log after
 * the checkpoint was written after the last frame that refers to the checkpoint's last entry. Older
 * frames were replaced or are covered by the checkpoint, so they need not be intact.
 */
import { type FrameDecoder, frameBytes, KIND_ENTRY } from "./frame.ts";
import { scanFrames } from "./frame-scan.ts";
import { type Opened, SEGMENT_HEADER_BYTES } from "./segment.ts";

/** The last entry that an intact checkpoint covers. */
export type CoveredEnd = { readonly index: number; readonly term: number };

/** The part of a journal that must be intact. */
export type Rest = {
  /** The number of the file in which it begins. */
  readonly file: number;
  readonly position: number;
  /** The header checksum that its first frame names as its predecessor. */
  readonly chain: number;
  readonly end: CoveredEnd;
};

/** @returns null if no frame shows where it begins. */
export async function findRest(files: readonly Opened[], end: CoveredEnd): Promise<Rest | null> {
  for (let file = files.length - 1; file >= 0; file--) {
    const opened = files[file];
    if (opened === undefined) continue;
    let rest: Rest | null = null;
    const { segment, size } = opened;
    await scanFrames(segment, SEGMENT_HEADER_BYTES, size, (frame, position) => {
      const begin = beginAt(frame, position, end);
      if (begin !== null) rest = { file, ...begin, end };
    });
    if (rest !== null) return rest;
  }
  return null;
}

/**
 * The remainder begins after a frame of the last covered entry, or after a watermark or reset that
 * ends with it. Or it begins at the frame of the entry after it.
 */
function beginAt(
  frame: FrameDecoder,
  position: number,
  { index, term }: CoveredEnd,
): Pick<Rest, "position" | "chain"> | null {
  if (frame.index === index && frame.term === term) {
    return { position: position + frameBytes(frame.length), chain: frame.checksum };
  }
  const isNext = frame.kind === KIND_ENTRY && frame.index === index + 1 && frame.term >= term;
  return isNext ? { position, chain: frame.chain } : null;
}
