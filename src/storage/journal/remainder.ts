/**
 * Where to go on in a damaged journal of which a checkpoint has the beginning. The log behind the
 * checkpoint is what was written after the last frame that speaks of its last entry: what was there
 * before has been replaced, or is in the checkpoint. So nothing older needs to be whole.
 */
import { type FrameDecoder, frameBytes, KIND_ENTRY } from "./frame.ts";
import { scanFrames } from "./frame-scan.ts";
import { type Opened, SEGMENT_HEADER_BYTES } from "./segment.ts";

/** The last entry that a whole checkpoint has. */
export type CoveredEnd = { readonly index: number; readonly term: number };

/** The part of a journal that has to be whole. */
export type Rest = {
  /** Number of the file in which it begins. */
  readonly file: number;
  readonly position: number;
  /** Header checksum that the first frame names. */
  readonly chain: number;
  readonly end: CoveredEnd;
};

/** @returns null if no frame says where it begins. */
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
 * A frame of the last covered entry, or a mark that the log ended with it: behind that. Or the entry
 * after it, which is to be read itself.
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
