import type { Clock } from "./clock.ts";
import { DiskFull } from "./disk.ts";

const RETRY_MS = 1_000;

/** Repeats `work` as long as the disk has no space for it. A try that finds none must change nothing. */
export async function untilRoom<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DiskFull)) throw error;
    }
    await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
  }
}
