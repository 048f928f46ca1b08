/**
 * Notices that the data directory was removed, moved or replaced under the running process. The
 * open files go on working then, so that writes would be acknowledged that no start finds again.
 */
import type { DataLock } from "./data-lock.ts";
import { DiskFailure } from "./disk.ts";

const CHECK_EVERY_MS = 1000;

/** @throws DiskFailure that says how the directory was lost. */
export function checkDataDir(lock: DataLock): void {
  const loss = lock.whyLost();
  if (loss !== null) throw new DiskFailure(`the data directory is lost: ${loss}`);
}

/** Calls `lost` at most once. The returned function ends the watch. */
export function watchDataDir(lock: DataLock, lost: (error: unknown) => void): () => void {
  const timer = setInterval(() => {
    try {
      checkDataDir(lock);
    } catch (error) {
      clearInterval(timer);
      lost(error);
    }
  }, CHECK_EVERY_MS);
  return () => clearInterval(timer);
}
