/** The rings of a port between two threads. */
import { RingReader, RingWriter, ringMemory } from "../lib/ring.ts";
import { CALLS_RING_BYTES, OUTCOMES_RING_BYTES, type RingEnds } from "../node/port/ring-link.ts";

/** Passed to the other thread by reference. */
export type RingMemory = {
  readonly calls: SharedArrayBuffer;
  readonly outcomes: SharedArrayBuffer;
};

export const newRingMemory = (): RingMemory => ({
  calls: ringMemory(CALLS_RING_BYTES),
  outcomes: ringMemory(OUTCOMES_RING_BYTES),
});

type Rest = Pick<RingEnds, "wake" | "fault">;

/** The ends of the thread that calls. */
export const callingEnds = ({ calls, outcomes }: RingMemory, rest: Rest): RingEnds => ({
  out: new RingWriter(calls),
  in: new RingReader(outcomes),
  ...rest,
});

/** The ends of the thread that answers. */
export const answeringEnds = ({ calls, outcomes }: RingMemory, rest: Rest): RingEnds => ({
  out: new RingWriter(outcomes),
  in: new RingReader(calls),
  ...rest,
});
