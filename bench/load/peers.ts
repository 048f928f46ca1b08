/**
 * Other servers on this machine, from Debian's packages, for a comparison in the same run. One that
 * is not installed is left out and named.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { LoadResult } from "./generator.ts";
import { runGenerator } from "./measure.ts";
import { natsConnection, runNats } from "./nats.ts";
import { freePort } from "./nodes.ts";
import { MESSAGE, NDJSON_100, rawRequest } from "./requests.ts";
import { runWrk } from "./wrk.ts";

/** One kind of load on a peer. It makes its own load, since only some speak HTTP. */
export type PeerLoad = (connections: number, seconds: number) => Promise<LoadResult>;

type HttpLoad = typeof runGenerator;

export type Peer = {
  readonly pid: number;
  /** Loads by name: `redis XADD always`, … */
  readonly loads: Readonly<Record<string, PeerLoad>>;
  kill(): Promise<void>;
};

type Program = {
  /** Name of the package in Debian. */
  readonly package: string;
  readonly program: string;
  /** @param http loads those that speak HTTP. */
  start(directory: string, http: HttpLoad): Promise<Peer>;
};

const PROGRAMS: readonly Program[] = [
  { package: "redis-server", program: "redis-server", start: startRedis },
  { package: "nats-server", program: "nats-server", start: startNats },
  { package: "nginx-light", program: "nginx", start: startNginx },
  { package: "etcd-server", program: "etcd", start: startEtcd },
];

/** @param byWrk the HTTP ones are loaded by wrk. @returns all that are installed, and the names of the others. */
export async function startPeers(
  directory: string,
  byWrk: boolean,
): Promise<{ peers: readonly Peer[]; absent: readonly string[] }> {
  const http = byWrk ? runWrk : runGenerator;
  const peers: Peer[] = [];
  const absent: string[] = [];
  for (const { package: name, program, start } of PROGRAMS) {
    const data = join(directory, program);
    if (Bun.which(program, { PATH: `${process.env["PATH"]}:/usr/sbin` }) === null) {
      absent.push(name);
      continue;
    }
    mkdirSync(data, { recursive: true, mode: 0o700 });
    peers.push(await start(data, http));
  }
  return { peers, absent };
}

