/**
 * Other servers on this machine for a comparison in the same run: from Debian's packages, and the C
 * program that Ayder re-creates (`AYDER_C`). One that is not there is left out and named.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startOriginal } from "./c-original.ts";
import type { HttpLoad, LoadResult } from "./generator.ts";
import { runGenerator } from "./measure.ts";
import { natsConnection, natsMessages, runNats } from "./nats.ts";
import { freePort } from "./nodes.ts";
import { answers, type Peer, type PeerLoad, spawnPeer } from "./peer.ts";
import { proveStored } from "./proof.ts";
import { MESSAGE, NDJSON_100, rawRequest } from "./requests.ts";
import { runWrk } from "./wrk.ts";

const ORIGINAL = process.env["AYDER_C"] ?? "";
// Ayder itself would warn that it does not know the variable.
Reflect.deleteProperty(process.env, "AYDER_C");

type Program = {
  /** Name of the Debian package that has the program. */
  readonly name: string;
  /** `null` if it is not there. */
  readonly path: string | null;
  /** @param http loads those that speak HTTP. */
  start(directory: string, http: HttpLoad): Promise<Peer>;
};

/** @returns where a program is, also one that only root has in its path; `null` if it is not there. */
export function installed(program: string): string | null {
  return Bun.which(program, { PATH: `${process.env["PATH"]}:/usr/sbin` });
}

function allPrograms(): readonly Program[] {
  return [
    { name: "redis-server", path: installed("redis-server"), start: startRedis },
    { name: "nats-server", path: installed("nats-server"), start: startNats },
    { name: "nginx-light", path: installed("nginx"), start: startNginx },
    { name: "etcd-server", path: installed("etcd"), start: startEtcd },
    ...originalOnly(),
  ];
}

/** @returns the C program that Ayder re-creates, alone. */
export function originalOnly(): readonly Program[] {
  const path = ORIGINAL === "" ? null : Bun.which(ORIGINAL);
  if (ORIGINAL !== "" && path === null) throw new Error(`AYDER_C: no program ${ORIGINAL}`);
  const start = (data: string, http: HttpLoad) => startOriginal(path ?? "", data, http);
  return [{ name: "the C original (AYDER_C=BINARY)", path, start }];
}

/** @param byWrk the HTTP ones are loaded by wrk. @returns all that are there, and the names of the others. */
export async function startPeers(
  directory: string,
  byWrk: boolean,
  programs = allPrograms(),
): Promise<{ peers: readonly Peer[]; absent: string[] }> {
  const http = byWrk ? runWrk : runGenerator;
  const peers: Peer[] = [];
  const absent: string[] = [];
  try {
    for (const { name, path, start } of programs) {
      if (path === null) {
        absent.push(name);
        continue;
      }
      const data = join(directory, `peer-${peers.length}`);
      mkdirSync(data, { recursive: true, mode: 0o700 });
      peers.push(await start(data, http));
    }
  } catch (cause) {
    for (const peer of peers) await peer.kill();
    throw cause;
  }
  return { peers, absent };
}

