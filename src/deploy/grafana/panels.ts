/** The rows of the dashboard with their panels and queries. `dashboard.ts` draws them. */

import { type Panel, type Query, query, rate } from "./panel.ts";
import { FORWARDING } from "./panels-forwarding.ts";
import { RESOURCES } from "./panels-resources.ts";
import { STATE } from "./panels-state.ts";
import { WORK } from "./panels-work.ts";

export type Row = { readonly title: string; readonly panels: readonly Panel[] };

const quantile = (q: number, histogram: string, labels = ""): string =>
  `histogram_quantile(${q}, sum by (le${labels}) (${rate(`${histogram}_bucket{}`)}))`;
const ofRoute = (route: string) => (expression: string) =>
  expression.replace("{}", `{route=~"${route}",}`);
const percentiles = (histogram: string, of = (expression: string) => expression): Query[] =>
  [
    ["p50", 0.5],
    ["p90", 0.9],
    ["p99", 0.99],
    ["p99.9", 0.999],
  ].map(([legend, q]) => query(String(legend), of(quantile(Number(q), histogram))));

/** Counts groups and partitions once, because every node reports them. */
const once = (metric: string, ...labels: string[]): string =>
  `max by (${labels.join(", ")}) (${metric}{})`;

const PRODUCE = "POST /broker/topics/:topic/produce.*";
const CONSUME = "GET /broker/consume/.*";
const REQUEST_SECONDS = "ayder_http_request_seconds";

const AT_A_GLANCE: readonly Panel[] = [
  {
    title: "Messages in",
    about: "Messages per second acknowledged to producers, sum of all nodes.",
    kind: "stat",
    unit: "cps",
    queries: [query("in", `sum(${rate("ayder_produced_records_total{}")})`)],
  },
  {
    title: "Produce p99",
    about: "99 of 100 produce requests were answered within this time.",
    kind: "stat",
    unit: "s",
    limits: { warn: 0.05, bad: 0.5 },
    queries: [query("p99", ofRoute(PRODUCE)(quantile(0.99, REQUEST_SECONDS)))],
  },
  {
    title: "Ready nodes",
    about: "Nodes that have recovered, have caught up and know a leader.",
    kind: "stat",
    unit: "none",
    limits: { warn: 1, bad: 0 },
    queries: [query("ready", "sum(ramforge_ha_state{})")],
  },
  {
    title: "Leader",
    about: "The leader, as the nodes see it. Two names for more than a moment need attention.",
    kind: "stat",
    unit: "none",
    named: true,
    queries: [query("{{node_id}}", 'max by (node_id) (ayder_ha_node_info{leader="1",})')],
  },
  {
    title: "Largest lag",
    about: "Messages that the slowest group has not committed on its slowest partition.",
    kind: "stat",
    unit: "short",
    queries: [query("lag", "max(ayder_group_lag_records{})")],
  },
  {
    title: "Disk free",
    about: "Free share of the fullest data disk. Produce is refused when it is full.",
    kind: "stat",
    unit: "percentunit",
    limits: { warn: 0.2, bad: 0.1 },
    queries: [query("free", "min(ayder_disk_free_bytes{} / ayder_disk_size_bytes{})")],
  },
];

