import { type Disk, DiskFailure, DiskFull } from "../env/disk.ts";
import {
  CheckpointFrameWriter,
  type CheckpointMeta,
  encodeHead,
  KIND_END,
  KIND_HEAD,
  KIND_MACHINE,
  KIND_MANIFEST,
} from "./checkpoint-format.ts";
import { parentOf } from "./checkpoint-names.ts";

const MANIFEST_FRAME_BYTES = 1024 * 1024;
const NO_BYTES = new Uint8Array(0);

/** The machine's snapshot, cut in pieces of at most 64 MiB; called once per turn. */
export interface SnapshotChunks {
  next(): Uint8Array | null;
}

export type CheckpointContent = {
  readonly meta: CheckpointMeta;
  readonly manifest: Uint8Array;
  readonly machine: SnapshotChunks;
};

/** @returns the length of the file, which is durable when its directory is. */
export async function writeCheckpoint(
  disk: Disk,
  path: string,
  { meta, manifest, machine }: CheckpointContent,
  nextTurn: () => Promise<void>,
): Promise<number> {
  const file = await disk.open(path, "truncate");
  try {
    const frames = new CheckpointFrameWriter(file, meta.index);
    await frames.write(KIND_HEAD, encodeHead(meta));
    for (let at = 0; at < manifest.length; at += MANIFEST_FRAME_BYTES) {
      await frames.write(KIND_MANIFEST, manifest.subarray(at, at + MANIFEST_FRAME_BYTES));
    }
    for (let chunk = machine.next(); chunk !== null; chunk = machine.next()) {
      await frames.write(KIND_MACHINE, chunk);
      await nextTurn();
    }
    await frames.write(KIND_END, NO_BYTES);
    await file.sync().catch(failedSync);
    return frames.position;
  } finally {
    await file.close();
  }
}

/** Makes a directory whose own name is durable when this resolves. */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  await disk.makeDirectory(path);
  for (let parent = path; parent !== ""; ) {
    parent = parentOf(parent);
    await syncDirectory(disk, parent);
  }
}

export const syncDirectory = (disk: Disk, path: string): Promise<void> =>
  disk.syncDirectory(path).catch(failedSync);

/** After a failed sync the pages may be clean and yet not on disk, even if space was what it lacked. */
export function failedSync(cause: unknown): never {
  if (!(cause instanceof DiskFull)) throw cause;
  throw new DiskFailure("no space left at a sync", { cause });
}
