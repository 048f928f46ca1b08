/** Live charts of the node's metrics. */
import { samples } from "../app.ts";
import { byteSize, perSecond, seconds, short } from "../lib/format.ts";
import { metrics } from "../lib/requests.ts";
import { intervalMs } from "../poll.ts";
import { SAMPLE_MS, SAMPLES_MAX } from "../samples.ts";
import { Chart } from "../ui/chart.ts";
import { curlButton } from "../ui/curl.ts";
import { h, setText } from "../ui/dom.ts";
import { button } from "../ui/form.ts";
import { heading, type PageContext, Trouble } from "../ui/page.ts";

type Line = readonly [label: string, series: string];
type Definition = {
  readonly title: string;
  readonly format: (value: number) => string;
  readonly lines: readonly Line[];
};

const percentiles = (name: string): readonly Line[] => [
  ["p50", `${name} p50`],
  ["p99", `${name} p99`],
];

const CHARTS: readonly Definition[] = [
  {
    title: "Requests",
    format: perSecond,
    lines: [
      ["produce", "produce"],
      ["consume", "consume"],
      ["keys", "keys"],
      ["other", "other"],
    ],
  },
  { title: "Messages written", format: perSecond, lines: [["messages", "records"]] },
  { title: "Produce latency", format: seconds, lines: percentiles("produce") },
  { title: "Consume latency", format: seconds, lines: percentiles("consume") },
  { title: "Journal write and fsync", format: seconds, lines: percentiles("fsync") },
  { title: "Wait for commit", format: seconds, lines: percentiles("commit") },
  { title: "Messages per fsync", format: short, lines: [["mean", "batch"]] },
  { title: "Lag of all groups", format: short, lines: [["messages", "lag"]] },
  {
    title: "Refused and failed requests",
    format: perSecond,
    lines: [
      ["4xx", "4xx"],
      ["5xx", "5xx"],
    ],
  },
  {
    title: "Memory",
    format: byteSize,
    lines: [
      ["resident", "resident"],
      ["heap", "heap"],
    ],
  },
  { title: "Event loop lag", format: seconds, lines: percentiles("loop") },
  {
    title: "Disk",
    format: byteSize,
    lines: [
      ["stored", "stored"],
      ["journal", "journal"],
    ],
  },
];

export function metricsPage({ signal }: PageContext): HTMLElement {
  const spanMs = intervalMs(SAMPLE_MS) * SAMPLES_MAX;
  const trouble = new Trouble();
  const charts = CHARTS.map(
    ({ title, format, lines }) =>
      new Chart({
        title,
        format,
        spanMs,
        lines: lines.map(([label, series]) => ({ label, points: () => samples.series(series) })),
      }),
  );
  const facts = h("p", { class: "facts" });
  samples.listen(signal, () => {
    for (const chart of charts) chart.draw();
    const free = samples.now("disk");
    const followers = samples.now("followers");
    const parts = [`last ${Math.round(spanMs / 60_000)} minutes`];
    if (free !== null) parts.push(`${byteSize(free)} of disk space free`);
    if (followers !== null) parts.push(`${short(followers)} followed streams`);
    setText(facts, parts.join(" · "));
    if (samples.trouble === "") trouble.clear();
    else trouble.show(samples.trouble);
  });
  const toggle = button(
    "Pause",
    () => {
      samples.paused = !samples.paused;
      show();
    },
    { "data-pause": true },
  );
  const show = () => {
    setText(toggle, samples.paused ? "Resume" : "Pause");
    toggle.setAttribute("aria-pressed", String(samples.paused));
  };
  show();
  return h(
    "div",
    {},
    heading(
      "Metrics",
      "monitoring",
      toggle,
      curlButton(() => metrics),
    ),
    facts,
    trouble.element,
    h("div", { class: "charts" }, ...charts.map(({ element }) => element)),
  );
}
