import type { Histogram } from "./histogram.ts";

const PROBE_INTERVAL_MS = 50;

/**
 * Measures how late the event loop runs a timer, until the returned function is called. It does
 * not keep the process alive.
 */
export function startLoopLagProbe(lagSeconds: Histogram): () => void {
  let due = performance.now() + PROBE_INTERVAL_MS;
  const timer = setInterval(() => {
    const now = performance.now();
    lagSeconds.observe(Math.max(0, now - due) / 1000);
    due = now + PROBE_INTERVAL_MS;
  }, PROBE_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}
