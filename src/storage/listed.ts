import type { Disk } from "../env/disk.ts";
import { baseNameOf, parentOf } from "../lib/path.ts";

/** Whether the directory of a file names it: an error of opening it does not tell. */
export const isListed = async (disk: Disk, path: string): Promise<boolean> =>
  (await disk.list(parentOf(path))).includes(baseNameOf(path));
