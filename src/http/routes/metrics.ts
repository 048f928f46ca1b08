import { NO_QUERY } from "../../api/common.ts";
import { createExposition, PROMETHEUS_CONTENT_TYPE } from "../../metrics/registry.ts";
import { sourcesOf } from "../metric-sources.ts";
import type { Endpoint } from "../request-context.ts";
import { bodyAnswer } from "../responses.ts";
import type { Services } from "../services.ts";

export function metricsEndpoints(services: Services): readonly Endpoint[] {
  const { instruments, sources } = services.options;
  const exposition = createExposition(instruments, { ...sourcesOf(services.node), ...sources });
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
