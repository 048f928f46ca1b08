/** Shares the event loop between requests and the encoding of large bodies. */
import { runSteps, type Steps } from "../lib/steps.ts";

/** Smaller bodies take a few milliseconds at most, and are not worth a wait. */
const SLICED_FROM_BYTES = 64 * 1024;
/** The longest time that a body delays other requests, if none of its steps takes longer. */
const SLICE_MS = 4;

const waiting: (() => void)[] = [];

/** Resolves in an event-loop iteration in which no other body is encoded. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) setImmediate(begin);
  });
}

function begin(): void {
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(begin);
}

async function inSlices<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    await turn();
    const endsAt = performance.now() + SLICE_MS;
    do {
      const step = steps.next();
      if (step.done === true) return step.value;
    } while (performance.now() < endsAt);
  }
}

/** Runs the steps of a small body at once, and those of a large one in slices. */
export const encodeBody = <T>({ length }: Uint8Array, steps: Steps<T>): T | Promise<T> =>
  length < SLICED_FROM_BYTES ? runSteps(steps) : inSlices(steps);
