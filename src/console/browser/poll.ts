/** Repeats work while the page is seen. */

const CALM_MS = 10_000;

/** Whoever wants less motion gets fewer changes too. */
export const intervalMs = (ms: number): number =>
  matchMedia("(prefers-reduced-motion: reduce)").matches ? Math.max(ms, CALM_MS) : ms;

/** Runs at once and then `ms` after each end, until the signal aborts; not in a hidden tab. */
export async function every(
  ms: number,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    if (!document.hidden) await work();
    await pause(intervalMs(ms), signal);
  }
}

/** Resolves after the time, or when the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
