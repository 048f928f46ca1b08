/** Bounds on the number of series: labels come from clients, who may make up as many as they like. */
import type { GroupSample, PartitionSample } from "./sources.ts";

/** Partitions (and groups on partitions) with series of their own; the rest is summed up. */
export const SERIES_MAX = 1000;
export const OTHER = "other";

export type Labelled<Sample, Label extends string> = {
  readonly labels: Readonly<Record<Label, string>>;
  readonly sample: Sample;
};

/** The largest by kept bytes; then one line with the sums of all others. */
export function topPartitions(
  all: readonly PartitionSample[],
  max = SERIES_MAX,
): Labelled<PartitionSample, "topic" | "partition">[] {
  const sorted = [...all].sort((a, b) => b.bytes - a.bytes || b.endOffset - a.endOffset);
  const kept = sorted.slice(0, max).map((sample) => ({
    labels: { topic: sample.topic, partition: String(sample.partition) },
    sample,
  }));
  const rest = sorted.slice(max);
  if (rest.length === 0) return kept;
  const sample = {
    topic: OTHER,
    partition: -1,
    lowWatermark: sumOf(rest, (each) => each.lowWatermark),
    endOffset: sumOf(rest, (each) => each.endOffset),
    bytes: sumOf(rest, (each) => each.bytes),
  };
  return [...kept, { labels: { topic: OTHER, partition: OTHER }, sample }];
}

/** Those that lag most; then one line with the summed lag and the largest age of all others. */
export function topGroups(
  all: readonly GroupSample[],
  max = SERIES_MAX,
): Labelled<GroupSample, "topic" | "group" | "partition">[] {
  const sorted = [...all].sort((a, b) => b.lagRecords - a.lagRecords);
  const kept = sorted.slice(0, max).map((sample) => ({
    labels: { topic: sample.topic, group: sample.group, partition: String(sample.partition) },
    sample,
  }));
  const rest = sorted.slice(max);
  if (rest.length === 0) return kept;
  const sample = {
    topic: OTHER,
    group: OTHER,
    partition: -1,
    lagRecords: sumOf(rest, (each) => each.lagRecords),
    lagSeconds: rest.reduce((most, each) => Math.max(most, each.lagSeconds ?? 0), 0),
  };
  return [...kept, { labels: { topic: OTHER, group: OTHER, partition: OTHER }, sample }];
}

const sumOf = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((sum, item) => sum + of(item), 0);
