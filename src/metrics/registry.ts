/** Writes Prometheus text from the instruments and sources. The only file that uses prom-client. */
import { Gauge, Registry } from "prom-client";
import { partitionLabel } from "./cardinality.ts";
import type { Histogram } from "./histogram.ts";
import { COUNTERS, DAMAGE_KINDS, GAUGES, HISTOGRAMS, type Instruments } from "./instruments.ts";
import type {
  GroupSample,
  HaRole,
  HaSample,
  MetricSources,
  PartitionSample,
  ProcessSample,
  ViewSample,
  WorkSample,
} from "./sources.ts";
import { type AllThreads, sumOfThreads } from "./threads.ts";
import { addWork } from "./work.ts";

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export type Exposition = {
  /** The text of `/metrics`. Requests that arrive while it is being written share it. */
  metrics(): Promise<string>;
  /** `/metrics_ha` */
  metricsHa(): Promise<string>;
};

type Labels = Readonly<Record<string, string>>;
type Sample = { readonly labels?: Labels; readonly value: number };
type Series = {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  readonly read: () => Iterable<Sample>;
};

/** The samples of one exposition, taken once for all of its series. */
type Samples = {
  readonly all: AllThreads;
  readonly partitions: readonly PartitionSample[];
  readonly groups: readonly GroupSample[];
  readonly views: readonly ViewSample[];
  readonly work: WorkSample;
  readonly process: ProcessSample;
};

/** @param instruments of this thread. */
export function createExposition(instruments: Instruments, sources: MetricSources): Exposition {
  let samples: Samples | null = null;
  const now: Now = () => {
    if (samples === null) throw new Error("metrics are sampled before they are shown");
    return samples;
  };
  const registry = new Registry();
  const threads: NowThreads = () => now().all;
  addInstruments(registry, threads);
  addDamage(registry, threads);
  addRoutes(registry, threads);
  addTopics(registry, now);
  addGroups(registry, now);
  addWork(
    (series) => addGauge(registry, series),
    () => now().work,
  );
  addProcess(registry, sources, now);
  let ha: HaSample | null = null;
  const haRegistry = new Registry();
  addHa(haRegistry, () => {
    if (ha === null) throw new Error("metrics are sampled before they are shown");
    return ha;
  });
  return {
    metrics: shared(async () => {
      samples = {
        partitions: await sources.partitions(),
        groups: await sources.groups(),
        views: await sources.views(),
        work: await sources.work(),
        all: sumOfThreads(instruments, await sources.threads()),
        process: sources.process(),
      };
      return await textOf(registry);
    }),
    metricsHa: shared(async () => {
      ha = await sources.ha();
      return await textOf(haRegistry);
    }),
  };
}

/** Runs one call at a time; calls that arrive while it runs get the same result. */
function shared<T>(make: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | null = null;
  return () => {
    running ??= make().finally(() => {
      running = null;
    });
    return running;
  };
}

/** Maximum time of writing text without yielding to requests. */
const SLICE_MS = 1;

async function textOf(registry: Registry): Promise<string> {
  const texts: string[] = [];
  let endAt = performance.now() + SLICE_MS;
  for (const { name } of registry.getMetricsAsArray()) {
    texts.push(await registry.getSingleMetricAsString(name));
    if (performance.now() < endAt) continue;
    await new Promise<void>((resolve) => setImmediate(resolve));
    endAt = performance.now() + SLICE_MS;
  }
  return `${texts.join("\n\n")}\n`;
}

type Now = () => Samples;
type NowThreads = () => AllThreads;

function addInstruments(registry: Registry, now: NowThreads): void {
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

function addDamage(registry: Registry, now: NowThreads): void {
  const labelNames = ["kind"];
  const read = (of: "damage" | "repairs") => () =>
    DAMAGE_KINDS.map((kind) => ({ labels: { kind }, value: now().instruments[of][kind].value }));
  const found = "Times that damage was found in a file, by kind of file";
  addCounter(registry, {
    name: "ayder_damage_total",
    help: found,
    labelNames,
    read: read("damage"),
  });
  const repaired = "Damage repaired from another copy or a peer, by kind of file";
  const name = "ayder_repairs_total";
  addCounter(registry, { name, help: repaired, labelNames, read: read("repairs") });
}

function addRoutes(registry: Registry, now: NowThreads): void {
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
      help: "Time from the request's head to its answer, by route; for follow streams until they open",
    },
    () =>
      now()
        .instruments.routes.filter(({ seconds }) => seconds.count > 0)
        .map(({ route, seconds }) => ({ labels: { route }, histogram: seconds })),
  );
}

function addTopics(registry: Registry, now: Now): void {
  const gauge = (name: string, help: string, of: (sample: PartitionSample) => number) =>
    addGauge(registry, {
      name,
      help,
      labelNames: ["topic", "partition"],
      read: () =>
        now().partitions.map((sample) => ({
          labels: { topic: sample.topic, partition: partitionLabel(sample.partition) },
          value: of(sample),
        })),
    });
  gauge("ayder_topic_low_watermark_offset", "First retained offset", (s) => s.lowWatermark);
  gauge("ayder_topic_end_offset", "Offset of the next record", (s) => s.endOffset);
  gauge("ayder_topic_size_bytes", "Bytes of retained keys and values", (s) => s.bytes);
}

