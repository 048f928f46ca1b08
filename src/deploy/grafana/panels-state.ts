/** Panels of the collections of the replicated state, which lie in memory on every node. */
import { type Panel, query, rate } from "./panel.ts";

/** Every node has the same state; during an upgrade or while one lags, the largest value counts. */
const most = (metric: string): string => `max(${metric}{})`;
/** Used part of a bound; nothing where there is no bound. */
const used = (metric: string): string => `max(${metric}{} / (${metric}_limit{} > 0))`;

/** A size of the state, and the limit that its metric has by the same name. */
const againstLimit = (name: string, metric: string, unit: Panel["unit"]) => ({
  kind: "lines" as const,
  unit,
  queries: [query(name, most(metric)), query("limit", most(`${metric}_limit`))],
});

export const STATE: readonly Panel[] = [
  {
    title: "Used part of the bounds",
    about:
      "Partitions, consumer groups and their members, KV namespaces, keys and values, idempotency keys, producers, durable streams, subscriptions and webhooks, each against its limit. At 1 the next one is refused; of idempotency keys and producers, the oldest are forgotten early.",
    kind: "lines",
    unit: "percentunit",
    queries: [
      query("partitions", used("ayder_partitions")),
      query("groups", used("ayder_groups")),
      query("members", used("ayder_group_members")),
      query("committed offsets", used("ayder_committed_offsets")),
      query("KV namespaces", used("ayder_kv_namespaces")),
      query("KV memory", used("ayder_kv_memory_bytes")),
      query("idempotency keys", used("ayder_idempotency_keys")),
      query("producers", used("ayder_producers")),
      query("streams", used("ayder_streams")),
      query("subscriptions", used("ayder_subscriptions")),
      query("webhooks", used("ayder_webhooks")),
    ],
  },
  {
    title: "Consumer groups",
    about: "Groups that have committed offsets. `ayder groups delete` removes one.",
    ...againstLimit("groups", "ayder_groups", "none"),
  },
  {
    title: "Members of groups",
    about: "Members that share partitions. One that stops ends with its lease.",
    ...againstLimit("members", "ayder_group_members", "none"),
  },
  {
    title: "Things that fall due",
    about: "Keys, idempotency keys, leases, streams and producers that end at some time.",
    kind: "lines",
    unit: "short",
    queries: [query("things", most("ayder_due_things"))],
  },
  {
    title: "Next thing that falls due",
    about: "Time until the first of them ends, and for how long it has been due.",
    kind: "lines",
    unit: "s",
    queries: [
      query("in", most("ayder_due_next_seconds")),
      query("late by", most("ayder_due_lateness_seconds")),
    ],
  },
  {
    title: "Committed offsets",
    about: "Offsets that groups have committed, one for each group and partition.",
    ...againstLimit("offsets", "ayder_committed_offsets", "short"),
  },
  {
    title: "KV namespaces",
    about:
      "Namespaces that were ever used: one outlives its keys, so that no revision is used twice.",
    ...againstLimit("namespaces", "ayder_kv_namespaces", "none"),
  },
  {
    title: "Idempotency keys",
    about:
      "Keys of all partitions, and how many each partition keeps at most at present. That is lower than its setting while there are too many in all.",
    kind: "lines",
    unit: "short",
    queries: [
      query("keys", most("ayder_idempotency_keys")),
      query("limit", most("ayder_idempotency_keys_limit")),
      query("per partition at most", most("ayder_idempotency_keys_per_partition_limit")),
    ],
  },
  {
    title: "Producers",
    about:
      "Idempotent producers of the last 7 days, one for each producer and partition that it wrote to.",
    ...againstLimit("producers", "ayder_producers", "short"),
  },
  {
    title: "Keys and producers forgotten early",
    about:
      "Idempotency keys and producers per second that were forgotten for want of room. A repetition that comes after that may be stored a second time: raise RF_MAX_IDEMPOTENCY_KEYS or RF_MAX_PRODUCERS, or shorten RF_IDEMPOTENCY_WINDOW_MS.",
    kind: "lines",
    unit: "cps",
    queries: [
      query("keys, {{instance}}", rate("ayder_idempotency_keys_forgotten_early_total{}")),
      query("producers, {{instance}}", rate("ayder_producers_forgotten_early_total{}")),
    ],
  },
  {
    title: "Durable streams",
    about: "Streams at /v1/stream, with deleted ones that forks still need.",
    ...againstLimit("streams", "ayder_streams", "short"),
  },
  {
    title: "Subscriptions",
    about: "Subscriptions to durable streams.",
    ...againstLimit("subscriptions", "ayder_subscriptions", "none"),
  },
  {
    title: "Webhooks",
    about: "Webhooks that deliver the records of topics. `ayder webhooks delete` removes one.",
    ...againstLimit("webhooks", "ayder_webhooks", "none"),
  },
  {
    title: "Calls of webhooks",
    about:
      "Calls per second of the webhooks of subscriptions. Failed ones are repeated, up to once a minute for each subscription.",
    kind: "lines",
    unit: "cps",
    queries: [
      query("answered, {{instance}}", rate("ayder_subscription_calls_total{}")),
      query("failed, {{instance}}", rate("ayder_subscription_calls_failed_total{}")),
    ],
  },
];
