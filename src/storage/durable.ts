import { type Disk, DiskFailure, DiskFull } from "../env/disk.ts";
import { parentOf } from "../lib/path.ts";

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

/** A sync failed. Even if only space was missing, the pages may now be clean and yet not on disk. */
export function failedSync(cause: unknown): never {
  if (!(cause instanceof DiskFull)) throw cause;
  throw new DiskFailure("no space left at a sync", { cause });
}
