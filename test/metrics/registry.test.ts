import { describe, expect, test } from "bun:test";
import {
  largestGroups,
  largestPartitions,
  OTHER,
  SERIES_MAX,
} from "../../src/metrics/cardinality.ts";
import { Histogram } from "../../src/metrics/histogram.ts";
import {
  COUNTERS,
  createInstruments,
  GAUGES,
  HISTOGRAMS,
  RouteMeter,
} from "../../src/metrics/instruments.ts";
import { createExposition } from "../../src/metrics/registry.ts";
import type { HaSample, MetricSources } from "../../src/metrics/sources.ts";
import { NO_WORK } from "../../src/metrics/sources.ts";
import { checkExposition } from "../tools/metrics/exposition.ts";

const HA: HaSample = {
  role: "follower",
  ready: true,
  term: 4,
  freshQuorum: false,
  commitIndex: 10,
  appliedIndex: 9,
  durableIndex: 11,
  electionsStarted: 2,
  heartbeatsSent: 30,
  peerConnectionsUnverified: 3,
  peerConnectionsRefused: 9,
  nodes: [
    { nodeId: "n1", httpAddr: "a:1", role: "follower", isLeader: false, lagEntries: null },
    { nodeId: 'n"2', httpAddr: "b:1", role: "leader", isLeader: true, lagEntries: 3 },
  ],
};
const sources = (changes: Partial<MetricSources> = {}): MetricSources => ({
  partitions: () => [],
  groups: () => [],
  views: () => [],
  work: () => NO_WORK,
  process: () => ({
    residentBytes: 5,
    heapUsedBytes: 4,
    cpuSeconds: 1.5,
    startedAtSeconds: 100,
    clockSeconds: 160,
  }),
  build: () => ({ version: "1.2.3", commit: "abc" }),
  ha: () => HA,
  threads: () => [],
  openFiles: () => null,
  ...changes,
});
const partition = (topic: string, bytes: number) => ({
  topic,
  partition: 0,
  lowWatermark: 1,
  endOffset: 10,
  bytes,
});

describe("histograms", () => {
  test("a value falls into the first bucket that holds it", () => {
    const histogram = new Histogram([1, 2, 4]);
    for (const value of [0, 1, 1.5, 4, 5, 100]) histogram.observe(value);
    expect(histogram.counts).toEqual([2, 1, 1, 2]);
    expect(histogram.count).toBe(6);
    expect(histogram.sum).toBe(111.5);
  });
});

