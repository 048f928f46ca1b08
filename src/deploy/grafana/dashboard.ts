/**
 * Draws the panels as a dashboard of Grafana. As a script it writes dashboards/ayder.json, which
 * Grafana loads; a test compares the two.
 */
import { join } from "node:path";
import type { Panel, Query } from "./panel.ts";
import { ROWS, type Row } from "./panels.ts";

export const DASHBOARD_FILE = join(import.meta.dir, "dashboards/ayder.json");

const SOURCE = { type: "prometheus", uid: "$datasource" };
const NODES = 'job=~"$job",instance=~"$instance"';
const WIDTH = 24;
const PANELS_A_LINE = 3;
const HEIGHT = { stat: 4, lines: 8, heatmap: 8, states: 8 } as const;

/** Colours of series, the same in every panel. */
const COLOURS: readonly (readonly [pattern: RegExp, colour: string])[] = [
  [/^(in|p50|ready|requests|committed|resident)\b/, "blue"],
  [/^(out|p90|followers|applied|heap)\b/, "green"],
  [/^(p99|overloaded)$/, "orange"],
  [/^p99\.9$/, "red"],
  [/^(quorum|durable|heartbeats)\b/, "purple"],
];
/** Colours by class of status, by the names of the series. */
const STATUS_COLOURS = { "2xx": "green", "3xx": "purple", "4xx": "orange", "5xx": "red" } as const;
const ROLES: readonly (readonly [text: string, color: string])[] = [
  ["leader", "green"],
  ["follower", "blue"],
  ["candidate", "orange"],
  ["learner", "purple"],
];

/** Returns the PromQL for the nodes that are selected in the dashboard. */
export const fillIn = (expression: string): string =>
  expression.replaceAll(/\{([^{}]*)\}/g, (_, own: string) => `{${own}${NODES}}`);

export function dashboard() {
  return {
    uid: "ayder",
    title: "Ayder",
    description: "Traffic, latency, log, consumers, cluster and process of Ayder nodes.",
    tags: ["ayder"],
    schemaVersion: 39,
    version: 1,
    editable: true,
    fiscalYearStartMonth: 0,
    graphTooltip: 1,
    links: [],
    refresh: "5s",
    time: { from: "now-15m", to: "now" },
    timepicker: {},
    timezone: "browser",
    weekStart: "",
    templating: { list: variables() },
    annotations: { list: [newTerms()] },
    panels: layOut(ROWS),
  };
}

const variables = () => [
  {
    name: "datasource",
    label: "Data source",
    type: "datasource",
    query: "prometheus",
    current: { text: "Prometheus", value: "prometheus" },
  },
  choice("job", "Job", "label_values(ayder_build_info, job)"),
  choice("instance", "Node", 'label_values(ayder_build_info{job=~"$job"}, instance)'),
];

const choice = (name: string, label: string, query: string) => ({
  name,
  label,
  type: "query",
  datasource: SOURCE,
  query: { qryType: 1, query, refId: name },
  multi: true,
  includeAll: true,
  refresh: 2,
  sort: 1,
  current: { text: "All", value: "$__all" },
});

const newTerms = () => ({
  name: "New terms",
  datasource: SOURCE,
  enable: true,
  iconColor: "orange",
  expr: fillIn("changes(ramforge_ha_term{}[1m]) > 0"),
  titleFormat: "New term",
  textFormat: "{{instance}}",
});

function layOut(rows: readonly Row[]) {
  let y = 0;
  let id = 1;
  return rows.flatMap(({ title, panels }) => {
    const head = { id: id++, type: "row", title, collapsed: false, panels: [] };
    const placed: object[] = [{ ...head, gridPos: { x: 0, y: y++, w: WIDTH, h: 1 } }];
    const stats = panels.every(({ kind }) => kind === "stat");
    const w = WIDTH / (stats ? panels.length : PANELS_A_LINE);
    for (const [index, panel] of panels.entries()) {
      const x = (index * w) % WIDTH;
      const h = stats ? HEIGHT.stat : HEIGHT.lines;
      placed.push({ id: id++, ...draw(panel), gridPos: { x, y, w, h } });
      if (x + w >= WIDTH || index === panels.length - 1) y += h;
    }
    return placed;
  });
}

const TYPES = {
  lines: "timeseries",
  stat: "stat",
  heatmap: "heatmap",
  states: "state-timeline",
} as const;

const draw = (panel: Panel) => ({
  type: TYPES[panel.kind],
  title: panel.title,
  description: panel.about,
  datasource: SOURCE,
  targets: panel.queries.map((query, index) => target(panel, query, index)),
  fieldConfig: { defaults: fieldDefaults(panel), overrides: overrides(panel) },
  options: OPTIONS[panel.kind](panel),
});

