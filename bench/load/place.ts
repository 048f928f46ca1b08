/** Where a measurement keeps its data. */
import { mkdtempSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TMPFS = 0x01021994;

/** Creates a directory in `BENCH_DIR`, or in that of the system for temporary files. */
export function benchDirectory(name: string): string {
  return mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), `ayder-${name}-`));
}

/** @returns a warning if an fsync in the directory reaches no disk. */
export function warningOf(directory: string): string | null {
  if (statfsSync(directory).type !== TMPFS) return null;
  return `${directory} is in memory (tmpfs): an fsync costs nothing there; set BENCH_DIR`;
}

/**
 * Writes out what other programs have left in the page cache, so that the next server that syncs does
 * not wait for their data as well.
 */
export function settle(directory: string): void {
  Bun.spawnSync(["sync", "--file-system", directory]);
}
