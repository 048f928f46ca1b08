import type { Clock } from "../../env/clock.ts";

const CHECK_EVERY_MS = 50;

/** A queue of waiting requests. */
type Waits = {
  /** Ends the waits that began before `beforeUs` of the monotonic clock. */
  expire(beforeUs: number): void;
};

/**
 * Starts the timer for the deadline of the server. It is the same for every request, so one timer
 * serves all of them.
 *
 * @returns a function that stops the timer.
 */
export function startDeadlines(
  clock: Clock,
  timeoutMs: number,
  waits: readonly Waits[],
): () => void {
  let cancel: () => void;
  const check = () => {
    const beforeUs = clock.monotonic() - timeoutMs * 1000;
    for (const each of waits) each.expire(beforeUs);
    cancel = clock.after(CHECK_EVERY_MS, check);
  };
  cancel = clock.after(CHECK_EVERY_MS, check);
  return () => cancel();
}
