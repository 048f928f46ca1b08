/** Rates and quantiles from `/metrics` over the last minutes, by name. */
import { messageOf, sendForText } from "./api.ts";
import {
  parseMetrics,
  quantile,
  type Sample,
  type Scrape,
  sumOf,
  type Where,
} from "./lib/prometheus.ts";
import { metrics } from "./lib/requests.ts";
import { every } from "./poll.ts";

export const SAMPLE_MS = 2000;
/** Five minutes of samples. */
export const SAMPLES_MAX = 150;

export type Point = { readonly atMs: number; readonly value: number | null };

export class Samples {
  /** The error of the last scrape; empty if it succeeded. */
  trouble = "";
  paused = false;
  readonly #series = new Map<string, Point[]>();
  readonly #listeners = new Set<() => void>();
  #last: { readonly atMs: number; readonly scrape: Scrape } | null = null;

  start(signal: AbortSignal): void {
    void every(SAMPLE_MS, signal, async () => {
      if (this.paused) return;
      try {
        this.#take(parseMetrics(await sendForText(metrics, signal)));
        this.trouble = "";
      } catch (error) {
        this.trouble = messageOf(error);
      }
      for (const listener of this.#listeners) listener();
    });
  }

  /** Calls the listener after each scrape, until the signal aborts. */
  listen(signal: AbortSignal, listener: () => void): void {
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener));
    listener();
  }

  series(name: string): readonly Point[] {
    return this.#series.get(name) ?? [];
  }

  /** The newest value; null if there is none. */
  now(name: string): number | null {
    return this.#series.get(name)?.at(-1)?.value ?? null;
  }

  #take(scrape: Scrape): void {
    const atMs = performance.now();
    const before = this.#last;
    this.#last = { atMs, scrape };
    for (const [name, value] of gauges(scrape)) this.#push(name, atMs, value);
    if (before === null) return;
    const seconds = (atMs - before.atMs) / 1000;
    for (const [name, value] of rates(before.scrape, scrape, seconds)) {
      this.#push(name, atMs, value);
    }
  }

  #push(name: string, atMs: number, value: number | null): void {
    const points = this.#series.get(name) ?? [];
    points.push({ atMs, value });
    if (points.length > SAMPLES_MAX) points.shift();
    this.#series.set(name, points);
  }
}

type Named = readonly (readonly [string, number | null])[];

export const rateOf = (topic: string): string => `rate of ${topic}`;

const gauges = (scrape: Scrape): Named => [
  ["resident", sumOf(scrape, "ayder_process_resident_bytes")],
  ["heap", sumOf(scrape, "ayder_process_heap_used_bytes")],
  ["journal", sumOf(scrape, "ayder_journal_size_bytes")],
  ["disk", sumOf(scrape, "ayder_disk_free_bytes")],
  ["stored", sumOf(scrape, "ayder_topic_size_bytes")],
  ["lag", sumOf(scrape, "ayder_group_lag_records")],
  ["in flight", sumOf(scrape, "ayder_http_requests_in_flight")],
  ["followers", sumOf(scrape, "ayder_http_follow_streams")],
];

const isProduce: Where = ({ route = "" }) => /^POST \/broker\/topics\/:topic\/produce/.test(route);
const isConsume: Where = ({ route = "" }) => route.startsWith("GET /broker/consume/");
const isKeys: Where = ({ route = "" }) => / \/kv\b/.test(route);
const isScrape: Where = ({ route = "" }) => / \/metrics/.test(route);
const isOther: Where = (labels) =>
  ![isProduce, isConsume, isKeys, isScrape].some((where) => where(labels));

const REQUESTS = "ayder_http_requests_total";
const LATENCY = "ayder_http_request_seconds";
const END = "ayder_topic_end_offset";

function rates(before: Scrape, after: Scrape, seconds: number): Named {
  // After a restart of the server, counters start again, and no rate can be computed.
  const rate = (name: string, where?: Where) => {
    const grown = sumOf(after, name, where) - sumOf(before, name, where);
    return grown < 0 ? null : grown / seconds;
  };
  const at = (q: number, name: string, where?: Where) => quantile(q, before, after, name, where);
  const syncs = rate("ayder_journal_batch_records_count");
  const synced = rate("ayder_journal_batch_records_sum");
  return [
    ["produce", rate(REQUESTS, isProduce)],
    ["consume", rate(REQUESTS, isConsume)],
    ["keys", rate(REQUESTS, isKeys)],
    ["other", rate(REQUESTS, isOther)],
    ["4xx", rate(REQUESTS, ({ status }) => status === "4xx")],
    ["5xx", rate(REQUESTS, ({ status }) => status === "5xx")],
    ["produce p50", at(0.5, LATENCY, isProduce)],
    ["produce p99", at(0.99, LATENCY, isProduce)],
    ["consume p50", at(0.5, LATENCY, isConsume)],
    ["consume p99", at(0.99, LATENCY, isConsume)],
    ["fsync p50", at(0.5, "ayder_journal_fsync_seconds")],
    ["fsync p99", at(0.99, "ayder_journal_fsync_seconds")],
    ["commit p50", at(0.5, "ayder_commit_wait_seconds")],
    ["commit p99", at(0.99, "ayder_commit_wait_seconds")],
    ["loop p50", at(0.5, "ayder_event_loop_lag_seconds")],
    ["loop p99", at(0.99, "ayder_event_loop_lag_seconds")],
    ["batch", syncs === null || synced === null || syncs === 0 ? null : synced / syncs],
    ...topicRates(before, after, seconds),
  ];
}

/** Records per second of each topic that has its own series, and of all topics. */
function topicRates(before: Scrape, after: Scrape, seconds: number): Named {
  const key = ({ labels }: Sample) => `${labels["topic"]}/${labels["partition"]}`;
  const ends = new Map((before.get(END) ?? []).map((sample) => [key(sample), sample.value]));
  const grown = new Map<string, number>();
  let all = 0;
  for (const sample of after.get(END) ?? []) {
    const { topic = "" } = sample.labels;
    const by = Math.max(0, sample.value - (ends.get(key(sample)) ?? sample.value));
    grown.set(topic, (grown.get(topic) ?? 0) + by);
    all += by;
  }
  return [
    ["records", all / seconds],
    ...[...grown].map(([topic, by]) => [rateOf(topic), by / seconds] as const),
  ];
}
