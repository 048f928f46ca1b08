/** Binary heap of numbers; `pop` gives the lowest. */
export class MinHeap {
  readonly #items: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** Undefined if it is empty. */
  get lowest(): number | undefined {
    return this.#items[0];
  }

  push(item: number): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = items[above] ?? 0;
      if (parent <= item) break;
      items[at] = parent;
      at = above;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const first = this.#items[0];
    const last = this.#items.pop();
    if (last !== undefined && this.#items.length > 0) this.#sink(last);
    return first;
  }

  /** Puts `item` in the place of the first and lets it down to where it belongs. */
  #sink(item: number): void {
    const items = this.#items;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      if (below >= items.length) break;
      const right = items[below + 1];
      if (right !== undefined && right < (items[below] ?? 0)) below++;
      const child = items[below] ?? 0;
      if (child >= item) break;
      items[at] = child;
      at = below;
    }
    items[at] = item;
  }
}
