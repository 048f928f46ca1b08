/**
 * `bun bench/cluster.ts`: three nodes on this machine, each answer on the disks of a majority, beside
 * three of etcd (if `etcd` is installed; Debian: etcd-server) through its JSON gateway, in one run.
 * 64-byte values, 64 requests in flight, rounds alternating. Then single produces at the leader, spread
 * over the three nodes, and at the two followers only, which forward them.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { measureForwarding } from "./load/forwarding.ts";
import type { LoadResult } from "./load/generator.ts";
import { runGenerator } from "./load/measure.ts";
import { freePort, ThreeNodes } from "./load/nodes.ts";
import { MESSAGE, NDJSON_100, rawRequest } from "./load/requests.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const SECONDS = Number(process.env["SECONDS"] ?? 3);
const NODES = [1, 2, 3];
const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "ayder-cluster-"));
const children: Subprocess[] = [];
const nodes = new ThreeNodes(directory, "forward");
/** `ONLY=forwarding`: the last table alone. */
const ONLY = process.env["ONLY"] ?? "";

try {
  const ayder = await nodes.startAll(8);
  const etcd = ONLY !== "" || Bun.which("etcd") === null ? null : await startEtcd();
  const spread = (make: (partition: number) => string) => [0, 1, 2, 3, 4, 5, 6, 7].map(make);
  const single = spread((p) =>
    rawRequest("POST", `/broker/topics/bench/produce?partition=${p}`, MESSAGE),
  );
  const lines = spread((p) =>
    rawRequest("POST", `/broker/topics/bench/produce-ndjson?partition=${p}`, NDJSON_100),
  );
  const put = JSON.stringify({ key: btoa("key"), value: btoa(MESSAGE) });
  const puts = [rawRequest("POST", "/v3/kv/put", put, null)];
  const results = {
    single: [] as LoadResult[],
    lines: [] as LoadResult[],
    etcd: [] as LoadResult[],
  };
  for (let round = 0; round < (ONLY === "" ? ROUNDS : 0); round++) {
    results.single.push(await load(ayder, single));
    if (etcd !== null) results.etcd.push(await load(etcd, puts));
    results.lines.push(await load(ayder, lines));
  }
  const base = results.etcd.length > 0 ? median(results.etcd).perSecond : null;
  if (ONLY === "") {
    show("ayder, 3 nodes, single produce", results.single, 1, base);
    show("ayder, 3 nodes, ndjson 100", results.lines, 100, base);
    if (base !== null) show("etcd, 3 nodes, put (JSON gateway)", results.etcd, 1, base);
  }
  const run = { nodes, leader: ayder, requests: single, rounds: ROUNDS, seconds: SECONDS };
  await measureForwarding(run, (process.env["IN_FLIGHT"] ?? "64,512").split(",").map(Number));
} finally {
  nodes.killAll();
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
}

async function startEtcd(): Promise<number> {
  const ports = NODES.map(() => [freePort(), freePort()]);
  const cluster = ports.map(([peer], i) => `e${i + 1}=http://127.0.0.1:${peer}`).join(",");
  for (const [i, [peer, client]] of ports.entries()) {
    const peerUrl = `http://127.0.0.1:${peer}`;
    const clientUrl = `http://127.0.0.1:${client}`;
    const data = join(directory, `e${i + 1}`);
    mkdirSync(data, { mode: 0o700 });
    start(
      [
        ["etcd", "--name", `e${i + 1}`, "--data-dir", data, "--logger", "zap"],
        ["--initial-cluster", cluster, "--initial-cluster-state", "new"],
        ["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
        ["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
      ].flat(),
    );
  }
  for (;;) {
    for (const [, client = 0] of ports) {
      const url = `http://127.0.0.1:${client}/v3/maintenance/status`;
      const answer = await fetch(url, { method: "POST", body: "{}" }).catch(() => null);
      const status = (await answer?.json().catch(() => null)) as StatusOfEtcd | null;
      if (status?.leader !== undefined && status.leader === status.header?.member_id) return client;
    }
    await Bun.sleep(100);
  }
}

type StatusOfEtcd = { leader?: string; header?: { member_id?: string } };

function start(line: readonly string[]): void {
  children.push(Bun.spawn([...line], { stdio: ["ignore", "ignore", "ignore"] }));
}

function load(port: number, requests: readonly string[]): Promise<LoadResult> {
  return runGenerator({ port, requests, connections: 64, warmupSeconds: 0.5, seconds: SECONDS });
}

function median(list: readonly LoadResult[]): LoadResult {
  const sorted = [...list].sort((a, b) => a.perSecond - b.perSecond);
  return sorted[Math.floor(sorted.length / 2)] as LoadResult;
}

function show(
  name: string,
  list: readonly LoadResult[],
  messages: number,
  etcd: number | null,
): void {
  const { perSecond, p50Ms, p99Ms, errors } = median(list);
  const rate = perSecond * messages;
  const ratio = etcd === null ? "" : `  ${(rate / etcd).toFixed(1)} x etcd`;
  console.log(
    `${name.padEnd(36)}${Math.round(rate).toLocaleString("en").padStart(10)} msg/s` +
      `  p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  errors ${errors}${ratio}`,
  );
}
