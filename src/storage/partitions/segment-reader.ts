import { type Disk, DiskFailure, type DiskFile, DiskFull } from "../../env/disk.ts";
import { isListed } from "../listed.ts";
import { PartitionDamaged } from "./damaged.ts";
import type { SegmentFiles } from "./segment-files.ts";
import type { SegmentState } from "./segment-state.ts";
import { PartitionWindow } from "./window.ts";

export type SegmentSlice = {
  /** The position of a batch start. */
  readonly position: number;
  /** The base offset of that batch. */
  readonly offset: number;
  /** The number of bytes to read. A longer first batch is read completely. */
  readonly bytes: number;
  /** The end of the written part of the segment. */
  readonly limit: number;
};

/** Reads windows of segment files. */
export class SegmentReader {
  readonly #disk: Disk;
  readonly #files: SegmentFiles;

  constructor(disk: Disk, files: SegmentFiles) {
    this.#disk = disk;
    this.#files = files;
  }

  /**
   * Returns a window that contains at least its first batch completely.
   *
   * @throws PartitionDamaged if the file is missing, shorter than it was, or the header is wrong.
   */
  async window(segment: SegmentState, seed: number, slice: SegmentSlice): Promise<PartitionWindow> {
    const source = { path: segment.label, seed };
    const read = (from: number, bytes: number) =>
      this.use(segment, (file, start) => file.read(start + from, bytes));
    return await readWindow(read, source, slice);
  }

  /**
   * Calls `body` with the file of a segment, which stays open until it ends, and the position of the
   * segment in it.
   *
   * @throws PartitionDamaged if the file is missing.
   */
  async use<T>(
    segment: SegmentState,
    body: (file: DiskFile, position: number) => Promise<T>,
  ): Promise<T> {
    segment.pin();
    try {
      return await this.#files.use(segment.path, "existing", (file) =>
        body(file, segment.position),
      );
    } catch (cause) {
      if (!(cause instanceof DiskFailure) || cause instanceof DiskFull) throw cause;
      if (await isListed(this.#disk, segment.path)) throw cause;
      throw new PartitionDamaged(segment.label, 0, "the file is missing", segment.baseOffset);
    } finally {
      segment.unpin();
    }
  }
}

/** @param read the number of bytes, fewer only at the end of the file. @throws PartitionDamaged */
export async function readWindow(
  read: (position: number, length: number) => Promise<Uint8Array>,
  { path, seed }: { readonly path: string; readonly seed: number },
  { position, offset, limit, bytes: wanted }: SegmentSlice,
): Promise<PartitionWindow> {
  const left = limit - position;
  let size = Math.min(wanted, left);
  for (;;) {
    const bytes = await read(position, size);
    const source = { seed, file: path, position };
    const window = new PartitionWindow(bytes, 0, bytes.length, offset, source);
    if (bytes.length < size) throw window.damaged("the file ends early");
    const needed = window.firstLength();
    if (needed > left) throw window.damaged("batch is longer than the segment");
    if (needed <= size) return window;
    size = needed;
  }
}
