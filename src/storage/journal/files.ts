import type { Disk } from "../../env/disk.ts";
import { segmentSeed } from "./frame.ts";
import type { PreallocatedSegment } from "./preallocated.ts";
import {
  decodeSegmentHeader,
  type Opened,
  SEGMENT_HEADER_BYTES,
  type Segment,
  segmentIdOf,
  segmentPath,
} from "./segment.ts";
import { zeroBehind } from "./zeros.ts";

const PREALLOCATED_BYTES_MIN = 512;

type Place = { readonly disk: Disk; readonly directory: string };

/** Lists all files of a journal, in order. The caller must close them. */
export async function openSegments({
  disk,
  directory,
  identity,
}: Place & { readonly identity: number }): Promise<Opened[]> {
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

/**
 * Prepares the files after the journal: wipes a torn activation in them, and removes a partly
 * written last one.
 */
export async function keepPreallocated(
  { disk, directory }: Place,
  unused: readonly Opened[],
): Promise<PreallocatedSegment[]> {
  const preallocated: PreallocatedSegment[] = [];
  for (const { segment, size } of unused) {
    const { id, path, file } = segment;
    if (size < PREALLOCATED_BYTES_MIN && segment === unused.at(-1)?.segment) {
      await file.close();
      await disk.remove(path);
      continue;
    }
    await zeroBehind(file, 0, size);
    await file.sync();
    preallocated.push({ id, path, file, size });
  }
  if (unused.length > 0) await disk.syncDirectory(directory);
  return preallocated;
}
