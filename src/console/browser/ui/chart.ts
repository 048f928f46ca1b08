/** Line charts over time as SVG; the legend has the numbers as text. */
import type { Point } from "../samples.ts";
import { assign, h, setText, svg } from "./dom.ts";

const WIDTH = 300;
const HEIGHT = 72;

export type ChartLine = { readonly label: string; readonly points: () => readonly Point[] };
export type ChartOptions = {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  readonly format: (value: number) => string;
  /** Width of the time axis. */
  readonly spanMs: number;
};

export class Chart {
  readonly element: HTMLElement;
  readonly #options: ChartOptions;
  readonly #paths: readonly SVGPathElement[];
  readonly #values: readonly HTMLElement[];
  readonly #top = h("span", { class: "top" });

  constructor(options: ChartOptions) {
    this.#options = options;
    this.#paths = options.lines.map((_, i) => svg("path", { class: `line line${i}` }));
    this.#values = options.lines.map(() => h("dd", {}, "–"));
    const legend = options.lines.map(({ label }, i) =>
      h("div", {}, h("dt", { class: `mark line${i}` }, label), this.#values[i] ?? null),
    );
    this.element = h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, options.title, this.#top),
      svg(
        "svg",
        {
          viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
          preserveAspectRatio: "none",
          "aria-hidden": "true",
        },
        svg("path", { class: "grid", d: `M0 ${HEIGHT - 0.5}H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}` }),
        ...this.#paths,
      ),
      h("dl", {}, ...legend),
    );
  }

  draw(): void {
    const { lines, format } = this.#options;
    const all = lines.map(({ points }) => points());
    const values = all.flatMap((points) => points.map(({ value }) => value ?? 0));
    const most = Math.max(...values, 0);
    const now = Math.max(...all.map((points) => points.at(-1)?.atMs ?? 0), 0);
    for (const [i, points] of all.entries()) {
      const path = this.#paths[i];
      if (path !== undefined) assign(path, { d: this.#path(points, now, most) });
      const value = points.at(-1)?.value ?? null;
      const place = this.#values[i];
      if (place !== undefined) setText(place, value === null ? "–" : format(value));
    }
    setText(this.#top, most > 0 ? `max ${format(most)}` : "");
  }

  /** Draws a gap if there is no value. */
  #path(points: readonly Point[], now: number, most: number): string {
    let path = "";
    let pen = "M";
    for (const { atMs, value } of points) {
      if (value === null) {
        pen = "M";
        continue;
      }
      const x = WIDTH - ((now - atMs) / this.#options.spanMs) * WIDTH;
      const y = HEIGHT - 1 - (most === 0 ? 0 : value / most) * (HEIGHT - 4);
      path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      // A single point is a line of zero length, which a round cap makes visible.
      if (pen === "M") path += "h0";
      pen = "L";
    }
    return path;
  }
}

const SPARK_WIDTH = 64;
const SPARK_HEIGHT = 16;

/** A line without axes for a table; its number is shown beside it. */
export class Spark {
  readonly element: SVGSVGElement;
  readonly #path = svg("path", { class: "line line0" });

  constructor() {
    this.element = svg(
      "svg",
      { class: "spark", viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, "aria-hidden": "true" },
      this.#path,
    );
  }

  draw(points: readonly Point[]): void {
    const shown = points.slice(-SPARK_WIDTH / 2);
    const most = Math.max(...shown.map(({ value }) => value ?? 0), 1e-9);
    const step = SPARK_WIDTH / (SPARK_WIDTH / 2 - 1);
    const from = SPARK_WIDTH - (shown.length - 1) * step;
    const d = shown.map(({ value }, i) => {
      const y = SPARK_HEIGHT - 1.5 - ((value ?? 0) / most) * (SPARK_HEIGHT - 3);
      return `${i === 0 ? "M" : "L"}${(from + i * step).toFixed(1)} ${y.toFixed(1)}`;
    });
    assign(this.#path, { d: d.join("") });
  }
}
