import type { Disk } from "../env/disk.ts";
import { segmentSeed } from "./frame.ts";
import {
  decodeSegmentHeader,
  type Opened,
  SEGMENT_HEADER_BYTES,
  type Segment,
  segmentIdOf,
  segmentPath,
} from "./journal-segment.ts";

/** All files of a journal, in order. They are to be closed. */
export async function openSegments({
  disk,
  directory,
  identity,
}: {
  disk: Disk;
  directory: string;
  identity: number;
}): Promise<Opened[]> {
  const files: Opened[] = [];
  for (const name of await disk.list(directory)) {
    const id = segmentIdOf(name);
    if (id === null) continue;
    const path = segmentPath(directory, id);
    const file = await disk.open(path, "existing");
    const size = await file.size();
    const header = decodeSegmentHeader(await file.read(0, SEGMENT_HEADER_BYTES));
    const segment: Segment = {
      id,
      path,
      file,
      seed: segmentSeed(identity, id),
      capacity: size,
      end: SEGMENT_HEADER_BYTES,
      baseIndex: header?.baseIndex ?? 0,
      readers: 0,
      released: false,
      durable: true,
    };
    files.push({ segment, header, size });
  }
  return files;
}
