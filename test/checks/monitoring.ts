/**
 * `bun run test:monitoring`: promtool on configuration, rules and metrics; then a real Prometheus
 * scrapes a node, and a cluster of three, under load: every panel of the dashboard, every variable,
 * every recorded value and the left side of every alert must have data. Debian: prometheus.
 */
import { dashboard } from "../../src/deploy/grafana/dashboard.ts";
import { Cluster } from "../tools/cluster/cluster.ts";
import { type Expression, expressionsOf } from "../tools/deploy/expressions.ts";
import { type Load, startLoad } from "../tools/deploy/load.ts";
import { PROMETHEUS, type Prometheus, startPrometheus, until } from "../tools/deploy/prometheus.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

if (Bun.which("promtool") === null)
  throw new Error("promtool is missing: apt-get install prometheus");
await Bun.$`promtool check config --syntax-only prometheus.yml`.cwd(PROMETHEUS);
await Bun.$`promtool check rules rules.yml`.cwd(PROMETHEUS);
await Bun.$`promtool test rules rules.test.yml`.cwd(PROMETHEUS);

for (const size of [1, 3]) await onCluster(size);

async function onCluster(size: number): Promise<void> {
  const directory = temporaryDirectory();
  const cluster = new Cluster({
    size,
    directory: directory.path,
    network: "direct",
    environment: {
      // HTTP has a loop of its own then, and a panel.
      RF_HA_DEDICATED_WORKER: "1",
      RF_WEBHOOK_ALLOW: "127.0.0.1",
      RF_EXPORT_DIR: directory.path,
    },
  });
  let prometheus: Prometheus | undefined;
  let load: Load | undefined;
  try {
    cluster.startInitialMembers();
    const addresses = cluster.nodes.map((node) => cluster.httpAddress(node));
    const urls = addresses.map((address) => `http://${address}`);
    await until(async () => {
      const ready = await Promise.all(urls.map((url) => fetch(`${url}/ready`)));
      return ready.every(({ ok }) => ok);
    });
    prometheus = await startPrometheus(directory.path, addresses);
    load = await startLoad(urls, `file://${directory.path}/lake`);
    await allHaveData(prometheus, await expressionsOf(dashboard()), size);
    for (const url of urls) {
      for (const path of ["metrics", "metrics_ha"]) {
        await Bun.$`promtool check metrics < ${await fetch(`${url}/${path}`)}`;
      }
    }
  } finally {
    await load?.stop();
    await prometheus?.stop();
    await cluster.stop();
    directory.remove();
  }
}

/** Rates need some scrapes, and recorded values one more round: what is empty is asked again. */
async function allHaveData(
  prometheus: Prometheus,
  expressions: readonly Expression[],
  nodes: number,
): Promise<void> {
  let empty = expressions;
  const begin = performance.now();
  while (empty.length > 0 && performance.now() - begin < 90_000) {
    await Bun.sleep(2000);
    const found = await Promise.all(empty.map(({ promql }) => prometheus.query(promql)));
    empty = empty.filter((_, i) => !found[i]?.some(({ value }) => Number.isFinite(value)));
  }
  for (const { where, promql } of empty) console.log(`no data: ${where}: ${promql}`);
  if (empty.length > 0) throw new Error(`${empty.length} of ${expressions.length} without data`);
  const firing = await prometheus.query('ALERTS{alertstate="firing"}');
  const names = [...new Set(firing.map(({ metric }) => metric["alertname"]))];
  const up = await prometheus.query("sum(up)");
  console.log(
    `${nodes} node(s), ${up[0]?.value} targets up: all ${expressions.length} expressions have data ` +
      `after ${Math.round((performance.now() - begin) / 1000)} s; firing: ${names.join(", ") || "none"}`,
  );
  if (up[0]?.value !== 2 * nodes) throw new Error("not all targets are up");
}