const target = ({ kind }: Panel, { expression, legend }: Query, index: number) => ({
  refId: String.fromCharCode("A".charCodeAt(0) + index),
  datasource: SOURCE,
  expr: fillIn(expression),
  legendFormat: legend,
  editorMode: "code",
  range: kind !== "stat",
  instant: kind === "stat",
  ...(kind === "heatmap" && { format: "heatmap" }),
});

function fieldDefaults({ kind, unit, limits, signed }: Panel) {
  const shared = { unit, min: kind === "lines" && signed !== true ? 0 : undefined };
  switch (kind) {
    case "lines":
      return {
        ...shared,
        color: { mode: "palette-classic" },
        custom: { lineWidth: 1, fillOpacity: 8, showPoints: "never", spanNulls: false },
      };
    case "stat":
      return { ...shared, color: { mode: "thresholds" }, thresholds: thresholdsOf(limits) };
    case "states":
      return {
        ...shared,
        color: { mode: "fixed" },
        custom: { fillOpacity: 80, lineWidth: 0 },
        mappings: [{ type: "value", options: Object.fromEntries(ROLES.map(roleMapping)) }],
      };
    case "heatmap":
      return shared;
  }
}

const roleMapping = ([text, color]: readonly [string, string], index: number) => [
  String(index),
  { text, color, index },
];

function thresholdsOf(limits: Panel["limits"]) {
  if (limits === undefined) return { mode: "absolute", steps: [{ color: "blue", value: null }] };
  const { warn, bad } = limits;
  const steps =
    bad > warn
      ? [step("green", null), step("yellow", warn), step("red", bad)]
      : [step("red", null), step("yellow", bad + Number.EPSILON), step("green", warn)];
  return { mode: "absolute", steps };
}

const step = (color: string, value: number | null) => ({ color, value });

function overrides({ kind, queries }: Panel) {
  if (kind !== "lines") return [];
  if (queries.some(({ legend }) => legend === "{{status}}")) {
    return Object.entries(STATUS_COLOURS).map(([name, fixedColor]) => ({
      matcher: { id: "byName", options: name },
      properties: [{ id: "color", value: { mode: "fixed", fixedColor } }],
    }));
  }
  return COLOURS.filter(([pattern]) => queries.some(({ legend }) => pattern.test(legend))).map(
    ([pattern, fixedColor]) => ({
      matcher: { id: "byRegexp", options: String(pattern) },
      properties: [{ id: "color", value: { mode: "shades", fixedColor } }],
    }),
  );
}

const OPTIONS: Readonly<Record<Panel["kind"], (panel: Panel) => object>> = {
  lines: () => ({
    legend: { displayMode: "table", placement: "bottom", showLegend: true, calcs: ["mean", "max"] },
    tooltip: { mode: "multi", sort: "desc" },
  }),
  stat: ({ named }) => ({
    reduceOptions: { calcs: ["lastNotNull"], fields: "", values: false },
    colorMode: "value",
    graphMode: "none",
    justifyMode: "auto",
    orientation: "auto",
    percentChangeColorMode: "standard",
    showPercentChange: false,
    wideLayout: true,
    textMode: named ? "name" : "value",
  }),
  heatmap: ({ unit }) => ({
    calculate: false,
    cellGap: 1,
    color: {
      mode: "scheme",
      scheme: "Blues",
      steps: 64,
      exponent: 0.5,
      fill: "blue",
      scale: "exponential",
      reverse: false,
    },
    yAxis: { unit, axisPlacement: "left", reverse: false },
    legend: { show: true },
    tooltip: { mode: "single", showColorScale: false, yHistogram: false },
    exemplars: { color: "orange" },
    filterValues: { le: 1e-9 },
    rowsFrame: { layout: "auto" },
    showValue: "never",
  }),
  states: () => ({
    mergeValues: true,
    showValue: "auto",
    rowHeight: 0.9,
    alignValue: "left",
    legend: { displayMode: "list", placement: "bottom", showLegend: true, calcs: [] },
    tooltip: { mode: "single", sort: "none" },
  }),
};

/** Formats one panel per line, for readable diffs. */
export function dashboardText(): string {
  const { panels, ...rest } = dashboard();
  const head = JSON.stringify(rest, null, 2).slice(0, -2);
  const lines = panels.map((panel) => `    ${JSON.stringify(panel)}`).join(",\n");
  return `${head},\n  "panels": [\n${lines}\n  ]\n}\n`;
}

if (import.meta.main) await Bun.write(DASHBOARD_FILE, dashboardText());
