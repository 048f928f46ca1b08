/** A histogram with fixed buckets, cheap enough for one observation per request or sync. */
export class Histogram {
  readonly bounds: readonly number[];
  /** Number of values in each bucket, not cumulative; the last bucket has no bound. */
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

/** A counter or gauge that is read at scrape time. */
export class Cell {
  value = 0;
}