function addGroups(registry: Registry, now: Now): void {
  const gauge = (name: string, help: string, of: (sample: GroupSample) => number | null) =>
    addGauge(registry, {
      name,
      help,
      labelNames: ["topic", "group", "partition"],
      read: () =>
        now().groups.flatMap((sample) => {
          const value = of(sample);
          const { topic, group } = sample;
          const labels = { topic, group, partition: partitionLabel(sample.partition) };
          return value === null ? [] : [{ labels, value }];
        }),
    });
  gauge(
    "ayder_group_lag_records",
    "Records between a group's committed offset and the end",
    (s) => s.lagRecords,
  );
  gauge(
    "ayder_group_lag_seconds",
    "Age of the first record that a group has not committed",
    (s) => s.lagSeconds,
  );
  addGauge(registry, {
    name: "ayder_view_lag_records",
    help: "Records that are kept and that a view of this node has not read",
    labelNames: ["view"],
    read: () =>
      now().views.map(({ view, lagRecords }) => ({ labels: { view }, value: lagRecords })),
  });
  addGauge(registry, {
    name: "ayder_view_fill_ratio",
    help: "Part of the room for groups that a view takes; at 1 its oldest windows go",
    labelNames: ["view"],
    read: () => now().views.map(({ view, fill }) => ({ labels: { view }, value: fill })),
  });
  addGauge(registry, {
    name: "ayder_view_evicted_groups",
    help: "Groups of windows that aged out of a view",
    labelNames: ["view"],
    read: () =>
      now().views.map(({ view, evictedGroups }) => ({ labels: { view }, value: evictedGroups })),
  });
}

function addProcess(registry: Registry, sources: MetricSources, now: Now): void {
  const gauge = (name: string, help: string, of: (sample: ProcessSample) => number) =>
    addGauge(registry, { name, help, read: () => [{ value: of(now().process) }] });
  gauge("ayder_process_resident_bytes", "Resident memory of the process", (s) => s.residentBytes);
  gauge(
    "ayder_process_heap_used_bytes",
    "JavaScript heap in use",
    (s) => s.heapUsedBytes + now().all.heapUsedBytes,
  );
  gauge("ayder_process_start_time_seconds", "When it started, since 1970", (s) =>
    Math.min(s.startedAtSeconds, now().all.startedAtSeconds),
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
    read: () => [{ value: now().process.cpuSeconds }],
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

function addHa(registry: Registry, now: () => HaSample): void {
  const gauge = (name: string, help: string, of: (ha: HaSample) => number) =>
    addGauge(registry, { name, help, read: () => [{ value: of(now()) }] });
  const counter = (name: string, help: string, of: (ha: HaSample) => number) =>
    addCounter(registry, { name, help, read: () => [{ value: of(now()) }] });
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
  gauge(
    "ayder_ha_peer_connections_unverified",
    "Connections to the Raft port whose other end has not proven yet that it is a member",
    (ha) => ha.peerConnectionsUnverified,
  );
  counter(
    "ayder_ha_peer_connections_refused_total",
    "Connections to the Raft port that were refused, see `peer connection refused` in the log",
    (ha) => ha.peerConnectionsRefused,
  );
  addGauge(registry, {
    name: "ayder_ha_peer_lag_entries",
    help: "Log entries that a node lacks, as this node knows it",
    labelNames: ["node_id"],
    read: () =>
      now().nodes.flatMap(({ nodeId, lagEntries }) =>
        lagEntries === null ? [] : [{ labels: { node_id: nodeId }, value: lagEntries }],
      ),
  });
  addGauge(registry, {
    name: "ayder_ha_node_info",
    help: "The nodes of the cluster and which of them leads",
    labelNames: ["node_id", "http_addr", "role", "leader"],
    read: () =>
      now().nodes.map(({ nodeId, httpAddr, role, isLeader }) => ({
        labels: { node_id: nodeId, http_addr: httpAddr, role, leader: isLeader ? "1" : "0" },
        value: 1,
      })),
  });
}

const addGauge = (registry: Registry, series: Series): void =>
  addSampled(registry, "gauge", series, valuesOf(series));

const addCounter = (registry: Registry, series: Series): void =>
  addSampled(registry, "counter", series, valuesOf(series));

type HistogramSample = { readonly labels: Labels; readonly histogram: Histogram };

const addHistogram = (
  registry: Registry,
  series: { readonly name: string; readonly help: string },
  samples: () => Iterable<HistogramSample>,
): void =>
  addSampled(registry, "histogram", series, () =>
    distinct(samples()).flatMap((sample) => linesOf(series.name, sample)),
  );

type Value = { readonly metricName: string; readonly labels: Labels; readonly value: number };

const valuesOf =
  ({ name, read }: Series) =>
  (): readonly Value[] =>
    distinct(read()).map(({ labels = {}, value }) => ({ metricName: name, labels, value }));

/** No series is there twice, whatever is sampled: the last one of equal labels counts. */
function distinct<T extends { readonly labels?: Labels }>(samples: Iterable<T>): readonly T[] {
  const byLabels = new Map<string, T>();
  for (const sample of samples) byLabels.set(JSON.stringify(sample.labels ?? {}), sample);
  return [...byLabels.values()];
}

/** A series that is read from the samples. prom-client's own instruments would hold a copy. */
class Sampled extends Gauge {
  readonly #shown: { readonly name: string; readonly help: string; readonly type: string };
  readonly #values: () => readonly Value[];

  constructor(
    type: string,
    { name, help }: { readonly name: string; readonly help: string },
    values: () => readonly Value[],
  ) {
    super({ name, help, registers: [] });
    this.#shown = { name, help, type };
    this.#values = values;
  }

  /** Called by the registry of prom-client. */
  getForPromString() {
    return Promise.resolve({ ...this.#shown, values: this.#values() });
  }
}

function addSampled(
  registry: Registry,
  type: "gauge" | "counter" | "histogram",
  series: { readonly name: string; readonly help: string },
  values: () => readonly Value[],
): void {
  registry.registerMetric(new Sampled(type, series, values));
}

function linesOf(name: string, { labels, histogram }: HistogramSample): readonly Value[] {
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
