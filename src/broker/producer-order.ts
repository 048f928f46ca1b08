const CAPACITY_MIN = 64;
const NONE = 0;

/**
 * Slots of a table in the order of their last use: a doubly linked list in two arrays, so that moving
 * a slot to the end costs the same however many there are. A link is a slot plus one; 0 ends the list.
 */
export class UseOrder {
  #older = new Uint32Array(CAPACITY_MIN);
  #newer = new Uint32Array(CAPACITY_MIN);
  #oldest = NONE;
  #newest = NONE;

  /** The slot that was not used for the longest time, or -1. */
  get oldest(): number {
    return this.#oldest - 1;
  }

  /** The slot that was used after this one, or -1. */
  after(slot: number): number {
    return (this.#newer[slot] as number) - 1;
  }

  /** The slot that was used last, or -1. */
  get newest(): number {
    return this.#newest - 1;
  }

  /** The slot that was used before this one, or -1. */
  before(slot: number): number {
    return (this.#older[slot] as number) - 1;
  }

  /** Adds a slot that is not in the list. */
  push(slot: number): void {
    if (slot >= this.#older.length) this.#grow(slot);
    this.#older[slot] = this.#newest;
    this.#newer[slot] = NONE;
    if (this.#newest === NONE) this.#oldest = slot + 1;
    else this.#newer[this.#newest - 1] = slot + 1;
    this.#newest = slot + 1;
  }

  remove(slot: number): void {
    const older = this.#older[slot] as number;
    const newer = this.#newer[slot] as number;
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older - 1] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer - 1] = older;
  }

  /** @returns all slots, oldest first. */
  slots(size: number): Uint32Array {
    const list = new Uint32Array(size);
    let link = this.#oldest;
    for (let i = 0; i < size; i++) {
      list[i] = link - 1;
      link = this.#newer[link - 1] as number;
    }
    return list;
  }

  #grow(slot: number): void {
    const length = Math.max(slot + 1, this.#older.length * 2);
    this.#older = grown(this.#older, length);
    this.#newer = grown(this.#newer, length);
  }
}

function grown(from: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const to = new Uint32Array(length);
  to.set(from);
  return to;
}
