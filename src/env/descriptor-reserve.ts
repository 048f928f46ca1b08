import * as fs from "node:fs";

/** Any file that always exists and costs nothing to hold. */
const PLACEHOLDER = "/dev/null";

/**
 * Descriptors that are held open, so that a file can still be opened when connections have taken
 * all others. A caller closes one and opens its file in the same turn of the event loop, so that no
 * connection is accepted in between.
 */
export class DescriptorReserve {
  readonly #size: number;
  readonly #held: number[] = [];

  /** @param size descriptors to hold; 0: none, as where files are only read. */
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

  /** Takes descriptors back, as far as there are any. */
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

/** For a disk that needs no reserve. */
export const NO_RESERVE = new DescriptorReserve(0);
