/** An amount that goes up and down. */
export interface Gauge {
  readonly value: number;
  add(amount: number): void;
}

export class LocalGauge implements Gauge {
  value = 0;

  add(amount: number): void {
    this.value += amount;
  }
}

/** Numbers of one thread lie this far from those of the next, so that they share no cache line. */
const STRIDE = 8;

/**
 * An amount of several threads. Each adds to a number of its own in shared memory and reads the sum of
 * all, without a lock. Two threads that look at the same time may both go over a limit by one request.
 */
export class SharedGauge implements Gauge {
  readonly #cells: Float64Array;
  readonly #own: number;

  /** @param own number of this thread, from 0. */
  constructor(memory: SharedArrayBuffer, own: number) {
    this.#cells = new Float64Array(memory);
    this.#own = own * STRIDE;
  }

  static memory(threads: number): SharedArrayBuffer {
    return new SharedArrayBuffer(threads * STRIDE * Float64Array.BYTES_PER_ELEMENT);
  }

  get value(): number {
    let sum = 0;
    for (let at = 0; at < this.#cells.length; at += STRIDE) sum += this.#cells[at] as number;
    return sum;
  }

  add(amount: number): void {
    this.#cells[this.#own] = (this.#cells[this.#own] as number) + amount;
  }
}
