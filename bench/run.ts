/**
 * `bun run bench [filter]`: load over HTTP beside its floors and beside other servers in the same run,
 * rounds alternating so that a noisy machine hits all alike. Prints a table of medians, the ratio with
 * its lowest and highest round; appends JSON lines to bench/results/.
 *
 *     ROUNDS=5 SECONDS=2 LOAD=wrk bun run bench produce/single
 *
 * Peers are those that are installed (Debian: redis-server, nats-server, nginx-light, etcd-server);
 * `PEERS=0` leaves them out.
 * `CPU us` is what the server's process took for a request, first its main thread, then the others
 * (syncs, garbage collection, compilation): the steadiest figure on a machine that is not idle.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import type { LoadSpec } from "./load/generator.ts";
import { type Measured, measured, medianOf, runGenerator } from "./load/measure.ts";
import { startPeers } from "./load/peers.ts";
import { MESSAGE, NDJSON_100, rawRequest } from "./load/requests.ts";
import { residentMiB, type Subject, startSubject } from "./load/subject.ts";
import { runWrk } from "./load/wrk.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const SECONDS = Number(process.env["SECONDS"] ?? 2);
const PARTITIONS = 8;
/** A server that is just started is compiled while it is measured. */
const WARMUP_SECONDS = 3;
const byWrk = process.env["LOAD"] === "wrk";

type Case = {
  readonly name: string;
  readonly requests: readonly string[];
  /** Messages that one answer stands for. */
  readonly messages: number;
  readonly connections: number;
  readonly floors: readonly Floor[];
  /** Loads of peers that do the like. */
  readonly peers: readonly string[];
};

/** What a case is compared with: a server that does next to nothing, and what it is asked. */
type Floor = {
  readonly name: string;
  readonly server: "bare" | "elysia";
  readonly requests: readonly string[];
};

const spread = (make: (partition: number) => string) =>
  Array.from({ length: PARTITIONS }, (_, partition) => make(partition));
const bare = (name: string, request: string): Floor => ({
  name,
  server: "bare",
  requests: [request],
});
const echo = (body: string) => bare("echo", rawRequest("POST", "/echo", body));
const synced = (body: string) => bare("synced echo", rawRequest("POST", "/synced", body));
const constant = bare("constant", rawRequest("GET", "/static"));
const elysiaGet: Floor = {
  name: "elysia GET",
  server: "elysia",
  requests: [rawRequest("GET", "/static")],
};

const CASES: readonly Case[] = [
  {
    name: "produce/single/sealed",
    requests: spread((p) =>
      rawRequest("POST", `/broker/topics/bench/produce?partition=${p}`, MESSAGE),
    ),
    messages: 1,
    connections: 64,
    floors: [echo(MESSAGE), synced(MESSAGE)],
    peers: ["redis XADD always", "nats JetStream, not synced", "etcd put (JSON)", "nginx POST"],
  },
  {
    name: "produce/single/rocket",
    requests: spread((p) =>
      rawRequest("POST", `/broker/topics/bench/produce?partition=${p}&mode=rocket`, MESSAGE),
    ),
    messages: 1,
    connections: 64,
    floors: [echo(MESSAGE)],
    peers: [],
  },
  {
    name: "produce/ndjson100/sealed",
    requests: spread((p) =>
      rawRequest("POST", `/broker/topics/bench/produce-ndjson?partition=${p}`, NDJSON_100),
    ),
    messages: 100,
    connections: 64,
    floors: [echo(NDJSON_100), synced(NDJSON_100)],
    peers: ["redis XADD always, pipeline 100", "nginx POST, 100 lines"],
  },
  {
    name: "consume/limit=100/b64",
    requests: spread((p) =>
      rawRequest("GET", `/broker/consume/bench/g/${p}?offset=0&limit=100&encoding=b64`),
    ),
    messages: 100,
    connections: 64,
    floors: [constant],
    peers: ["redis XRANGE 100", "nginx GET"],
  },
  {
    name: "consume/limit=1000/b64",
    requests: spread((p) =>
      rawRequest("GET", `/broker/consume/bench/g/${p}?offset=0&limit=1000&encoding=b64`),
    ),
    messages: 1000,
    connections: 16,
    floors: [],
    peers: ["redis XRANGE 1000"],
  },
  {
    name: "kv/put",
    requests: spread((p) => rawRequest("POST", `/kv/bench/key-${p}`, MESSAGE)),
    messages: 1,
    connections: 64,
    floors: [echo(MESSAGE), synced(MESSAGE)],
    peers: ["redis SET always", "etcd put (JSON)"],
  },
  {
    name: "kv/get",
    requests: spread((p) => rawRequest("GET", `/kv/bench/key-${p}`)),
    messages: 1,
    connections: 64,
    floors: [constant, elysiaGet],
    peers: ["redis GET", "etcd range (JSON)", "nginx GET"],
  },
];

const LINE = new CommandLine("usage: bun run bench [PART OF A NAME]");
const [filter = ""] = LINE.read({}, 1).positionals;
const directory = mkdtempSync(join(tmpdir(), "ayder-bench-"));
const results = join(import.meta.dir, "results");
mkdirSync(results, { recursive: true });
const file = join(results, `${new Date().toISOString().slice(0, 10)}.jsonl`);

const binary = join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];
const floorServer = (file: string) =>
  startSubject([process.execPath, join(import.meta.dir, "load", file)]);
const floors = {
  bare: await floorServer("echo-server.ts"),
  elysia: await floorServer("elysia-server.ts"),
};
const ayder = await startSubject([...command, "--port", "0", "--data-dir", directory], {
  RF_LOG_LEVEL: "warn",
});

