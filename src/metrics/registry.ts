/** Prometheus text from the instruments and sources. The only file that knows prom-client. */
import { Counter, Gauge, Histogram as PromHistogram, Registry } from "prom-client";
import { topGroups, topPartitions } from "./cardinality.ts";
import type { Histogram } from "./histogram.ts";
import { COUNTERS, DAMAGE_KINDS, GAUGES, HISTOGRAMS, type Instruments } from "./instruments.ts";
import type { HaRole, HaSample, MetricSources, ProcessSample } from "./sources.ts";
import { type AllThreads, sumOfThreads } from "./threads.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export type Exposition = {
  /** `/metrics` */
  metrics(): Promise<string>;
  /** `/metrics_ha` */
  metricsHa(): Promise<string>;
};

type Labels = Readonly<Record<string, string>>;
type Sample = { readonly labels?: Labels; readonly value: number };
type Read = () => Iterable<Sample> | Promise<Iterable<Sample>>;
type Series = {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly read: Read;
};

/** @param instruments of this thread. */
export function createExposition(instruments: Instruments, sources: MetricSources): Exposition {
  let all = sumOfThreads(instruments, []);
  const now = () => all;
  const registry = new Registry();
  addInstruments(registry, now);
  addDamage(registry, now);
  addRoutes(registry, now);
  addSources(registry, sources);
  addProcess(registry, sources, now);
  const haRegistry = new Registry();
  addHa(haRegistry, sources);
  const metrics = async () => {
    all = sumOfThreads(instruments, await sources.threads());
    return await registry.metrics();
  };
  return { metrics, metricsHa: () => haRegistry.metrics() };
}

type Now = () => AllThreads;

function addInstruments(registry: Registry, now: Now): void {
  for (const [key, { name, help }] of entriesOf(HISTOGRAMS)) {
    const samples = () => [{ labels: {}, histogram: now().instruments[key] }];
    addHistogram(registry, { name, help }, samples);
  }
  for (const [key, { name, help }] of entriesOf(COUNTERS)) {
    addCounter(registry, { name, help, read: () => [{ value: now().instruments[key].value }] });
  }
  for (const [key, { name, help }] of entriesOf(GAUGES)) {
    addGauge(registry, { name, help, read: () => [{ value: now().instruments[key].value }] });
  }
}

const entriesOf = <T extends object>(table: T) => Object.entries(table) as [keyof T, T[keyof T]][];

function addDamage(registry: Registry, now: Now): void {
  const labelNames = ["kind"];
  const read = (of: "damage" | "repairs") => () =>
    DAMAGE_KINDS.map((kind) => ({ labels: { kind }, value: now().instruments[of][kind].value }));
  const found = "Times that damage was met in a file, by kind of file";
  addCounter(registry, {
    name: "ayder_damage_total",
    help: found,
    labelNames,
    read: read("damage"),
  });
  const healed = "Damage that was healed from another copy or a peer, by kind of file";
  const name = "ayder_repairs_total";
  addCounter(registry, { name, help: healed, labelNames, read: read("repairs") });
}

function addRoutes(registry: Registry, now: Now): void {
  addCounter(registry, {
    name: "ayder_http_requests_total",
    help: "Requests answered, by route and class of status",
    labelNames: ["route", "status"],
    read: () =>
      now().instruments.routes.flatMap(({ route, counts }) =>
        counts.flatMap((value, digit) =>
          value === 0 ? [] : [{ labels: { route, status: `${digit}xx` }, value }],
        ),
      ),
  });
  addHistogram(
    registry,
    {
      name: "ayder_http_request_seconds",
      help: "From the request's head to its answer, by route; follow streams until they open",
    },
    () =>
      now()
        .instruments.routes.filter(({ seconds }) => seconds.count > 0)
        .map(({ route, seconds }) => ({ labels: { route }, histogram: seconds })),
  );
}

