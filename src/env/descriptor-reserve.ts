import * as fs from "node:fs";

/** A file that always exists and needs few resources while it is open. */
const PLACEHOLDER = "/dev/null";

/**
 * Descriptors that are held open, so that a file can still be opened when connections use all
 * others. A caller closes one and opens its file in the same event-loop iteration, so that no
 * connection is accepted in between.
 */
export class DescriptorReserve {
  readonly #size: number;
  readonly #held: number[] = [];

  /** @param size number of descriptors to hold. 0: none, for a disk that only reads. */
  constructor(size: number) {
    this.#size = size;
    this.refill();
  }

  get held(): number {
    return this.#held.length;
  }

  /** Frees one descriptor for the caller. @returns false if the reserve is used up. */
  lend(): boolean {
    const descriptor = this.#held.pop();
    if (descriptor === undefined) return false;
    fs.closeSync(descriptor);
    return true;
  }

  /** Refills the reserve with as many descriptors as are available. */
  refill(): void {
    while (this.#held.length < this.#size) {
      try {
        this.#held.push(fs.openSync(PLACEHOLDER, "r"));
      } catch {
        return;
      }
    }
  }

  release(): void {
    while (this.lend());
  }
}

/** The reserve of a disk that does not need one. */
export const NO_RESERVE = new DescriptorReserve(0);
