/** Counts concurrent work up to a limit. Waiting work gets a slot in the order of its arrival. */
export class SlotQueue {
  readonly max: number;
  #used = 0;
  readonly #waiting = new Set<() => void>();

  constructor(max: number) {
    this.max = max;
  }

  get used(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Takes a slot if one is free. */
  tryTake(): boolean {
    if (this.#used >= this.max) return false;
    this.#used++;
    return true;
  }

  /**
   * Calls `taken` when a slot is handed over.
   *
   * @returns a function that gives up the place in the queue.
   */
  wait(taken: () => void): () => void {
    const waiting = () => taken();
    this.#waiting.add(waiting);
    return () => this.#waiting.delete(waiting);
  }

  /** Hands the slot to the work that has waited longest. */
  give(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#used--;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