function addSources(registry: Registry, sources: MetricSources): void {
  const partitionGauge = (
    name: string,
    help: string,
    of: (sample: ReturnType<typeof topPartitions>[number]["sample"]) => number,
  ) =>
    addGauge(registry, {
      name,
      help,
      labelNames: ["topic", "partition"],
      read: async () =>
        topPartitions(await sources.partitions()).map(({ labels, sample }) => ({
          labels,
          value: of(sample),
        })),
    });
  partitionGauge("ayder_topic_low_watermark_offset", "First kept offset", (s) => s.lowWatermark);
  partitionGauge("ayder_topic_end_offset", "Offset of the next record", (s) => s.endOffset);
  partitionGauge("ayder_topic_size_bytes", "Keys and values kept", (s) => s.bytes);
  const groupLabels = ["topic", "group", "partition"];
  addGauge(registry, {
    name: "ayder_group_lag_records",
    help: "Records between a group's committed offset and the end",
    labelNames: groupLabels,
    read: async () =>
      topGroups(await sources.groups()).map(({ labels, sample }) => ({
        labels,
        value: sample.lagRecords,
      })),
  });
  addGauge(registry, {
    name: "ayder_group_lag_seconds",
    help: "Age of the first record that a group has not committed",
    labelNames: groupLabels,
    read: async () =>
      topGroups(await sources.groups()).flatMap(({ labels, sample }) =>
        sample.lagSeconds === null ? [] : [{ labels, value: sample.lagSeconds }],
      ),
  });
  addGauge(registry, {
    name: "ayder_view_lag_records",
    help: "Records that are kept and that a view of this node has not read",
    labelNames: ["view"],
    read: async () =>
      (await sources.views()).map(({ view, lagRecords }) => ({
        labels: { view },
        value: lagRecords,
      })),
  });
}

function addProcess(registry: Registry, sources: MetricSources, now: Now): void {
  const gauge = (name: string, help: string, of: (sample: ProcessSample) => number) =>
    addGauge(registry, { name, help, read: () => [{ value: of(sources.process()) }] });
  gauge("ayder_process_resident_bytes", "Resident memory of the process", (s) => s.residentBytes);
  gauge(
    "ayder_process_heap_used_bytes",
    "JavaScript heap in use",
    (s) => s.heapUsedBytes + now().heapUsedBytes,
  );
  gauge("ayder_process_start_time_seconds", "When it started, since 1970", (s) =>
    Math.min(s.startedAtSeconds, now().startedAtSeconds),
  );
  gauge("ayder_clock_seconds", "Wall clock of the node when it was scraped", (s) => s.clockSeconds);
  const files = (name: string, help: string, of: "open" | "max") =>
    addGauge(registry, {
      name,
      help,
      read: () => {
        const sample = sources.openFiles();
        return sample === null ? [] : [{ value: sample[of] }];
      },
    });
  files("ayder_open_files", "Open file descriptors of the process, sockets included", "open");
  files("ayder_open_files_limit", "File descriptors that the process may have open", "max");
  addCounter(registry, {
    name: "ayder_process_cpu_seconds_total",
    help: "User and system time of the process",
    read: () => [{ value: sources.process().cpuSeconds }],
  });
  addGauge(registry, {
    name: "ayder_build_info",
    help: "Version and commit that run",
    labelNames: ["version", "commit"],
    read: () => [{ labels: sources.build(), value: 1 }],
  });
}

/** As the original numbers them. */
const ROLE_NUMBERS: Readonly<Record<HaRole, number>> = {
  leader: 0,
  follower: 1,
  candidate: 2,
  learner: 3,
};

