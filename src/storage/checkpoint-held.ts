import type { Disk } from "../env/disk.ts";
import { manifestSegments } from "./partition-manifest.ts";
import { CHECKPOINT_FILE, segmentWireName } from "./snapshot-names.ts";

/** A file of which the first `length` bytes do not change while its checkpoint is held. */
export type HeldFile = {
  /** As the other side knows it (snapshot-names.ts). */
  readonly name: string;
  readonly path: string;
  readonly length: number;
  /** @returns exactly `length` bytes from `position`, which lie inside the file. */
  read(position: number, length: number): Promise<Uint8Array>;
};

/** A checkpoint whose files stay unchanged until `release`. */
export type HeldCheckpoint = {
  readonly index: number;
  readonly term: number;
  /** The checkpoint file, then the segment files that it names. */
  readonly files: readonly HeldFile[];
  release(): Promise<void>;
};

export function heldFiles(
  disk: Disk,
  checkpoint: { readonly path: string; readonly length: number },
  partitions: { readonly root: string; readonly manifest: Uint8Array },
): HeldFile[] {
  const { path, length } = checkpoint;
  const files = [heldFile(disk, { name: CHECKPOINT_FILE, path, length })];
  for (const segment of manifestSegments(partitions.root, partitions.manifest)) {
    const { topicId, partition, baseOffset } = segment;
    const name = segmentWireName({ topicId, partition, baseOffset });
    files.push(heldFile(disk, { name, path: segment.path, length: segment.length }));
  }
  return files;
}

/** Opened for each read: chunks are large, and thousands of files need not be open for hours. */
function heldFile(disk: Disk, file: Omit<HeldFile, "read">): HeldFile {
  const read = async (position: number, length: number) => {
    const opened = await disk.open(file.path, "existing");
    try {
      return await opened.read(position, length);
    } finally {
      await opened.close();
    }
  };
  return { ...file, read };
}
