/** Everything in PromQL that is shipped, so that it can be held against what there is. */
import { join } from "node:path";
import type { dashboard } from "../../../src/deploy/grafana/dashboard.ts";
import { PROMETHEUS } from "./prometheus.ts";

export type Expression = { readonly where: string; readonly promql: string };
type Target = { readonly expr: string };
type Rule = { readonly record?: string; readonly alert?: string; readonly expr: string };

/** Queries, variables and the annotation of the dashboard; recorded values; alerts. */
export async function expressionsOf(
  board: ReturnType<typeof dashboard>,
): Promise<readonly Expression[]> {
  const panels = board.panels.flatMap((panel) => {
    const { title = "", targets = [] } = panel as { title?: string; targets?: readonly Target[] };
    return targets.map(({ expr }) => ({ where: `panel ${title}`, promql: chosen(expr) }));
  });
  const variables = board.templating.list.flatMap(({ name, query }) => {
    const text = typeof query === "string" ? "" : query.query;
    const metric = /^label_values\((.*), \w+\)$/.exec(text)?.[1];
    return metric === undefined ? [] : [{ where: `variable ${name}`, promql: chosen(metric) }];
  });
  const annotations = board.annotations.list.map(({ name, expr }) => ({
    where: `annotation ${name}`,
    promql: compared(chosen(expr)),
  }));
  const rules = (await rulesOf()).map(({ record, alert, expr }) => ({
    where: record === undefined ? `alert ${alert}` : `value ${record}`,
    promql: record === undefined ? compared(expr) : record,
  }));
  return [...panels, ...variables, ...annotations, ...rules];
}

export async function rulesOf(): Promise<readonly Rule[]> {
  const text = await Bun.file(join(PROMETHEUS, "rules.yml")).text();
  const { groups } = Bun.YAML.parse(text) as { groups: readonly { rules: readonly Rule[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

/** With all nodes chosen. */
const chosen = (promql: string): string =>
  promql.replaceAll(/\$(job|instance)\b/g, ".*").replaceAll("$__rate_interval", "15s");

/**
 * The side of a comparison that is not the threshold: the threshold itself is not met when all is
 * well.
 */
const compared = (promql: string): string => promql.replaceAll(/ (==|>|<) [\d.]+/g, "");