function addHa(registry: Registry, sources: MetricSources): void {
  const gauge = (name: string, help: string, of: (ha: HaSample) => number) =>
    addGauge(registry, { name, help, read: async () => [{ value: of(await sources.ha()) }] });
  const counter = (name: string, help: string, of: (ha: HaSample) => number) =>
    addCounter(registry, { name, help, read: async () => [{ value: of(await sources.ha()) }] });
  const flag = (yes: boolean): number => (yes ? 1 : 0);

  gauge(
    "ramforge_ha_role",
    "Role of this node: 0 leader, 1 follower, 2 candidate, 3 learner",
    (ha) => ROLE_NUMBERS[ha.role],
  );
  gauge("ramforge_ha_state", "Whether the node is ready: 1 if it is", (ha) => flag(ha.ready));
  gauge("ramforge_ha_term", "Raft term", (ha) => ha.term);
  gauge("ramforge_ha_fresh_quorum", "Whether a majority was heard of lately: 1 if it was", (ha) =>
    flag(ha.freshQuorum),
  );
  gauge("ayder_ha_commit_index", "Last log index known to be committed", (ha) => ha.commitIndex);
  gauge("ayder_ha_applied_index", "Last log index that was applied", (ha) => ha.appliedIndex);
  gauge("ayder_ha_durable_index", "Last log index that was fsynced here", (ha) => ha.durableIndex);
  counter(
    "ayder_ha_elections_total",
    "Elections that this node started",
    (ha) => ha.electionsStarted,
  );
  counter("ayder_ha_heartbeats_total", "Heartbeats that this node sent", (ha) => ha.heartbeatsSent);
  addGauge(registry, {
    name: "ayder_ha_peer_lag_entries",
    help: "Log entries that a node lacks, as this node knows it",
    labelNames: ["node_id"],
    read: async () =>
      (await sources.ha()).nodes.flatMap(({ nodeId, lagEntries }) =>
        lagEntries === null ? [] : [{ labels: { node_id: nodeId }, value: lagEntries }],
      ),
  });
  addGauge(registry, {
    name: "ayder_ha_node_info",
    help: "The nodes of the cluster and which of them leads",
    labelNames: ["node_id", "http_addr", "role", "leader"],
    read: async () =>
      (await sources.ha()).nodes.map(({ nodeId, httpAddr, role, isLeader }) => ({
        labels: { node_id: nodeId, http_addr: httpAddr, role, leader: isLeader ? "1" : "0" },
        value: 1,
      })),
  });
}

function addGauge(registry: Registry, { name, help, labelNames = [], read }: Series): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    async collect() {
      this.reset();
      // A metric without labels is 0 after a reset, which is what it says without a sample.
      for (const { labels = {}, value } of await read()) this.set(labels, value);
    },
  });
}

function addCounter(registry: Registry, { name, help, labelNames = [], read }: Series): void {
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    async collect() {
      this.reset();
      for (const { labels = {}, value } of await read()) this.inc(labels, value);
    },
  });
}

type HistogramSample = { readonly labels: Labels; readonly histogram: Histogram };

/** prom-client's own histogram can only be observed; this one shows ours as it is. */
class SampledHistogram extends PromHistogram {
  readonly #options: { name: string; help: string };
  readonly #samples: () => readonly HistogramSample[];

  constructor(options: { name: string; help: string }, samples: () => readonly HistogramSample[]) {
    super({ ...options, registers: [] });
    this.#options = options;
    this.#samples = samples;
  }

  /** What the registry asks for, where a metric has it. */
  getForPromString() {
    const { name, help } = this.#options;
    const values = this.#samples().flatMap((sample) => linesOf(name, sample));
    return Promise.resolve({ name, help, type: "histogram", values });
  }
}

function linesOf(name: string, { labels, histogram }: HistogramSample) {
  const { bounds, counts, sum, count } = histogram;
  let below = 0;
  const buckets = bounds.map((bound, index) => {
    below += counts[index] ?? 0;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: String(bound) }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: count },
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

function addHistogram(
  registry: Registry,
  options: { name: string; help: string },
  samples: () => readonly HistogramSample[],
): void {
  registry.registerMetric(new SampledHistogram(options, samples));
}
