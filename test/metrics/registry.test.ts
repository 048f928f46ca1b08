import { describe, expect, test } from "bun:test";
import { OTHER, SERIES_MAX, topGroups, topPartitions } from "../../src/metrics/cardinality.ts";
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
  nodes: [
    { nodeId: "n1", httpAddr: "a:1", role: "follower", isLeader: false, lagEntries: null },
    { nodeId: 'n"2', httpAddr: "b:1", role: "leader", isLeader: true, lagEntries: 3 },
  ],
};
const sources = (changes: Partial<MetricSources> = {}): MetricSources => ({
  partitions: () => [],
  groups: () => [],
  views: () => [],
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
    const views = () => [{ view: "by-region", lagRecords: 12 }];
    const { metrics } = createExposition(createInstruments(), sources({ views }));
    expect(await metrics()).toContain('ayder_view_lag_records{view="by-region"} 12');
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
    const partitions = () => Array.from({ length: 100_000 }, (_, i) => partition(`t${i}`, i));
    const { metrics } = createExposition(createInstruments(), sources({ partitions }));
    const lines = (await metrics()).match(/^ayder_topic_end_offset\{.*$/gm) ?? [];
    expect(lines.length).toBe(SERIES_MAX + 1);
    expect(lines.at(-1)).toBe(
      `ayder_topic_end_offset{topic="other",partition="other"} ${99_000 * 10}`,
    );
  });
  test("the largest keep their names", () => {
    const top = topPartitions(
      [partition("small", 1), partition("large", 9), partition("mid", 5)],
      1,
    );
    expect(top.map(({ labels }) => labels.topic)).toEqual(["large", OTHER]);
    expect(top[1]?.sample).toMatchObject({ bytes: 6, endOffset: 20, lowWatermark: 2 });
    const lag = (group: string, lagRecords: number) => ({
      topic: "t",
      group,
      partition: 0,
      lagRecords,
      lagSeconds: lagRecords,
    });
    const groups = topGroups([lag("a", 1), lag("b", 7), lag("c", 3)], 1);
    expect(groups.map(({ labels }) => labels.group)).toEqual(["b", OTHER]);
    expect(groups[1]?.sample).toMatchObject({ lagRecords: 4, lagSeconds: 3 });
  });
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
    'ayder_ha_peer_lag_entries{node_id="n\\"2"} 3',
    'ayder_ha_node_info{node_id="n1",http_addr="a:1",role="follower",leader="0"} 1',
    'ayder_ha_node_info{node_id="n\\"2",http_addr="b:1",role="leader",leader="1"} 1',
  ]) {
    expect(text).toContain(`\n${line}\n`);
  }
});