describe("/metrics", () => {
  test("each view has its lag", async () => {
    const views = () => [{ view: "by-region", lagRecords: 12, fill: 0.25, evictedGroups: 7 }];
    const { metrics } = createExposition(createInstruments(), sources({ views }));
    const text = await metrics();
    expect(text).toContain('ayder_view_lag_records{view="by-region"} 12');
    expect(text).toContain('ayder_view_fill_ratio{view="by-region"} 0.25');
    expect(text).toContain('ayder_view_evicted_groups{view="by-region"} 7');
  });

  test("counted numbers are shown as they are, again and again", async () => {
    const instruments = createInstruments();
    const { metrics } = createExposition(instruments, sources());
    instruments.authFailures.value = 3;
    instruments.waiters.value = 7;
    instruments.fsyncSeconds.observe(0.0003);
    const meter = new RouteMeter("GET /x");
    meter.observe(204, 0.5);
    meter.observe(503, 0.5);
    instruments.routes.push(meter);
    for (let scrape = 0; scrape < 2; scrape++) {
      const text = await metrics();
      expect(text).toContain("\nayder_auth_failures_total 3\n");
      expect(text).toContain("\nayder_node_waiters 7\n");
      expect(text).toContain('\nayder_journal_fsync_seconds_bucket{le="0.00025"} 0\n');
      expect(text).toContain('\nayder_journal_fsync_seconds_bucket{le="0.0005"} 1\n');
      expect(text).toContain('\nayder_journal_fsync_seconds_bucket{le="+Inf"} 1\n');
      expect(text).toContain("\nayder_journal_fsync_seconds_count 1\n");
      expect(text).toContain('\nayder_http_requests_total{route="GET /x",status="2xx"} 1\n');
      expect(text).toContain('\nayder_http_requests_total{route="GET /x",status="5xx"} 1\n');
      expect(text).toContain("\nayder_process_resident_bytes 5\n");
      expect(text).toContain("\nayder_process_cpu_seconds_total 1.5\n");
      expect(text).toContain("\nayder_clock_seconds 160\n");
      expect(text).toContain('\nayder_build_info{version="1.2.3",commit="abc"} 1\n');
    }
  });
  test("every instrument has a name of its own, a help and a unit", () => {
    const definitions = [HISTOGRAMS, COUNTERS, GAUGES].flatMap((table) => Object.values(table));
    expect(new Set(definitions.map(({ name }) => name)).size).toBe(definitions.length);
    for (const { name, help } of definitions) {
      expect(name).toMatch(/^ayder_[a-z_]+$/);
      expect(help.length).toBeGreaterThan(10);
    }
    expect(Object.keys(createInstruments()).sort()).toEqual(
      [
        ...Object.keys(HISTOGRAMS),
        ...Object.keys(COUNTERS),
        ...Object.keys(GAUGES),
        "damage",
        "repairs",
        "routes",
      ].sort(),
    );
  });
  test("lag is shown in records and in seconds, where these are known", async () => {
    const group = { topic: "t", group: "g", partition: 1, lagRecords: 5 };
    const groups = () => [
      { ...group, lagSeconds: 2.5 },
      { ...group, group: "h", lagSeconds: null },
    ];
    const { metrics } = createExposition(createInstruments(), sources({ groups }));
    const text = await metrics();
    expect(text).toContain('ayder_group_lag_records{topic="t",group="g",partition="1"} 5');
    expect(text).toContain('ayder_group_lag_seconds{topic="t",group="g",partition="1"} 2.5');
    expect(text).not.toContain('ayder_group_lag_seconds{topic="t",group="h"');
  });
  test("a hundred thousand topics make no hundred thousand series", async () => {
    const largest = largestPartitions();
    for (let i = 0; i < 100_000; i++) largest.add(partition(`t${i}`, i));
    const partitions = () => largest.result();
    const { metrics } = createExposition(createInstruments(), sources({ partitions }));
    const lines = (await metrics()).match(/^ayder_topic_end_offset\{.*$/gm) ?? [];
    expect(lines.length).toBe(SERIES_MAX + 1);
    expect(lines.at(-1)).toBe(
      `ayder_topic_end_offset{topic="other",partition="other"} ${99_000 * 10}`,
    );
  });
  test("the largest keep their names, in whatever order they come", () => {
    const partitions = [5, 1, 9, 2, 7, 3].map((bytes) => partition(`t${bytes}`, bytes));
    for (const order of [partitions, partitions.toReversed()]) {
      const largest = largestPartitions(2);
      for (const each of order) largest.add(each);
      const rest = { topic: OTHER, partition: -1, lowWatermark: 4, endOffset: 40, bytes: 11 };
      expect(largest.result()).toEqual([partition("t9", 9), partition("t7", 7), rest]);
    }
    const lag = (group: string, lagRecords: number, lagSeconds: number | null = lagRecords) => ({
      topic: "t",
      group,
      partition: 0,
      lagRecords,
      lagSeconds,
    });
    const groups = largestGroups(1);
    for (const each of [lag("a", 1), lag("b", 7), lag("d", 2, null), lag("c", 3)]) groups.add(each);
    const rest = { topic: OTHER, group: OTHER, partition: -1, lagRecords: 6, lagSeconds: 3 };
    expect(groups.result()).toEqual([lag("b", 7), rest]);
    const few = largestGroups();
    few.add(lag("a", 1));
    expect(few.result()).toEqual([lag("a", 1)]);
  });
  test("those who ask while it is made share one exposition, and each sees all of it", async () => {
    let sampled = 0;
    const gate = Promise.withResolvers<void>();
    const partitions = async () => {
      sampled++;
      await gate.promise;
      return [partition("t", 1)];
    };
    const { metrics } = createExposition(createInstruments(), sources({ partitions }));
    const asked = Array.from({ length: 8 }, () => metrics());
    gate.resolve();
    const texts = await Promise.all(asked);
    expect(sampled).toBe(1);
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toContain('ayder_topic_end_offset{topic="t",partition="0"} 10\n');
    await metrics();
    expect(sampled).toBe(2);
  });
  test("a source that fails is asked again the next time", async () => {
    let fails = true;
    const views = () => {
      if (fails) throw new Error("not now");
      return [];
    };
    const { metrics } = createExposition(createInstruments(), sources({ views }));
    expect(metrics()).rejects.toThrow("not now");
    await metrics().catch(() => undefined);
    fails = false;
    expect(await metrics()).toContain("ayder_build_info");
  });
  test("requests are served between the parts of a long exposition", async () => {
    const largest = largestPartitions();
    const lags = largestGroups();
    for (let i = 0; i < 20_000; i++) {
      largest.add(partition(`t${i}`, i));
      const group = { topic: "t", group: `g${i}`, partition: 0 };
      lags.add({ ...group, lagRecords: i, lagSeconds: i });
    }
    const { metrics } = createExposition(
      createInstruments(),
      sources({ partitions: () => largest.result(), groups: () => lags.result() }),
    );
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const text = await metrics();
    isDone = true;
    expect(text.split("\n").length).toBeGreaterThan(5 * SERIES_MAX);
    expect(turns).toBeGreaterThan(3);
  });
  test("no series is there twice, whatever is sampled", async () => {
    const instruments = createInstruments();
    for (let i = 0; i < 2; i++) {
      const meter = new RouteMeter("GET (wrong method)");
      meter.observe(405, 0.5);
      instruments.routes.push(meter);
    }
    const group = { topic: "t", group: "g", partition: 1, lagSeconds: 1 };
    const { metrics, metricsHa } = createExposition(
      instruments,
      sources({
        partitions: () => [partition("t", 1), partition("t", 2), partition(OTHER, 1)],
        groups: () => [
          { ...group, lagRecords: 1 },
          { ...group, lagRecords: 2 },
        ],
        views: () => [
          { view: "v", lagRecords: 1, fill: 0, evictedGroups: 0 },
          { view: "v", lagRecords: 2, fill: 0, evictedGroups: 0 },
        ],
        ha: () => ({ ...HA, nodes: [...HA.nodes, ...HA.nodes] }),
      }),
    );
    const text = await metrics();
    checkExposition(text);
    checkExposition(await metricsHa());
    expect(text).toContain(
      '\nayder_http_requests_total{route="GET (wrong method)",status="4xx"} 2\n',
    );
    expect(text).toContain('\nayder_http_request_seconds_count{route="GET (wrong method)"} 2\n');
  });
});

test("no HELP text looks like a sample", async () => {
  const { metrics, metricsHa } = createExposition(createInstruments(), sources());
  const helps = ((await metrics()) + (await metricsHa())).match(/^# HELP .*$/gm) ?? [];
  expect(helps.length).toBeGreaterThan(50);
  for (const help of helps) expect(help).toMatch(/^# HELP [a-z_]+ [A-Z][A-Za-z]/);
});

test("/metrics_ha has the original's series and ours", async () => {
  const { metricsHa } = createExposition(createInstruments(), sources());
  const text = await metricsHa();
  for (const line of [
    "ramforge_ha_role 1",
    "ramforge_ha_state 1",
    "ramforge_ha_term 4",
    "ramforge_ha_fresh_quorum 0",
    "ayder_ha_commit_index 10",
    "ayder_ha_applied_index 9",
    "ayder_ha_elections_total 2",
    "ayder_ha_heartbeats_total 30",
    "ayder_ha_peer_connections_unverified 3",
    "ayder_ha_peer_connections_refused_total 9",
    'ayder_ha_peer_lag_entries{node_id="n\\"2"} 3',
    'ayder_ha_node_info{node_id="n1",http_addr="a:1",role="follower",leader="0"} 1',
    'ayder_ha_node_info{node_id="n\\"2",http_addr="b:1",role="leader",leader="1"} 1',
  ]) {
    expect(text).toContain(`\n${line}\n`);
  }
});
