/**
 * Detects that the data directory, or a part of it, was removed, moved or replaced while the process
 * runs. The open files go on working in that case, so the node would acknowledge writes that the next
 * start does not find.
 */
import type { DataLock } from "./data-lock.ts";
import { DiskFailure } from "./disk.ts";
import type { KnownPaths } from "./known-paths.ts";

const CHECK_EVERY_MS = 1000;
/** Paths that are checked without a pause: 1 ms. With many partitions a round takes several steps. */
const PATHS_AT_A_TIME = 500;
const PIECE_EVERY_MS = 100;

/** @throws DiskFailure with how the directory was lost. */
export function checkDataDir(lock: DataLock): void {
  const loss = lock.whyLost();
  if (loss !== null) throw new DiskFailure(`the data directory is lost: ${loss}`);
}

/** Calls `lost` at most once. The returned function stops the watch. */
export function watchDataDir(
  lock: DataLock,
  known: KnownPaths,
  lost: (error: unknown) => void,
): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const later = (ms: number) => {
    timer = setTimeout(check, ms);
  };
  const check = () => {
    try {
      checkDataDir(lock);
      const looked = known.look(PATHS_AT_A_TIME);
      if (looked !== "done" && looked !== null) {
        throw new DiskFailure(`the data directory is lost: ${looked.loss}`);
      }
      later(looked === "done" ? CHECK_EVERY_MS : PIECE_EVERY_MS);
    } catch (error) {
      lost(error);
    }
  };
  later(CHECK_EVERY_MS);
  return () => clearTimeout(timer);
}
