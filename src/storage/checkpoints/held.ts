import type { Disk } from "../../env/disk.ts";
import { assert } from "../../lib/assert.ts";
import { type ManifestFile, manifestFileHeads, manifestFiles } from "../partitions/manifest.ts";
import { verifyFile } from "../partitions/segment-verify.ts";
import { openCheckpoint } from "./reader.ts";
import { CHECKPOINT_FILE, fileWireName } from "./transfer-names.ts";

/** A file whose first `length` bytes do not change while its checkpoint is held. */
export type HeldFile = {
  /** The name that the receiver knows (transfer-names.ts). */
  readonly name: string;
  readonly path: string;
  readonly length: number;
  /** @returns exactly `length` bytes from `position`, which must lie inside the file. */
  read(position: number, length: number): Promise<Uint8Array>;
  /**
   * Reads the whole file and verifies it.
   *
   * @param nextTurn is called between pieces.
   * @throws CheckpointDamaged, PartitionDamaged
   */
  verify(nextTurn: () => Promise<void>): Promise<void>;
};

/** A checkpoint whose files do not change before `release`. */
export type HeldCheckpoint = {
  readonly index: number;
  readonly term: number;
  /** The checkpoint file, then the files of the segments that it names. */
  readonly files: readonly HeldFile[];
  release(): Promise<void>;
};

export function heldFiles(
  disk: Disk,
  checkpoint: { readonly path: string; readonly index: number; readonly length: number },
  partitions: { readonly root: string; readonly manifest: Uint8Array },
): HeldFile[] {
  const { path, index, length } = checkpoint;
  const verify = async () => (await openCheckpoint(disk, path, index)).close();
  const files = [heldFile(disk, { name: CHECKPOINT_FILE, path, length, verify })];
  const { root, manifest } = partitions;
  let whole: Map<string, ManifestFile> | null = null;
  const verifyOne = async (file: string, nextTurn: () => Promise<void>) => {
    whole ??= new Map(manifestFiles(root, manifest).map((each) => [each.path, each]));
    const found = whole.get(file);
    assert(found !== undefined, "a manifest names its files");
    await verifyFile(disk, found, nextTurn);
  };
  for (const head of manifestFileHeads(root, manifest)) {
    const name = fileWireName(head);
    const verifySelf = (nextTurn: () => Promise<void>) => verifyOne(head.path, nextTurn);
    files.push(heldFile(disk, { name, path: head.path, length: head.length, verify: verifySelf }));
  }
  return files;
}

/**
 * The file is not kept open: chunks are large, and thousands of files would stay open for hours.
 */
const heldFile = (disk: Disk, file: Omit<HeldFile, "read">): HeldFile => ({
  ...file,
  read: (position, length) => disk.readRange(file.path, position, length),
});
