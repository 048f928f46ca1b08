/** Repeats work while the page is visible. */

const CALM_MS = 10_000;

/** Longer intervals for users who prefer reduced motion. */
export const intervalMs = (ms: number): number =>
  matchMedia("(prefers-reduced-motion: reduce)").matches ? Math.max(ms, CALM_MS) : ms;

/** Runs at once and again `ms` after each end, until the signal aborts; pauses in a hidden tab. */
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
