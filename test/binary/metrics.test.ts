/** Metrics that only a whole process has, from the source or the binary of `AYDER_BINARY`. */
import { expect, test } from "bun:test";
import { checkExposition } from "../tools/metrics/exposition.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

test("metrics of the cluster are those of the node, and of the process those of the process", async () => {
  const directory = temporaryDirectory();
  const server = await startServer({ dataDir: directory.path });
  try {
    const text = async (path: string) => await (await fetch(server.url + path)).text();
    const ha = await text("/metrics_ha");
    expect(ha).toContain("\nayder_ha_elections_total 1\n");
    expect(ha).toMatch(/^ayder_ha_peer_lag_entries\{node_id="node1"\} \d+$/m);
    const metrics = await text("/metrics");
    expect(metrics).toMatch(/^ayder_build_info\{version="\d+\.\d+\.\d+",commit="[0-9a-f+]*"\} 1$/m);
    const numberOf = (name: string) =>
      Number(new RegExp(`^${name} (.*)$`, "m").exec(metrics)?.[1] ?? Number.NaN);
    expect(Math.abs(numberOf("ayder_clock_seconds") - Date.now() / 1000)).toBeLessThan(60);
    const uptime = numberOf("ayder_clock_seconds") - numberOf("ayder_process_start_time_seconds");
    expect(uptime).toBeGreaterThan(0);
    expect(uptime).toBeLessThan(600);
    expect(numberOf("ayder_process_cpu_seconds_total")).toBeGreaterThan(0);
    expect(numberOf("ayder_disk_size_bytes")).toBeGreaterThan(numberOf("ayder_disk_free_bytes"));
  } finally {
    await server.stop();
    directory.remove();
  }
});

for (const dedicated of ["0", "1"]) {
  test(`odd requests make no series twice, RF_HA_DEDICATED_WORKER=${dedicated}`, async () => {
    const directory = temporaryDirectory();
    const env = { RF_HA_DEDICATED_WORKER: dedicated };
    const server = await startServer({ dataDir: directory.path, env });
    const headers = { authorization: "Bearer dev" };
    const send = async (method: string, path: string, body: string | null = null) => {
      const answer = await fetch(server.url + path, { method, headers, body });
      await answer.arrayBuffer();
    };
    try {
      const paths = [
        ...["/health", "/metrics", "/broker/topics", "/broker/topics/t", "/kv/a/b", "/kv/a"],
        ...["/broker/topics/t/produce", "/broker/consume/t/g/0", "/nothing", "/", "//", "/ui"],
        ...["/kv/%ff/%zz", "/broker/topics/a%2Fb", "/admin/compact", "/broker/views/v"],
      ];
      for (const method of ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "POST"]) {
        const body = /GET|HEAD|OPTIONS/.test(method) ? null : "x";
        for (const path of paths) await send(method, path, body);
      }
      for (const topic of ["other", "t", "-1"]) {
        await send("POST", `/broker/topics/${topic}/produce?partition=0`, "x");
        const commit = { topic, group: "other", partition: 0, offset: 1 };
        await send("POST", "/broker/commit", JSON.stringify(commit));
      }
      const exposition = async (path: string) => await (await fetch(server.url + path)).text();
      for (let scrape = 0; scrape < 2; scrape++) {
        const series = checkExposition(await exposition("/metrics"));
        const wrong = series.get('ayder_http_request_seconds_count{route="GET (wrong method)"}');
        expect(wrong).toBeGreaterThan(10);
        expect(series.get('ayder_topic_end_offset{partition="0",topic="other"}')).toBe(1);
        expect(series.get('ayder_group_lag_records{group="other",partition="0",topic="-1"}')).toBe(
          0,
        );
        const ha = await exposition("/metrics_ha");
        expect(checkExposition(ha).get("ramforge_ha_role{}")).toBe(0);
        // A line that scripts find with grep is there once.
        expect(ha.match(/ramforge_ha_role 0/g)).toHaveLength(1);
        expect(ha).not.toMatch(/ramforge_ha_role [123]/);
      }
    } finally {
      await server.stop();
      directory.remove();
    }
  });
}
