import { readFileSync } from "node:fs";
import { totalmem } from "node:os";

/** Version 2 and version 1 of control groups, as a container sees its own. */
const LIMIT_FILES = [
  "/sys/fs/cgroup/memory.max",
  "/sys/fs/cgroup/memory/memory.limit_in_bytes",
] as const;
const MiB = 1024 * 1024;
const SHARE = 8;
const SHARE_MIN = 64 * MiB;
const SHARE_MAX = 1024 * MiB;

/** Memory that this process may use: that of the machine, or less in a container. */
export function memoryLimit(): number {
  let limit = totalmem();
  for (const file of LIMIT_FILES) {
    try {
      const allowed = Number(readFileSync(file, "utf8").trim());
      if (allowed > 0) limit = Math.min(limit, allowed);
    } catch {
      // There is none.
    }
  }
  return limit;
}

/** What one of the budgets gets where it is not set: an eighth, from 64 MiB to 1 GiB. */
export const memoryShare = (limit: number): number =>
  Math.min(SHARE_MAX, Math.max(SHARE_MIN, Math.floor(limit / SHARE)));