const TRAFFIC: readonly Panel[] = [
  {
    title: "Messages",
    about: "Messages per second received from producers and sent to consumers, by node.",
    kind: "lines",
    unit: "cps",
    queries: [
      query("in {{instance}}", `sum by (instance) (${rate("ayder_produced_records_total{}")})`),
      query("out {{instance}}", `sum by (instance) (${rate("ayder_consumed_records_total{}")})`),
    ],
  },
  {
    title: "Bytes",
    about: "Keys and values per second, in and out, by node.",
    kind: "lines",
    unit: "Bps",
    queries: [
      query("in {{instance}}", `sum by (instance) (${rate("ayder_produced_bytes_total{}")})`),
      query("out {{instance}}", `sum by (instance) (${rate("ayder_consumed_bytes_total{}")})`),
    ],
  },
  {
    title: "Requests by route",
    about: "Requests per second that were answered, by route.",
    kind: "lines",
    unit: "reqps",
    queries: [query("{{route}}", `sum by (route) (${rate("ayder_http_requests_total{}")})`)],
  },
  {
    title: "Answers by status",
    about: "5xx are errors of the server, 4xx of the client; 3xx are redirects to the leader.",
    kind: "lines",
    unit: "reqps",
    queries: [query("{{status}}", `sum by (status) (${rate("ayder_http_requests_total{}")})`)],
  },
  {
    title: "Refused",
    about: "Requests per second refused before any work: tokens, limits, full queues.",
    kind: "lines",
    unit: "reqps",
    queries: [
      query("no token", `sum(${rate("ayder_auth_failures_total{}")})`),
      query("forbidden", `sum(${rate("ayder_auth_forbidden_total{}")})`),
      query("over its rate", `sum(${rate("ayder_auth_rate_limited_total{}")})`),
      query("overloaded", `sum(${rate("ayder_http_overload_rejects_total{}")})`),
    ],
  },
  {
    title: "Under way",
    about: "Requests in progress and open follow streams, by node.",
    kind: "lines",
    unit: "short",
    queries: [
      query("requests {{instance}}", "ayder_http_requests_in_flight{}"),
      query("followers {{instance}}", "ayder_http_follow_streams{}"),
    ],
  },
];

const LATENCY: readonly Panel[] = [
  {
    title: "Produce",
    about: "From the request's head to its answer. Sealed answers include one shared fsync.",
    kind: "lines",
    unit: "s",
    queries: percentiles(REQUEST_SECONDS, ofRoute(PRODUCE)),
  },
  {
    title: "Consume",
    about: "Pages. Requests with wait_ms include their waiting time.",
    kind: "lines",
    unit: "s",
    queries: percentiles(REQUEST_SECONDS, ofRoute(CONSUME)),
  },
  {
    title: "p99 by route",
    about: "The slowest hundredth of each route.",
    kind: "lines",
    unit: "s",
    queries: [query("{{route}}", quantile(0.99, REQUEST_SECONDS, ", route"))],
  },
  {
    title: "Produce, distribution",
    about: "Distribution of request durations. Two bands mean two kinds of requests.",
    kind: "heatmap",
    unit: "s",
    queries: [
      query("{{le}}", ofRoute(PRODUCE)(`sum by (le) (${rate(`${REQUEST_SECONDS}_bucket{}`)})`)),
    ],
  },
];

const LOG: readonly Panel[] = [
  {
    title: "Fsync",
    about: "One write and fdatasync of the journal. All other latencies include it.",
    kind: "lines",
    unit: "s",
    queries: percentiles("ayder_journal_fsync_seconds"),
  },
  {
    title: "Commit",
    about: "From accepting a write to its commit by a majority, on the leader.",
    kind: "lines",
    unit: "s",
    queries: percentiles("ayder_commit_wait_seconds"),
  },
  {
    title: "Records per sync",
    about: "Batch size. It grows with the load and with the latency of the disk.",
    kind: "lines",
    unit: "short",
    queries: percentiles("ayder_journal_batch_records"),
  },
  {
    title: "Bytes per sync",
    about: "Batch size in bytes.",
    kind: "lines",
    unit: "bytes",
    queries: percentiles("ayder_journal_batch_bytes"),
  },
  {
    title: "Syncs",
    about:
      "Journal syncs per second, by node, and writes that shared one because they had to wait.",
    kind: "lines",
    unit: "ops",
    queries: [
      query("{{instance}}", `sum by (instance) (${rate("ayder_journal_fsync_seconds_count{}")})`),
      query("merged {{instance}}", rate("ayder_journal_merged_writes_total{}")),
    ],
  },
  {
    title: "Waiting",
    about: "Uncommitted proposals, and requests waiting for their write concern.",
    kind: "lines",
    unit: "short",
    queries: [
      query("proposals {{instance}}", "ayder_node_proposals_in_flight{}"),
      query("requests {{instance}}", "ayder_node_waiters{}"),
    ],
  },
  {
    title: "Journal",
    about:
      "Bytes of all journal segments, and of those that a leader retains only for lagging followers.",
    kind: "lines",
    unit: "bytes",
    queries: [
      query("{{instance}}", "ayder_journal_size_bytes{}"),
      query("for followers {{instance}}", "ayder_journal_kept_bytes{}"),
    ],
  },
  {
    title: "Checkpoints",
    about: "Share of time spent on writing checkpoints. They do not block answers.",
    kind: "lines",
    unit: "percentunit",
    queries: [
      query("{{instance}}", `sum by (instance) (${rate("ayder_checkpoint_write_seconds_sum{}")})`),
    ],
  },
];

