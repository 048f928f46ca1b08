/** Reads live entries for followers that have fallen behind, and verifies every checksum. */
import type { Entry, LogIndex, Term } from "../../raft/types.ts";
import { JournalDamaged } from "./damage.ts";
import { type JournalIndex, markBefore, type Run } from "./entry-index.ts";
import {
  entryTypeOf,
  FRAME_HEADER_BYTES,
  FrameDecoder,
  frameBytes,
  KIND_ENTRY,
  PAYLOAD_BYTES_MAX,
} from "./frame.ts";

/** Bytes to read beyond the requested range, because positions are sparse. */
const SLACK_BYTES = 64 * 1024;
const SLICE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * @param to inclusive. Both entries must be live.
 * @param maxBytes of payload, but always at least one entry.
 * @throws JournalDamaged if a checksum is wrong.
 */
export async function readEntries(
  index: JournalIndex,
  from: number,
  to: number,
  maxBytes: number,
): Promise<Entry[]> {
  const entries: Entry[] = [];
  const wanted: Wanted = { next: from, to, bytesLeft: maxBytes, entries };
  while (wanted.next <= to && (entries.length === 0 || wanted.bytesLeft > 0)) {
    const run = index.find(wanted.next);
    run.segment.readers++;
    try {
      await readRun(run, wanted);
    } finally {
      run.segment.readers--;
      if (run.segment.released && run.segment.readers === 0) await run.segment.file.close();
    }
  }
  return entries;
}

type Wanted = { next: number; readonly to: number; bytesLeft: number; readonly entries: Entry[] };

async function readRun(run: Run, wanted: Wanted): Promise<void> {
  const { segment } = run;
  const decoder = new FrameDecoder();
  const last = Math.min(run.last, wanted.to);
  const mark = markBefore(run, wanted.next);
  let position = mark.position;
  let expected = mark.index;
  while (expected <= last && (wanted.entries.length === 0 || wanted.bytesLeft > 0)) {
    const guess = Math.min(Math.max(wanted.bytesLeft, 0) + SLACK_BYTES, SLICE_BYTES_MAX);
    let bytes = await segment.file.read(position, Math.min(guess, segment.capacity - position));
    decoder.load(bytes, position, segment.seed);
    if (!decoder.header(0)) throw damaged(run, position, expected, "no valid frame");
    const first = frameBytes(decoder.length);
    if (first > bytes.length && decoder.length <= PAYLOAD_BYTES_MAX) {
      bytes = await segment.file.read(position, first);
      decoder.load(bytes, position, segment.seed);
    }
    const taken = takeFrames(run, decoder, position, expected, last, wanted);
    // The first frame of a slice may exceed the remaining range.
    if (taken.bytes === 0 && wanted.entries.length > 0 && wanted.bytesLeft <= 0) return;
    if (taken.bytes === 0) throw damaged(run, position, expected, "frame beyond the file");
    position += taken.bytes;
    expected = taken.expected;
  }
}

function takeFrames(
  run: Run,
  decoder: FrameDecoder,
  start: number,
  begin: number,
  last: number,
  wanted: Wanted,
): { bytes: number; expected: number } {
  let at = 0;
  let expected = begin;
  while (expected <= last && at + FRAME_HEADER_BYTES <= decoder.available) {
    if (!decoder.header(at)) throw damaged(run, start + at, expected, "no valid frame");
    const size = frameBytes(decoder.length);
    if (at + size > decoder.available) break;
    if (decoder.kind === KIND_ENTRY) {
      if (decoder.index !== expected) {
        throw damaged(run, start + at, expected, `entry ${decoder.index} in its place`);
      }
      if (expected >= wanted.next && !takeEntry(run, decoder, at, start, wanted)) break;
      expected++;
    }
    at += size;
  }
  return { bytes: at, expected };
}

/** @returns false if the byte limit is reached. */
function takeEntry(
  run: Run,
  decoder: FrameDecoder,
  at: number,
  start: number,
  wanted: Wanted,
): boolean {
  if (wanted.entries.length > 0 && decoder.length > wanted.bytesLeft) {
    wanted.bytesLeft = 0;
    return false;
  }
  const { index, term, typeCode } = decoder;
  const data = decoder.payload(at);
  const type = entryTypeOf(typeCode);
  if (data === null || type === null) {
    throw damaged(run, start + at, index, data === null ? "wrong payload checksum" : "bad type");
  }
  wanted.entries.push({ index: index as LogIndex, term: term as Term, type, data });
  wanted.bytesLeft -= decoder.length;
  wanted.next = index + 1;
  return true;
}

function damaged(run: Run, position: number, from: number, reason: string): JournalDamaged {
  return new JournalDamaged({
    file: run.segment.path,
    position,
    from: from as LogIndex,
    to: run.last as LogIndex,
    reason,
  });
}
