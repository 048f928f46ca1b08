/** What only a whole process can tell of itself, from the source or the binary of `AYDER_BINARY`. */
import { expect, test } from "bun:test";
import { startServer, temporaryDirectory } from "../process/server.ts";

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