const CONSUMERS: readonly Panel[] = [
  {
    title: "Lag in messages",
    about: "Messages that a group has not committed, sum of all partitions of a topic.",
    kind: "lines",
    unit: "short",
    queries: [
      query(
        "{{group}} on {{topic}}",
        `sum by (topic, group) (${once("ayder_group_lag_records", "topic", "group", "partition")})`,
      ),
    ],
  },
  {
    title: "Lag in time",
    about: "Age of the oldest message that a group has not committed.",
    kind: "lines",
    unit: "s",
    queries: [query("{{group}} on {{topic}}", once("ayder_group_lag_seconds", "topic", "group"))],
  },
  {
    title: "Growth of topics",
    about: "Messages per second by topic, the ten fastest.",
    kind: "lines",
    unit: "cps",
    queries: [
      query(
        "{{topic}}",
        "topk(10, sum by (topic) (max by (topic, partition) " +
          `(${rate("ayder_topic_end_offset{}")})))`,
      ),
    ],
  },
  {
    title: "Size of topics",
    about: "Bytes of retained keys and values, the ten largest topics.",
    kind: "lines",
    unit: "bytes",
    queries: [
      query(
        "{{topic}}",
        `topk(10, sum by (topic) (${once("ayder_topic_size_bytes", "topic", "partition")}))`,
      ),
    ],
  },
  {
    title: "Kept messages",
    about: "From the first retained offset to the end, the ten largest topics.",
    kind: "lines",
    unit: "short",
    queries: [
      query(
        "{{topic}}",
        "topk(10, sum by (topic) (max by (topic, partition) " +
          "(ayder_topic_end_offset{} - ayder_topic_low_watermark_offset{})))",
      ),
    ],
  },
  ...WORK,
  {
    title: "Lag of views",
    about: "Messages that views have not read yet, and groups evicted from them.",
    kind: "lines",
    unit: "short",
    queries: [
      query("{{view}} {{instance}}", "ayder_view_lag_records{}"),
      query("{{view}} evicted", "max by (view) (ayder_view_evicted_groups{})"),
    ],
  },
  {
    title: "Room in views",
    about: "Used part of the room of each view. When it is full, the oldest windows are evicted.",
    kind: "lines",
    unit: "percentunit",
    queries: [query("{{view}}", "max by (view) (ayder_view_fill_ratio{})")],
  },
];

