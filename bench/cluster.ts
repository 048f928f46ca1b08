/**
 * `bun bench/cluster.ts`: three nodes on this machine, each answer on the disks of a majority, beside
 * three of etcd (if `etcd` is installed; Debian: etcd-server) through its JSON gateway, in one run.
 * 64-byte values, 64 requests in flight, rounds alternating. Then single produces at the leader, spread
 * over the three nodes, and at the two followers only, which forward them.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { CommandLine } from "../test/tools/arguments.ts";
import { measureForwarding } from "./load/forwarding.ts";
import type { LoadResult } from "./load/generator.ts";
import { medianOf, runGenerator } from "./load/measure.ts";
import { freePort, ThreeNodes } from "./load/nodes.ts";
import { benchDirectory, settle } from "./load/place.ts";
import { MESSAGE, NDJSON_100, rawRequest } from "./load/requests.ts";
import { runWrk } from "./load/wrk.ts";

const LINE = new CommandLine(`usage: bun bench/cluster.ts
variables:
  ROUNDS     rounds of each table (default: 3)
  SECONDS    seconds of each row in a round (default: 3)
  IN_FLIGHT  requests in flight of the last table (default: 64,512)
  ONLY       forwarding: the last table alone
  BENCH_DIR  directory for the data of all servers (default: that for temporary files)
The load comes from wrk if it is installed, otherwise from the generator of bench/load.`);
LINE.read({});
const ROUNDS = LINE.variable("ROUNDS", 3);
const SECONDS = LINE.variable("SECONDS", 3);
const WARMUP_SECONDS = 3;
const NODES = [1, 2, 3];
/** Both clusters are loaded by the same program. */
const http = Bun.which("wrk") === null ? runGenerator : runWrk;
const directory = benchDirectory("cluster");
const children: Subprocess[] = [];
const nodes = new ThreeNodes(directory, "forward");
const ONLY = LINE.oneOf("ONLY", process.env["ONLY"] ?? "", ["", "forwarding"]);

try {
  const ayder = await nodes.startAll(8);
  const hasEtcd = Bun.which("etcd") !== null;
  if (!hasEtcd) console.log("not installed, so left out: etcd-server\n");
  const etcd = ONLY === "forwarding" || !hasEtcd ? null : await startEtcd();
  const spread = (make: (partition: number) => string) => [0, 1, 2, 3, 4, 5, 6, 7].map(make);
  const single = spread((p) =>
    rawRequest("POST", `/broker/topics/bench/produce?partition=${p}`, MESSAGE),
  );
  const lines = spread((p) =>
    rawRequest("POST", `/broker/topics/bench/produce-ndjson?partition=${p}`, NDJSON_100),
  );
  const put = JSON.stringify({ key: btoa("key"), value: btoa(MESSAGE) });
  const puts = [rawRequest("POST", "/v3/kv/put", put, null)];
  const rows: Row[] = [
    rowOf("ayder, 3 nodes, single produce", ayder, single, 1),
    rowOf("ayder, 3 nodes, ndjson 100", ayder, lines, 100),
    ...(etcd === null ? [] : [rowOf("etcd, 3 nodes, put (JSON gateway)", etcd, puts, 1)]),
  ];
  if (ONLY === "") await measureRows(rows, etcd === null ? null : (rows.at(-1) ?? null));
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

type Row = {
  readonly name: string;
  readonly messages: number;
  readonly run: (seconds: number) => Promise<LoadResult>;
  readonly results: LoadResult[];
};

function rowOf(name: string, port: number, requests: readonly string[], messages: number): Row {
  const run = (seconds: number) =>
    http({ port, requests, connections: 64, warmupSeconds: 0.5, seconds });
  return { name, messages, run, results: [] };
}

/** @param etcd the row that the others are compared with, round by round. */
async function measureRows(rows: readonly Row[], etcd: Row | null): Promise<void> {
  for (const { run } of rows) await run(WARMUP_SECONDS);
  for (let round = 0; round < ROUNDS; round++) {
    for (let n = 0; n < rows.length; n++) {
      const { run, results } = rows[(n + round) % rows.length] as Row;
      settle(directory);
      results.push(await run(SECONDS));
    }
  }
  for (const row of rows) show(row, etcd);
}

function show({ name, messages, results }: Row, etcd: Row | null): void {
  const median = (of: (result: LoadResult) => number) => medianOf(results.map(of));
  const rate = Math.round(median(({ perSecond }) => perSecond) * messages).toLocaleString("en");
  const errors = Math.max(...results.map((result) => result.errors));
  const ratios = (etcd?.results ?? []).map(
    ({ perSecond }, round) => ((results[round]?.perSecond ?? Number.NaN) * messages) / perSecond,
  );
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(1));
  const ratio =
    etcd === null || etcd.name === name
      ? ""
      : `  ${medianOf(ratios).toFixed(1)} x etcd (${low} to ${high})`;
  console.log(
    `${name.padEnd(36)}${rate.padStart(10)} msg/s  p50 ${median(({ p50Ms }) => p50Ms).toFixed(2)} ms` +
      `  p99 ${median(({ p99Ms }) => p99Ms).toFixed(2)} ms  errors ${errors}${ratio}`,
  );
}
