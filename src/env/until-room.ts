import type { Clock } from "./clock.ts";
import { DiskFull } from "./disk.ts";

const RETRY_MS = 1_000;

/** Repeats `work` until the disk has space for it. An attempt that fails must not change anything. */
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