const CLUSTER: readonly Panel[] = [
  {
    title: "Roles",
    about:
      "Role of each node. There is one leader; a candidate for longer than a second needs attention.",
    kind: "states",
    unit: "none",
    queries: [query("{{instance}}", "ramforge_ha_role{}")],
  },
  {
    title: "Ready and with quorum",
    about: "1 is good. Not ready: recovering, lagging, or no known leader.",
    kind: "lines",
    unit: "none",
    queries: [
      query("ready {{instance}}", "ramforge_ha_state{}"),
      query("quorum {{instance}}", "ramforge_ha_fresh_quorum{}"),
    ],
  },
  {
    title: "Term and elections",
    about:
      "The term rises with each election. Elections without a known reason point to network or disk.",
    kind: "lines",
    unit: "none",
    queries: [
      query("term {{instance}}", "ramforge_ha_term{}"),
      query("elections {{instance}}", "ayder_ha_elections_total{}"),
    ],
  },
  {
    title: "Entries behind",
    about: "Log entries that a node is missing, as known by the leader.",
    kind: "lines",
    unit: "short",
    queries: [query("{{node_id}}", once("ayder_ha_peer_lag_entries", "node_id"))],
  },
  {
    title: "Committed, applied, durable",
    about: "Log entries per second, by node; the three lines should coincide.",
    kind: "lines",
    unit: "ops",
    queries: [
      query("committed {{instance}}", rate("ayder_ha_commit_index{}")),
      query("applied {{instance}}", rate("ayder_ha_applied_index{}")),
      query("durable {{instance}}", rate("ayder_ha_durable_index{}")),
    ],
  },
  {
    title: "Clocks",
    about: "Wall clock against that of Prometheus, of most voters, and the time things expire by.",
    kind: "lines",
    unit: "s",
    queries: [
      query("Prometheus {{instance}}", "ayder_clock_seconds{} - timestamp(ayder_clock_seconds{})"),
      query("voters {{instance}}", "ayder_clock_skew_seconds{}"),
      query("cluster {{instance}}", "ayder_clock_clamp_seconds{}"),
    ],
    signed: true,
  },
  {
    title: "Damage and repairs",
    about:
      "Damage found in files, by kind, and repairs. After damage, check the health of the disk.",
    kind: "lines",
    unit: "none",
    queries: [
      query("damage {{kind}}", "sum by (kind) (ayder_damage_total{})"),
      query("repaired {{kind}}", "sum by (kind) (ayder_repairs_total{})"),
    ],
  },
  {
    title: "Heartbeats and state checks",
    about:
      "Heartbeats of the leader, and comparisons of the state with it that found no difference.",
    kind: "lines",
    unit: "ops",
    queries: [
      query("heartbeats {{instance}}", rate("ayder_ha_heartbeats_total{}")),
      query("checks {{instance}}", rate("ayder_state_checks_total{}")),
    ],
  },
  ...FORWARDING,
];

const PROCESS: readonly Panel[] = [
  {
    title: "Memory",
    about: "Resident memory, and the part of it that is JavaScript heap in use.",
    kind: "lines",
    unit: "bytes",
    queries: [
      query("resident {{instance}}", "ayder_process_resident_bytes{}"),
      query("heap {{instance}}", "ayder_process_heap_used_bytes{}"),
    ],
  },
  {
    title: "Loop lag",
    about:
      "How late the event loop of consensus ran a timer. Above an election timeout, a leader steps down. HTTP: the loop of the HTTP thread, if it is another one.",
    kind: "lines",
    unit: "s",
    queries: [
      ...percentiles("ayder_event_loop_lag_seconds"),
      query("HTTP p99", quantile(0.99, "ayder_http_loop_lag_seconds")),
    ],
  },
  {
    title: "Log lines lost",
    about: "Log lines that could not be written: no reader, a slow reader, or a full disk.",
    kind: "lines",
    unit: "none",
    queries: [query("{{instance}}", "ayder_log_lines_lost_total{}")],
  },
  ...RESOURCES,
  {
    title: "CPU",
    about: "Cores in use, by node, of the threads that RF_WORKERS asks for and one for consensus.",
    kind: "lines",
    unit: "none",
    queries: [
      query("{{instance}}", rate("ayder_process_cpu_seconds_total{}")),
      query("{{instance}} threads of HTTP", "ayder_http_threads{}"),
    ],
  },
  {
    title: "Disk free",
    about: "Free bytes of the data disk, by node.",
    kind: "lines",
    unit: "bytes",
    queries: [query("{{instance}}", "ayder_disk_free_bytes{}")],
  },
  {
    title: "Uptime",
    about: "Time since the process started.",
    kind: "lines",
    unit: "s",
    queries: [query("{{instance}}", "ayder_clock_seconds{} - ayder_process_start_time_seconds{}")],
  },
  {
    title: "Version",
    about: "Running versions. There is more than one only during an upgrade.",
    kind: "stat",
    unit: "none",
    named: true,
    queries: [query("{{version}} {{commit}}", "count by (version, commit) (ayder_build_info{})")],
  },
];

export const ROWS: readonly Row[] = [
  { title: "At a glance", panels: AT_A_GLANCE },
  { title: "Traffic", panels: TRAFFIC },
  { title: "Latency", panels: LATENCY },
  { title: "Log: fsync, commit, batches", panels: LOG },
  { title: "Consumers and topics", panels: CONSUMERS },
  { title: "Cluster", panels: CLUSTER },
  { title: "Bounds of the state", panels: STATE },
  { title: "Process", panels: PROCESS },
];
