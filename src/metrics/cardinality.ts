/** Limits the number of series, because clients can create any number of labels. */
import type { GroupSample, PartitionSample } from "./sources.ts";

/** Number of partitions (and groups on partitions) with their own series; the others are summed. */
export const SERIES_MAX = 1000;
export const OTHER = "other";
/** Partition number of the sample that is the sum of all others. */
const NONE = -1;

/** Collects the largest samples and the sum of all others. */
export class Largest<Sample> {
  readonly #compare: (a: Sample, b: Sample) => number;
  readonly #merge: (rest: Sample | null, each: Sample) => Sample;
  readonly #max: number;
  #kept: Sample[] = [];
  #rest: Sample | null = null;

  /**
   * @param compare as for `sort`, the largest first.
   * @param merge adds a sample to the sum of the others, which is null at first.
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

  /** Returns the largest samples first, then the sum of the others, if there are any. */
  result(): Sample[] {
    this.#cut();
    return this.#rest === null ? this.#kept : [...this.#kept, this.#rest];
  }

  #cut(): void {
    this.#kept.sort(this.#compare);
    for (const each of this.#kept.splice(this.#max)) this.#rest = this.#merge(this.#rest, each);
  }
}

/** Selects by retained bytes. */
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

/** Selects by lag. The sum of the others has their total lag and the largest known age. */
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
