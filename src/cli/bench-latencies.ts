/** Latencies in buckets that grow by 1 %: constant memory for any number of them. */

const GROWTH = Math.log(1.01);
/** Upper end of the first bucket; smaller latencies are not distinguished. */
const FLOOR_MS = 0.001;
const BUCKETS = 2500;

export class Latencies {
  readonly #buckets = new Float64Array(BUCKETS);
  count = 0;
  max = 0;

  add(ms: number): void {
    const bucket = ms <= FLOOR_MS ? 0 : Math.ceil(Math.log(ms / FLOOR_MS) / GROWTH);
    const at = Math.min(bucket, BUCKETS - 1);
    this.#buckets[at] = (this.#buckets[at] ?? 0) + 1;
    this.count++;
    if (ms > this.max) this.max = ms;
  }

  /** @returns the upper end of the bucket of this percentile, at most 1 % too high; 0 if empty. */
  percentile(percent: number): number {
    const rank = Math.ceil((this.count * percent) / 100);
    let seen = 0;
    for (const [bucket, count] of this.#buckets.entries()) {
      seen += count;
      if (count > 0 && seen >= rank)
        return Math.min(this.max, FLOOR_MS * Math.exp(bucket * GROWTH));
    }
    return 0;
  }
}
