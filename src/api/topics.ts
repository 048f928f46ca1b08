/** Topics and their partitions. */
import { Type as t } from "@sinclair/typebox";
import { committedOffset, group, natural, ok, partition, topic, type Wire } from "./common.ts";

/** @param partitionsMax of one topic. */
export const createTopicBody = (partitionsMax: number) =>
  t.Object({
    name: topic,
    partitions: t.Optional(natural("Default 8", { minimum: 1, maximum: partitionsMax })),
  });
export const TOPIC_CREATED = t.Object({ ok, topic, partitions: natural("Number of partitions") });
export type TopicCreated = Wire<typeof TOPIC_CREATED>;
const TOPIC_SUMMARY = t.Object({
  topic,
  partitions: natural("Number of partitions"),
  messages: natural("Records kept"),
  bytes: natural("Keys and values kept"),
});
export type TopicSummary = Wire<typeof TOPIC_SUMMARY>;
export const TOPIC_LIST_QUERY = t.Object({
  prefix: t.Optional(t.String({ description: "Only topics that begin with it" })),
  after: t.Optional(t.String({ description: "`next` of the page before" })),
  limit: t.Optional(natural("At most 1000; absent: all topics", { minimum: 1 })),
});
export const TOPIC_LIST = t.Object({
  ok,
  topics: t.Array(TOPIC_SUMMARY, { description: "By name" }),
  next: t.Optional(
    t.Union([t.String(), t.Null()], {
      description: "With limit: `after` of the next page; null at the end",
    }),
  ),
});
export type TopicList = Wire<typeof TOPIC_LIST>;
const PARTITION = t.Object({
  partition,
  low_watermark: natural("First kept offset"),
  end_offset: natural("Offset that the next record gets"),
  bytes: natural("Keys and values kept"),
});
export type Partition = Wire<typeof PARTITION>;
const GROUP_LAG = t.Object({
  group,
  partition,
  committed_offset: committedOffset("The next offset this group reads"),
  lag: natural("Records behind the end"),
});
export type GroupLag = Wire<typeof GROUP_LAG>;
export const TOPIC_DESCRIBED = t.Object({
  ok,
  topic,
  partitions: t.Array(PARTITION),
  groups: t.Array(GROUP_LAG),
});
export type TopicDescribed = Wire<typeof TOPIC_DESCRIBED>;
export const TOPIC_DELETED = t.Object({ ok, topic, deleted: ok });
export type TopicDeleted = Wire<typeof TOPIC_DELETED>;
export const OFFSETS_QUERY = t.Object({
  time_ms: natural("Required: milliseconds since 1970"),
});
export const OFFSETS_AT = t.Object({
  ok,
  topic,
  offsets: t.Array(
    t.Object({
      partition,
      offset: natural("First record that is not older; the end if all are"),
      timestamp_ms: t.Union([natural("Time of that record; null at the end"), t.Null()]),
    }),
  ),
});
export type OffsetsAt = Wire<typeof OFFSETS_AT>;
