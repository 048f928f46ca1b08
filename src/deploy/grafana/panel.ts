/** What a panel of the dashboard is, and what all panels write their queries with. */

export type Query = {
  /** PromQL; `{}` stands for the chosen nodes and is filled in. */
  readonly expression: string;
  /** With `{{label}}`. */
  readonly legend: string;
};
export type Panel = {
  readonly title: string;
  /** What it tells, and what is good. */
  readonly about: string;
  readonly kind: "lines" | "stat" | "heatmap" | "states";
  /** Grafana's name of the unit. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Values from which a stat turns yellow and red; falling: the other way round. */
  readonly limits?: { readonly warn: number; readonly bad: number };
  /** A stat that shows the name of its series instead of the value. */
  readonly named?: true;
  /** Values may be below 0. */
  readonly signed?: true;
};

export const query = (legend: string, expression: string): Query => ({ legend, expression });
export const rate = (metric: string): string => `rate(${metric}[$__rate_interval])`;
