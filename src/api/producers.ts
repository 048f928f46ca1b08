/** Producers that number their writes. */
import { Type as t } from "@sinclair/typebox";
import { natural, ok, partition, topic, type Wire } from "./common.ts";

const id = t.String({ description: "Producer-Id, 1 to 128 bytes" });

export const PRODUCERS_QUERY = t.Object({
  partition: t.Optional(natural("Only this partition")),
  id: t.Optional(id),
  limit: t.Optional(natural("Default 100; at most 1000", { minimum: 1, maximum: 1000 })),
});
export const PRODUCER = t.Object({
  id,
  partition,
  epoch: natural("Producer-Epoch of the last write"),
  seq: natural("Producer-Seq of the last write"),
  offset: natural("Offset of the first record of the last write"),
  count: natural("Records of the last write"),
  last_write_ms: natural("Time of the last write, in milliseconds since 1970"),
});
export type ProducerEntry = Wire<typeof PRODUCER>;
export const PRODUCER_LIST = t.Object({
  ok,
  topic,
  total: natural("Producers of the topic, counted in each partition that they write to"),
  producers: t.Array(PRODUCER, { description: "The last write first" }),
});
export type ProducerList = Wire<typeof PRODUCER_LIST>;

export const FORGET_PRODUCER_QUERY = t.Object({
  id: t.Optional(t.String({ description: "Required: Producer-Id" })),
});
export const PRODUCER_FORGOTTEN = t.Object({
  ok,
  topic,
  id,
  partitions: natural("Partitions in which the producer was known"),
});
export type ProducerForgotten = Wire<typeof PRODUCER_FORGOTTEN>;
