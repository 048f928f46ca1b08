/** Dashboard and rules against the metrics that there are; test:monitoring asks a real Prometheus. */
import { describe, expect, test } from "bun:test";
import {
  DASHBOARD_FILE,
  dashboard,
  dashboardText,
  fillIn,
} from "../../src/deploy/grafana/dashboard.ts";
import { ROWS } from "../../src/deploy/grafana/panels.ts";
import { createInstruments } from "../../src/metrics/instruments.ts";
import { createExposition } from "../../src/metrics/registry.ts";
import { NO_WORK } from "../../src/metrics/sources.ts";
import { expressionsOf, rulesOf } from "../tools/deploy/expressions.ts";

/** Names of all series, with whether each has a help. Collecting nothing needs no node. */
async function metricNames(): Promise<ReadonlySet<string>> {
  const { metrics, metricsHa } = createExposition(createInstruments(), {
    partitions: () => [],
    groups: () => [],
    views: () => [],
    work: () => NO_WORK,
    threads: () => [],
    openFiles: () => null,
    process: () => ({
      residentBytes: 0,
      heapUsedBytes: 0,
      cpuSeconds: 0,
      startedAtSeconds: 0,
      clockSeconds: 0,
    }),
    build: () => ({ version: "", commit: "" }),
    ha: () => ({
      role: "leader",
      ready: true,
      term: 0,
      freshQuorum: true,
      commitIndex: 0,
      appliedIndex: 0,
      durableIndex: 0,
      electionsStarted: 0,
      heartbeatsSent: 0,
      peerConnectionsUnverified: 0,
      peerConnectionsRefused: 0,
      nodes: [],
    }),
  });
  const text = (await metrics()) + (await metricsHa());
  const helped = new Set([...text.matchAll(/^# HELP (\w+) \S.*$/gm)].map(([, name = ""]) => name));
  const names = new Set<string>();
  for (const [, name = "", type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
    expect(helped, `${name} has a help`).toContain(name);
    const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    for (const suffix of suffixes) names.add(name + suffix);
  }
  return names;
}

const metricsIn = (promql: string): string[] =>
  promql.match(/\b(ayder_|ramforge_|ayder:)[a-zA-Z0-9_:]+/g) ?? [];

test("dashboards/ayder.json is what dashboard.ts draws (UPDATE=1 writes it)", async () => {
  if (process.env["UPDATE"] === "1") await Bun.write(DASHBOARD_FILE, dashboardText());
  expect(await Bun.file(DASHBOARD_FILE).text()).toBe(dashboardText());
  expect(JSON.parse(dashboardText())).toEqual(JSON.parse(JSON.stringify(dashboard())));
});

test("every metric of panels, variables, values and alerts exists", async () => {
  const known = new Set(await metricNames());
  const rules = await rulesOf();
  for (const { record } of rules) if (record !== undefined) known.add(record);
  const expressions = [
    ...(await expressionsOf(dashboard())),
    ...rules.map(({ record, alert, expr }) => ({ where: `${record ?? alert}`, promql: expr })),
  ];
  expect(expressions.length).toBeGreaterThan(100);
  for (const { where, promql } of expressions) {
    for (const name of metricsIn(promql)) expect(known, `${where}: ${name}`).toContain(name);
    if (!where.includes("AyderDown")) expect(metricsIn(promql), where).not.toEqual([]);
  }
  expect(known).not.toContain("ayder_no_such_metric");
});

test("every metric is on a panel", async () => {
  const shown = new Set(metricsIn(dashboardText()));
  const stems = [...(await metricNames())].map((name) => name.replace(/_(bucket|sum|count)$/, ""));
  const parts = [...shown].map((name) => name.replace(/_(bucket|sum|count)$/, ""));
  expect(stems.filter((stem) => !parts.includes(stem))).toEqual([]);
});

describe("every panel", () => {
  const panels = ROWS.flatMap((row) => row.panels);

  test("says what it tells, in a unit, with a name for each line", () => {
    for (const { title, about, unit, queries } of panels) {
      expect(about.length, title).toBeGreaterThan(15);
      expect(unit, title).not.toBe("");
      expect(queries, title).not.toEqual([]);
      for (const { legend } of queries) expect(legend, title).not.toBe("");
    }
  });

  test("shows the chosen nodes only", () => {
    for (const { title, queries } of panels) {
      for (const { expression } of queries) {
        const promql = fillIn(expression);
        expect(promql.split("instance=~").length - 1, title).toBe(metricsIn(promql).length);
      }
    }
  });

  test("has a place of its own", () => {
    const taken = new Set<string>();
    const ids = new Set<number>();
    for (const panel of dashboard().panels as readonly Placed[]) {
      ids.add(panel.id);
      const { x, y, w, h } = panel.gridPos;
      expect(x + w).toBeLessThanOrEqual(24);
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          expect(taken, JSON.stringify(panel)).not.toContain(`${column},${line}`);
          taken.add(`${column},${line}`);
        }
      }
    }
    expect(ids.size).toBe(dashboard().panels.length);
  });
});

type Placed = {
  readonly id: number;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
};
