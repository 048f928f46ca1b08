/** A left and a right record, by index, `distance` milliseconds apart. */
export type Pair = { readonly distance: number; readonly left: number; readonly right: number };

/** The order in which pairs are taken: by distance, then left offset, then right offset. */
function isBefore(a: Pair, b: Pair): boolean {
  if (a.distance !== b.distance) return a.distance < b.distance;
  return a.left === b.left ? a.right < b.right : a.left < b.left;
}

/** Binary heap of pairs; `pop` gives the next to be taken. */
export class PairHeap {
  readonly #pairs: Pair[] = [];
  /** Comparisons so far. */
  operations = 0;

  get size(): number {
    return this.#pairs.length;
  }

  push(pair: Pair): void {
    const pairs = this.#pairs;
    let at = pairs.push(pair) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = pairs[above];
      this.operations++;
      if (parent === undefined || !isBefore(pair, parent)) break;
      pairs[at] = parent;
      at = above;
    }
    pairs[at] = pair;
  }

  pop(): Pair | undefined {
    const first = this.#pairs[0];
    const last = this.#pairs.pop();
    if (last !== undefined && this.#pairs.length > 0) this.#sink(last);
    return first;
  }

  /** Puts `pair` in the place of the first and lets it down to where it belongs. */
  #sink(pair: Pair): void {
    const pairs = this.#pairs;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      const leftChild = pairs[below];
      if (leftChild === undefined) break;
      const rightChild = pairs[below + 1];
      let child = leftChild;
      if (rightChild !== undefined && isBefore(rightChild, leftChild)) {
        child = rightChild;
        below++;
      }
      this.operations += 2;
      if (!isBefore(child, pair)) break;
      pairs[at] = child;
      at = below;
    }
    pairs[at] = pair;
  }
}
