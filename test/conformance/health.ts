/** CONTRACT 2. */
import { describe, expect, test } from "bun:test";
import { Client, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const text = async (path: string) => {
    const { status, headers, bytes } = await client.ask(`GET ${path}`, { token: null });
    expect(status).toBe(200);
    expect(headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
    return Buffer.from(bytes).toString();
  };

  describe("health", () => {
    test("/health and /ready need no token", async () => {
      const health = await client.ask("GET /health", { token: null });
      expect({ status: health.status, body: health.body }).toEqual({
        status: 200,
        body: { ok: true },
      });
      const ready = await client.ask("GET /ready", { token: null });
      expect({ status: ready.status, body: ready.body }).toEqual({
        status: 200,
        body: { ready: true },
      });
    });

    test("/metrics is well-formed Prometheus text", async () => {
      const topic = await client.topic("metrics", 1);
      await client.produce(topic, "x");
      const metrics = await text("/metrics");
      for (const line of metrics.trimEnd().split("\n")) {
        expect(line).toMatch(
          /^$|^# (HELP|TYPE) \w+ .+|^\w+(\{(\w+="([^"\\]|\\.)*",?)*\})? (\d|\+Inf|-|NaN).*$/,
        );
      }
      const counted = new RegExp(`ayder_topic_end_offset\\{topic="${topic}",partition="0"\\} 1`);
      expect(metrics).toMatch(counted);
    });
    test("/metrics_ha has the series that dashboards look for", async () => {
      const metrics = await text("/metrics_ha");
      for (const name of [
        "ramforge_ha_role",
        "ramforge_ha_state",
        "ramforge_ha_term",
        "ramforge_ha_fresh_quorum",
      ]) {
        expect(metrics).toMatch(new RegExp(`^${name}(\\{.*\\})? \\d+$`, "m"));
      }
      for (const name of [
        "ayder_ha_commit_index",
        "ayder_ha_applied_index",
        "ayder_ha_elections",
        "ayder_ha_heartbeats",
      ]) {
        expect(metrics).toMatch(new RegExp(`^${name}\\w*(\\{.*\\})? \\d+$`, "m"));
      }
      expect(metrics).toMatch(
        /^ayder_ha_node_info\{node_id="[^"]+",http_addr="[^"]*",role="\w+",leader="[01]"\} 1$/m,
      );
    });
  });
}
