import { NO_QUERY } from "../../api/common.ts";
import { createExposition, PROMETHEUS_CONTENT_TYPE } from "../../metrics/registry.ts";
import type { Edge } from "../edge.ts";
import { sourcesOf } from "../metric-sources.ts";
import type { Endpoint } from "../request-context.ts";
import { bodyAnswer } from "../responses.ts";

export function metricsEndpoints(edge: Edge): readonly Endpoint[] {
  const { instruments, sources } = edge.options;
  const exposition = createExposition(instruments, { ...sourcesOf(edge.node), ...sources });
  const headers = { "content-type": PROMETHEUS_CONTENT_TYPE };
  const endpoint = (path: string, summary: string, text: () => Promise<string>): Endpoint => ({
    method: "GET",
    path,
    access: { kind: "metrics" },
    leaderOnly: false,
    query: NO_QUERY,
    docs: { summary, tag: "metrics", answer: "text", errors: [] },
    handle: () => text().then((body) => bodyAnswer(body, { headers })),
  });
  return [
    endpoint("/metrics", "Prometheus metrics of this node", exposition.metrics),
    endpoint("/metrics_ha", "Prometheus metrics of the cluster", exposition.metricsHa),
  ];
}
