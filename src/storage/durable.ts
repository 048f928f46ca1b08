import { type Disk, DiskFailure, DiskFull } from "../env/disk.ts";
import { parentOf } from "../lib/path.ts";

/** Creates a directory. Its entry is durable when this resolves. */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  await disk.makeDirectory(path);
  for (let parent = path; parent !== ""; ) {
    parent = parentOf(parent);
    await syncDirectory(disk, parent);
  }
}

export const syncDirectory = (disk: Disk, path: string): Promise<void> =>
  disk.syncDirectory(path).catch(failedSync);

/**
 * Converts an error of a sync. A failed sync is final even for lack of space, because the kernel
 * may mark the pages as clean although they are not on disk.
 */
export function failedSync(cause: unknown): never {
  if (!(cause instanceof DiskFull)) throw cause;
  throw new DiskFailure("no space left at a sync", { cause });
}
