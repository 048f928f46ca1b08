/** Bounds on the number of series: labels come from clients, who may make up as many as they like. */
import type { GroupSample, PartitionSample } from "./sources.ts";

/** Partitions (and groups on partitions) with series of their own; the rest is summed up. */
export const SERIES_MAX = 1000;
export const OTHER = "other";
/** Instead of a partition, in the sample that stands for all others. */
const NONE = -1;

/** Keeps the largest samples and the sum of all others, while they are added one by one. */
export class Largest<Sample> {
  readonly #compare: (a: Sample, b: Sample) => number;
  readonly #merge: (rest: Sample | null, each: Sample) => Sample;
  readonly #max: number;
  #kept: Sample[] = [];
  #rest: Sample | null = null;

  /**
   * @param compare as for `sort`, the largest first.
   * @param merge adds a sample to the one that stands for the rest; null: it is the first.
   */
  constructor(
    compare: (a: Sample, b: Sample) => number,
    merge: (rest: Sample | null, each: Sample) => Sample,
    max: number,
  ) {
    this.#compare = compare;
    this.#merge = merge;
    this.#max = max;
  }

  add(sample: Sample): void {
    this.#kept.push(sample);
    if (this.#kept.length >= 2 * this.#max) this.#cut();
  }

  /** The largest first, then the one that stands for the rest, if there is any. */
  result(): Sample[] {
    this.#cut();
    return this.#rest === null ? this.#kept : [...this.#kept, this.#rest];
  }

  #cut(): void {
    this.#kept.sort(this.#compare);
    for (const each of this.#kept.splice(this.#max)) this.#rest = this.#merge(this.#rest, each);
  }
}

/** By kept bytes; the rest has the sums of all others. */
export const largestPartitions = (max = SERIES_MAX): Largest<PartitionSample> =>
  new Largest(
    (a, b) => b.bytes - a.bytes || b.endOffset - a.endOffset,
    (rest, each) => ({
      topic: OTHER,
      partition: NONE,
      lowWatermark: (rest?.lowWatermark ?? 0) + each.lowWatermark,
      endOffset: (rest?.endOffset ?? 0) + each.endOffset,
      bytes: (rest?.bytes ?? 0) + each.bytes,
    }),
    max,
  );

/** By lag; the rest has the summed lag and the largest age that is known of all others. */
export const largestGroups = <Sample extends GroupSample>(max = SERIES_MAX): Largest<Sample> =>
  new Largest(
    (a, b) => b.lagRecords - a.lagRecords,
    (rest, each) => ({
      ...each,
      topic: OTHER,
      group: OTHER,
      partition: NONE,
      lagRecords: (rest?.lagRecords ?? 0) + each.lagRecords,
      lagSeconds:
        rest === null || rest.lagSeconds === null || each.lagSeconds === null
          ? (rest?.lagSeconds ?? each.lagSeconds)
          : Math.max(rest.lagSeconds, each.lagSeconds),
    }),
    max,
  );

/** The label of a partition. */
export const partitionLabel = (partition: number): string =>
  partition === NONE ? OTHER : String(partition);