/** Every answer to a write after an fsync, as with Ayder. */
async function startRedis(data: string): Promise<Peer> {
  const port = freePort();
  const load = (pipeline: number, ...words: string[]): PeerLoad => ({
    client: "redis-benchmark",
    run: (connections, seconds) => redisBenchmark(port, connections, seconds, pipeline, words),
  });
  /** Redis counts what was added to a stream, which must be what the load has added. */
  const adds = (pipeline: number): PeerLoad => {
    const one = load(pipeline, "XADD", "s", "MAXLEN", "~", "1000000", "*", "f", MESSAGE);
    return {
      ...one,
      async run(connections, seconds) {
        const before = await added(port);
        const result = await one.run(connections, seconds);
        const acknowledged = Math.round(result.answered * pipeline);
        proveStored(
          "redis XADD",
          (await added(port)) - before,
          acknowledged,
          connections * pipeline,
        );
        return result;
      },
    };
  };
  const peer = spawnPeer(
    [
      ["redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--dir", data],
      ["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
    ].flat(),
    {
      "redis XADD always": adds(1),
      "redis XADD always, pipeline 100": adds(100),
      "redis XRANGE 100": load(1, "XRANGE", "page", "-", "+", "COUNT", "100"),
      "redis XRANGE 1000": load(1, "XRANGE", "page", "-", "+", "COUNT", "1000"),
      "redis SET always": load(1, "SET", "k", MESSAGE),
      "redis GET": load(1, "GET", "k"),
    },
  );
  while ((await redisCli(port, "ping")) !== "PONG") await Bun.sleep(50);
  await redisCli(port, "set", "k", MESSAGE);
  const words = ["-p", `${port}`, "-n", "2000", "-q", "XADD", "page", "*", "f", MESSAGE];
  await Bun.spawn(["redis-benchmark", ...words], { stdout: "ignore" }).exited;
  await proveRedis(port);
  return peer;
}

/** @returns what the client prints, a line for each string of the answer. */
async function redisCli(port: number, ...words: readonly string[]): Promise<string> {
  const line = ["redis-cli", "-p", `${port}`, ...words];
  const child = Bun.spawn(line, { stdout: "pipe", stderr: "ignore" });
  return (await new Response(child.stdout).text()).trimEnd();
}

/** Throws unless writes are synced, and pages and keys have what was stored. */
async function proveRedis(port: number): Promise<void> {
  const isRight = async (expected: string, ...words: string[]) => {
    const text = await redisCli(port, ...words);
    if (text !== expected) throw new Error(`redis ${words.join(" ")}: ${text.slice(0, 200)}`);
  };
  await isRight("appendonly\nyes", "config", "get", "appendonly");
  await isRight("appendfsync\nalways", "config", "get", "appendfsync");
  await isRight(MESSAGE, "get", "k");
  for (const count of [100, 1000]) {
    const page = await redisCli(port, "xrange", "page", "-", "+", "count", `${count}`);
    const lines = page.split("\n");
    const values = lines.filter((_, at) => at % 3 === 2);
    if (lines.length !== 3 * count || values.some((value) => value !== MESSAGE))
      throw new Error(`redis xrange count ${count}: ${lines.length} lines`);
  }
}

/** @returns the entries that were ever added to the stream of the load. */
async function added(port: number): Promise<number> {
  const text = await redisCli(port, "xinfo", "stream", "s");
  return Number(/^entries-added\n(\d+)$/m.exec(text)?.[1] ?? 0);
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
    if ((await child.exited) !== 0) throw new Error(`${line.join(" ")} failed`);
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
  const run = async (connections: number, seconds: number): Promise<LoadResult> => {
    const before = await natsMessages(port);
    const result = await runNats({ port, connections, seconds });
    proveStored("nats", (await natsMessages(port)) - before, result.answered, connections);
    return result;
  };
  const line = [
    installed("nats-server") ?? "",
    "-a",
    "127.0.0.1",
    "-p",
    `${port}`,
    "-js",
    "-sd",
    data,
  ];
  const peer = spawnPeer(line, { "nats JetStream, not synced": { client: "bench/load", run } });
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
  const load = (...requests: string[]): PeerLoad => ({
    client: "http",
    run: (connections, seconds) =>
      http({ port, requests, connections, warmupSeconds: 0.5, seconds }),
  });
  const peer = spawnPeer(
    [installed("nginx") ?? "", "-e", join(data, "error.log"), "-p", data, "-c", file],
    {
      "nginx POST": load(rawRequest("POST", "/", MESSAGE)),
      "nginx POST, 100 lines": load(rawRequest("POST", "/", NDJSON_100)),
      "nginx GET": load(rawRequest("GET", "/")),
    },
  );
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
  const load = (path: string, body: string): PeerLoad => {
    const requests = [rawRequest("POST", path, body, null)];
    return {
      client: "http",
      run: (connections, seconds) =>
        http({ port, requests, connections, warmupSeconds: 0.5, seconds }),
    };
  };
  const peer = spawnPeer(
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
  await proveEtcd(url, put, range);
  return peer;
}

/** Throws unless a value that was put is read again. */
async function proveEtcd(url: string, put: string, range: string): Promise<void> {
  await fetch(`${url}/v3/kv/put`, { method: "POST", body: put });
  const answer = await fetch(`${url}/v3/kv/range`, { method: "POST", body: range });
  const { kvs } = (await answer.json()) as { kvs?: readonly { value: string }[] };
  if (kvs?.length !== 1 || atob(kvs[0]?.value ?? "") !== MESSAGE) throw new Error("etcd: no value");
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
