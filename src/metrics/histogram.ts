/** Fixed buckets over plain numbers: cheap enough to be observed once per request or per sync. */
export class Histogram {
  readonly bounds: readonly number[];
  /** How many values fell into each bucket; the last one has no bound. Not cumulative. */
  readonly counts: number[];
  sum = 0;
  count = 0;

  /** @param bounds upper bounds, ascending, in the unit of the metric's name. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    counts[bucket] = (counts[bucket] as number) + 1;
    this.sum += value;
    this.count++;
  }
}

/** A number that goes up, or up and down; read at scrape time. */
export class Cell {
  value = 0;
}
