import type { ByteCursor } from "../../lib/byte-cursor.ts";
import type { RingReader, RingWriter } from "../../lib/ring.ts";

/** A longer call or outcome goes by message, where its bytes are transferred. */
const ENTRY_BYTES_MAX = 16 * 1024;
/** The rings of a port, by the direction of their entries: calls and outcomes. */
export const CALLS_RING_BYTES = 4 * 1024 * 1024;
export const OUTCOMES_RING_BYTES = 1024 * 1024;

/** The two rings of a port as one of its threads has them. */
export type RingEnds = {
  readonly out: RingWriter;
  readonly in: RingReader;
  /** Calls `woken` of the other thread, which sleeps. */
  readonly wake: () => void;
  /** Ends the process: an entry cannot be read. */
  readonly fault: (error: unknown) => void;
};

/**
 * Frequent calls and outcomes in shared memory. A thread is woken only if it sleeps, which costs as
 * much as sixty entries, and it looks once more in the next event-loop iteration before it sleeps.
 */
export class RingLink {
  readonly #ends: RingEnds;
  readonly #defer: (run: () => void) => void;
  readonly #take: (entry: ByteCursor) => void;
  #wakes = false;
  #isBroken = false;

  /** @param take reads one entry. An entry that it cannot read ends the process. */
  constructor(ends: RingEnds, defer: (run: () => void) => void, take: (entry: ByteCursor) => void) {
    this.#ends = ends;
    this.#defer = defer;
    this.#take = take;
    this.woken();
  }

  /**
   * Returns where to write an entry of at most `bytes`. `publish` must follow in the same
   * event-loop iteration.
   *
   * @returns `long` if it has to go by message, `full` if the other thread has not read enough yet.
   */
  reserve(bytes: number): ByteCursor | "long" | "full" {
    if (bytes > ENTRY_BYTES_MAX) return "long";
    return this.#ends.out.reserve(bytes) ?? "full";
  }

  publish(): void {
    this.#ends.out.publish();
    if (this.#wakes) return;
    this.#wakes = true;
    this.#defer(() => {
      this.#wakes = false;
      if (this.#ends.out.takeSleeper()) this.#ends.wake();
    });
  }

  /** Takes what has arrived so far, as what was sent before a message must be seen before it. */
  drain(): number {
    try {
      return this.#ends.in.drain(this.#take);
    } catch (error) {
      this.#isBroken = true;
      this.#ends.fault(error);
      return 0;
    }
  }

  /** Looks until nothing arrives any more. */
  readonly woken = (): void => {
    if (this.#isBroken) return;
    if (this.drain() > 0 || !this.#ends.in.sleep()) this.#defer(this.woken);
  };
}