const { peers, absent } =
  process.env["PEERS"] === "0"
    ? { peers: [], absent: [] }
    : await startPeers(join(directory, "peers"), byWrk);

try {
  await prepare(ayder);
  console.log(
    `${ROUNDS} rounds of ${SECONDS} s each by ${byWrk ? "wrk" : "bench/load"}, ` +
      `${existsSync(binary) ? "binary" : "source"}; 64-byte messages\n`,
  );
  if (absent.length > 0) console.log(`not installed, so left out: ${absent.join(", ")}\n`);
  console.log(
    row("case", "msg/s", "req/s", "p50 ms", "p99 ms", "CPU us", "ratio", "lowest to highest"),
  );
  for (const one of CASES) if (one.name.includes(filter)) await measure(one);
  console.log(`\nresident memory at the end: ${await residentMiB(ayder.pid)} MiB`);
} finally {
  await ayder.kill();
  await floors.bare.kill();
  await floors.elysia.kill();
  for (const peer of peers) await peer.kill();
  rmSync(directory, { recursive: true, force: true });
}

async function prepare(subject: Subject): Promise<void> {
  const url = `http://127.0.0.1:${subject.port}`;
  const headers = { authorization: "Bearer dev" };
  const body = JSON.stringify({ name: "bench", partitions: PARTITIONS });
  await fetch(`${url}/broker/topics`, { method: "POST", headers, body });
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await fetch(`${url}/kv/bench/key-${partition}`, { method: "POST", headers, body: MESSAGE });
    for (let i = 0; i < 20; i++) {
      const path = `/broker/topics/bench/produce-ndjson?partition=${partition}`;
      await fetch(url + path, { method: "POST", headers, body: NDJSON_100 });
    }
  }
}

/** One thing to load: ours, a floor, or a peer. */
type Row = {
  readonly name: string;
  run(seconds: number): Promise<Measured>;
  readonly results: Measured[];
};

async function measure(one: Case): Promise<void> {
  const rows: readonly Row[] = [
    rowOf(one.name, ayder, one.requests, one.connections),
    ...one.floors.map(({ name, server, requests }) =>
      rowOf(`  ${name}`, floors[server], requests, one.connections),
    ),
    ...one.peers.flatMap((name) => {
      const peer = peers.find(({ loads }) => name in loads);
      const load = peer?.loads[name];
      if (peer === undefined || load === undefined) return [];
      const run = (seconds: number) => measured(peer, () => load(one.connections, seconds));
      return [{ name: `  ${name}`, run, results: [] }];
    }),
  ];
  for (const { run } of rows) await run(WARMUP_SECONDS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const { run, results } of rows) results.push(await run(SECONDS));
  }
  const rate = (round: number) => rows[0]?.results[round]?.perSecond ?? Number.NaN;
  for (const { name, results } of rows) {
    const result = middle(results);
    // The ratio of each round, since a noisy neighbour hits both sides of a round alike.
    const ratios =
      name === one.name ? [] : results.map(({ perSecond }, round) => rate(round) / perSecond);
    show(name, result, one.messages, ratios);
    const line = { case: one.name, name: name.trim(), ...result, messages: one.messages, ratios };
    appendFileSync(file, `${JSON.stringify({ ...line, byWrk })}\n`);
  }
}

function show(name: string, result: Measured, messages: number, ratios: readonly number[]): void {
  const { perSecond, p50Ms, p99Ms, mainUs, othersUs, errors } = result;
  const whole = (value: number) => Math.round(value).toLocaleString("en");
  const cpu = `${mainUs.toFixed(1)}+${othersUs.toFixed(1)}`;
  const spread = [Math.min(...ratios), Math.max(...ratios)].map((ratio) => ratio.toFixed(2));
  const shown = ratios.length === 0 ? [] : [medianOf(ratios).toFixed(2), spread.join(" to ")];
  const rates = [whole(perSecond * messages), whole(perSecond)] as const;
  console.log(
    row(name, ...rates, p50Ms.toFixed(2), p99Ms.toFixed(2), cpu, ...shown) +
      (errors > 0 ? `  ${errors} errors` : ""),
  );
}

function row(name: string, ...columns: readonly string[]): string {
  const widths = [12, 10, 9, 9, 12, 8, 19];
  return name.padEnd(34) + columns.map((text, at) => text.padStart(widths[at] ?? 0)).join("");
}

/** By a process of its own, so that it does not share a thread with what it measures. */
function rowOf(
  name: string,
  subject: Subject,
  requests: readonly string[],
  connections: number,
): Row {
  const run = (seconds: number) => {
    const spec: LoadSpec = {
      port: subject.port,
      requests,
      connections,
      warmupSeconds: 0.5,
      seconds,
    };
    return measured(subject, () => (byWrk ? runWrk(spec) : runGenerator(spec)));
  };
  return { name, run, results: [] };
}

/** The median of each figure by itself. */
function middle(results: readonly Measured[]): Measured {
  const of = (figure: (result: Measured) => number) => medianOf(results.map(figure));
  return {
    perSecond: of((result) => result.perSecond),
    p50Ms: of((result) => result.p50Ms),
    p99Ms: of((result) => result.p99Ms),
    maxMs: of((result) => result.maxMs),
    errors: Math.max(...results.map((result) => result.errors)),
    bytesPerSecond: of((result) => result.bytesPerSecond),
    answered: of((result) => result.answered),
    mainUs: of((result) => result.mainUs),
    othersUs: of((result) => result.othersUs),
  };
}