function spawn(line: readonly string[], loads: Peer["loads"]): Peer {
  const child = Bun.spawn([...line], { stdio: ["ignore", "ignore", "ignore"] });
  return {
    pid: child.pid,
    loads,
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

/** Every answer after an fsync, as ours. */
async function startRedis(data: string): Promise<Peer> {
  const port = freePort();
  const cli = (...words: string[]) =>
    Bun.spawn(["redis-cli", "-p", `${port}`, ...words], { stdout: "ignore", stderr: "ignore" });
  const load =
    (pipeline: number, ...words: string[]): PeerLoad =>
    (connections, seconds) =>
      redisBenchmark(port, connections, seconds, pipeline, words);
  const peer = spawn(
    [
      ["redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--dir", data],
      ["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
    ].flat(),
    {
      "redis XADD always": load(1, "XADD", "s", "MAXLEN", "~", "1000000", "*", "f", MESSAGE),
      "redis XADD always, pipeline 100": load(
        ...([100, "XADD", "s", "MAXLEN", "~", "1000000", "*", "f", MESSAGE] as const),
      ),
      "redis XRANGE 100": load(1, "XRANGE", "page", "-", "+", "COUNT", "100"),
      "redis XRANGE 1000": load(1, "XRANGE", "page", "-", "+", "COUNT", "1000"),
      "redis SET always": load(1, "SET", "k", MESSAGE),
      "redis GET": load(1, "GET", "k"),
    },
  );
  while ((await cli("ping").exited) !== 0) await Bun.sleep(50);
  await cli("set", "k", MESSAGE).exited;
  const words = ["-p", `${port}`, "-n", "2000", "-q", "XADD", "page", "*", "f", MESSAGE];
  await Bun.spawn(["redis-benchmark", ...words], { stdout: "ignore" }).exited;
  return peer;
}

/** By requests and not by time: as many as take about the time that was asked for. */
async function redisBenchmark(
  port: number,
  connections: number,
  seconds: number,
  pipeline: number,
  words: readonly string[],
): Promise<LoadResult> {
  const run = async (requests: number) => {
    const counts = ["-c", `${connections}`, "-n", `${requests}`, "-P", `${pipeline}`];
    const line = ["redis-benchmark", "-p", `${port}`, ...counts, "--csv", ...words];
    const child = Bun.spawn(line, { stdout: "pipe", stderr: "ignore" });
    const last = (await new Response(child.stdout).text()).trimEnd().split("\n").at(-1) ?? "";
    const cells = last.split(",").map((cell) => Number(cell.replaceAll('"', "")));
    const [perSecond = 0, , , p50Ms = 0, , p99Ms = 0, maxMs = 0] = cells.slice(1);
    return { perSecond, p50Ms, p99Ms, maxMs };
  };
  const first = 100 * connections * pipeline;
  const { perSecond } = await run(first);
  const requests = Math.max(first, Math.ceil(perSecond * seconds));
  const result = await run(requests);
  const answered = (first + requests) / pipeline;
  return {
    ...result,
    perSecond: result.perSecond / pipeline,
    errors: 0,
    bytesPerSecond: 0,
    answered,
  };
}

/** JetStream on files. Debian's version cannot sync before it answers; it syncs every two minutes. */
async function startNats(data: string): Promise<Peer> {
  const port = freePort();
  const peer = spawn(["nats-server", "-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", data], {
    "nats JetStream, not synced": (connections, seconds) => runNats({ port, connections, seconds }),
  });
  await natsConnection(port);
  return peer;
}

async function startNginx(data: string, http: HttpLoad): Promise<Peer> {
  const port = freePort();
  const config = `
daemon off;
pid ${data}/nginx.pid;
error_log ${data}/error.log;
worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${data}/body;
  keepalive_requests 1000000000;
  server { listen 127.0.0.1:${port}; location / { return 200 "ok"; } }
}`;
  const file = join(data, "nginx.conf");
  await Bun.write(file, config);
  const load =
    (...requests: string[]): PeerLoad =>
    (connections, seconds) =>
      http({ port, requests, connections, warmupSeconds: 0.5, seconds });
  const nginx = Bun.which("nginx", { PATH: `${process.env["PATH"]}:/usr/sbin` }) ?? "nginx";
  const peer = spawn([nginx, "-e", join(data, "error.log"), "-p", data, "-c", file], {
    "nginx POST": load(rawRequest("POST", "/", MESSAGE)),
    "nginx POST, 100 lines": load(rawRequest("POST", "/", NDJSON_100)),
    "nginx GET": load(rawRequest("GET", "/")),
  });
  await answers(`http://127.0.0.1:${port}/`);
  // The master only waits for its worker, so a SIGKILL would leave that running.
  const children = await Bun.file(`/proc/${peer.pid}/task/${peer.pid}/children`).text();
  return {
    ...peer,
    pid: Number(children.trim().split(" ")[0]),
    async kill() {
      process.kill(peer.pid, "SIGTERM");
      while (isAlive(peer.pid)) await Bun.sleep(20);
    },
  };
}

async function startEtcd(data: string, http: HttpLoad): Promise<Peer> {
  const [peerPort, port] = [freePort(), freePort()];
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const url = `http://127.0.0.1:${port}`;
  const put = JSON.stringify({ key: btoa("key"), value: btoa(MESSAGE) });
  const range = JSON.stringify({ key: btoa("key") });
  const load =
    (path: string, body: string): PeerLoad =>
    (connections, seconds) => {
      const requests = [rawRequest("POST", path, body, null)];
      return http({ port, requests, connections, warmupSeconds: 0.5, seconds });
    };
  const peer = spawn(
    [
      ["etcd", "--name", "e1", "--data-dir", data, "--initial-cluster", `e1=${peerUrl}`],
      ["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ["--listen-client-urls", url, "--advertise-client-urls", url],
    ].flat(),
    {
      "etcd put (JSON)": load("/v3/kv/put", put),
      "etcd range (JSON)": load("/v3/kv/range", range),
    },
  );
  await answers(`${url}/health`);
  return peer;
}

async function answers(url: string): Promise<void> {
  while ((await fetch(url).catch(() => null))?.ok !== true) await Bun.sleep(50);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
