/** The type of a panel of the dashboard, and helpers for queries. */

export type Query = {
  /** PromQL; `{}` stands for the chosen nodes and is filled in. */
  readonly expression: string;
  /** With `{{label}}`. */
  readonly legend: string;
};
export type Panel = {
  readonly title: string;
  /** Explains the value, and which values are good. */
  readonly about: string;
  readonly kind: "lines" | "stat" | "heatmap" | "states";
  /** Grafana's name of the unit. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Values from which a stat is yellow and red. If `bad` is lower than `warn`, low values are bad. */
  readonly limits?: { readonly warn: number; readonly bad: number };
  /** A stat that shows the name of its series instead of the value. */
  readonly named?: true;
  /** Values may be below 0. */
  readonly signed?: true;
};

export const query = (legend: string, expression: string): Query => ({ legend, expression });
export const rate = (metric: string): string => `rate(${metric}[$__rate_interval])`;
