import { readFileSync } from "node:fs";
import { totalmem } from "node:os";

/** Memory limits of control groups, version 2 and version 1, as seen from inside a container. */
const LIMIT_FILES = [
  "/sys/fs/cgroup/memory.max",
  "/sys/fs/cgroup/memory/memory.limit_in_bytes",
] as const;
const MiB = 1024 * 1024;
const SHARE = 8;
const SHARE_MIN = 64 * MiB;
const SHARE_MAX = 1024 * MiB;

/** Bytes of memory that this process may use: those of the machine, or fewer in a container. */
export function memoryLimit(): number {
  let limit = totalmem();
  for (const file of LIMIT_FILES) {
    try {
      const allowed = Number(readFileSync(file, "utf8").trim());
      if (allowed > 0) limit = Math.min(limit, allowed);
    } catch {
      // The file does not exist, so there is no limit.
    }
  }
  return limit;
}

/** Default size of one memory budget: an eighth of the memory, from 64 MiB to 1 GiB. */
export const memoryShare = (limit: number): number =>
  Math.min(SHARE_MAX, Math.max(SHARE_MIN, Math.floor(limit / SHARE)));
