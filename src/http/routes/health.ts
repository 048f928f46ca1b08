import { HEALTH, READY } from "../../api/admin.ts";
import { NO_QUERY } from "../../api/common.ts";
import type { Endpoint } from "../request-context.ts";
import { jsonText } from "../responses.ts";
import type { Services } from "../services.ts";

export const healthEndpoints = (services: Services): readonly Endpoint[] => [
  {
    method: "GET",
    path: "/health",
    access: { kind: "public" },
    leaderOnly: false,
    query: NO_QUERY,
    docs: { summary: "The process serves", tag: "health", answer: HEALTH, errors: [] },
    handle: () => jsonText(services.compat.healthBody),
  },
  {
    method: "GET",
    path: "/ready",
    access: { kind: "public" },
    leaderOnly: false,
    query: NO_QUERY,
    docs: {
      summary: "200 once recovered and caught up with a known leader, else 503",
      tag: "health",
      answer: READY,
      errors: [],
      others: { 503: { means: "Not ready; the reason is in the body", answer: READY } },
    },
    handle: async () => {
      const { ready, reason } = await services.node.health();
      const stopping = services.stopping.aborted;
      if (ready && !stopping) return jsonText('{"ready":true}');
      const body = JSON.stringify({ ready: false, reason: stopping ? "shutting down" : reason });
      return new Response(body, {
        status: 503,
        headers: {
          "content-type": "application/json",
          "retry-after": String(services.options.retryAfterSeconds),
        },
      });
    },
  },
];
