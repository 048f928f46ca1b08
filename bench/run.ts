/**
 * `bun run bench [filter]`: load over HTTP beside its floors and beside other servers in the same run,
 * in rounds that alternate, so that a noisy machine affects all alike. Prints a table of medians with
 * their spread, and appends JSON lines to bench/results/. `--help` lists the variables.
 *
 * Before its rate is printed, each server has shown that its answers are right: pages have the messages
 * that were stored, and as many messages are stored as were acknowledged.
 *
 * `CPU us` is what the server's process took for a request, first its main thread, then the others
 * (syncs, garbage collection, compilation): the steadiest figure on a machine that is not idle.
 */
import { appendFileSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { CASES, type Case } from "./load/cases.ts";
import type { LoadResult, LoadSpec } from "./load/generator.ts";
import { measured, runGenerator } from "./load/measure.ts";
import type { Peer, PeerLoad } from "./load/peer.ts";
import { startPeers } from "./load/peers.ts";
import { benchDirectory, settle, warningOf } from "./load/place.ts";
import { AyderApi, provenStored } from "./load/proof.ts";
import { residentMiB, type Subject, startSubject } from "./load/subject.ts";
import { head, medians, type Row, ratiosOf, runRounds, shown } from "./load/table.ts";
import { runWrk } from "./load/wrk.ts";

const LINE = new CommandLine(`usage: bun run bench [PART OF A NAME]
variables:
  ROUNDS     rounds of each case (default: 3)
  SECONDS    seconds of each row in a round (default: 2)
  LOAD       wrk or bench: what makes the load over HTTP (default: wrk if it is installed,
             otherwise the generator of bench/load, which leaves less of the CPU for the servers)
  PEERS      0: without other servers (default: redis-server, nats-server, nginx and etcd, if installed)
  AYDER_C    binary of the C program that Ayder re-creates, as one more peer (default: none)
  BENCH_DIR  directory for the data of all servers (default: that for temporary files)
cases: ${CASES.map(({ name }) => name).join(", ")}`);
const [filter = ""] = LINE.read({}, 1).positionals;
const selected = CASES.filter(({ name }) => name.includes(filter));
if (selected.length === 0) LINE.refused(`no case has "${filter}" in its name`);

const { env } = process;
const rounds = {
  warmupSeconds: 3, // A server that is just started is compiled while it is measured.
  seconds: LINE.variable("SECONDS", 2),
  rounds: LINE.variable("ROUNDS", 3),
};
const hasWrk = Bun.which("wrk") !== null;
const byWrk =
  LINE.oneOf("LOAD", env["LOAD"] ?? (hasWrk ? "wrk" : "bench"), ["wrk", "bench"]) === "wrk";
if (byWrk && !hasWrk) LINE.refused("LOAD: wrk is not installed");
const http = byWrk ? runWrk : runGenerator;

const directory = benchDirectory("bench");
const results = join(import.meta.dir, "results");
mkdirSync(results, { recursive: true });
const file = join(results, `${new Date().toISOString().slice(0, 10)}.jsonl`);
const binary = join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];

/** All that runs, for the end. */
const started: { kill(): Promise<void> }[] = [];

async function start<T extends { kill(): Promise<void> }>(server: Promise<T>): Promise<T> {
  started.push(await server);
  return await server;
}

const startAyder = (name: string, settings: Readonly<Record<string, string>> = {}) =>
  start(
    startSubject([...command, "--port", "0", "--data-dir", join(directory, name)], {
      RF_LOG_LEVEL: "warn",
      ...settings,
    }),
  );

const startFloor = (script: string) =>
  start(
    // The floor that syncs has its file where the servers have theirs.
    startSubject([process.execPath, join(import.meta.dir, "load", script)], { TMPDIR: directory }),
  );

async function startServers() {
  const ayder = await startAyder("ayder");
  // Its newest records in memory are fewer than those that are read, and it caches no others.
  const files = await startAyder("files", { RF_TAIL_BYTES: "1048576", RF_READ_CACHE_BYTES: "0" });
  const floors = {
    bare: await startFloor("echo-server.ts"),
    elysia: await startFloor("elysia-server.ts"),
  };
  await new AyderApi(ayder.port).fill();
  await new AyderApi(files.port).fillBig();
  return { ayder, files, ...floors };
}
type Servers = Awaited<ReturnType<typeof startServers>>;
type Loads = ReadonlyMap<string, { readonly peer: Peer; readonly load: PeerLoad }>;

try {
  const servers = await startServers();
  const { peers, absent } =
    env["PEERS"] === "0"
      ? { peers: [], absent: [] }
      : await startPeers(join(directory, "peers"), byWrk);
  started.push(...peers);
  const loads: Loads = new Map(
    peers.flatMap((peer) =>
      Object.entries(peer.loads).map(([name, load]) => [name, { peer, load }] as const),
    ),
  );
  const version = Bun.spawnSync([...command, "--version"])
    .stdout.toString()
    .trim();
  console.log(
    `${rounds.rounds} rounds of ${rounds.seconds} s each by ${byWrk ? "wrk" : "bench/load"}, ` +
      `${existsSync(binary) ? "binary" : "source"} of ${version}; 64-byte messages\n`,
  );
  const warning = warningOf(directory);
  if (warning !== null) console.log(`${warning}\n`);
  if (absent.length > 0) console.log(`not there, so left out: ${absent.join(", ")}\n`);
  console.log(head());
  for (const one of selected) await measure(one, servers, loads);
  console.log(`\nresident memory at the end: ${await residentMiB(servers.ayder.pid)} MiB`);
} finally {
  for (const server of started) await server.kill();
  rmSync(directory, { recursive: true, force: true });
}

/** @returns the server's own check of a case, around a load. */
function proven(one: Case, api: AyderApi): (run: () => Promise<LoadResult>) => Promise<LoadResult> {
  const page = async (messages: Promise<number>) => {
    if ((await messages) !== one.messages) throw new Error(`${one.name}: a page is not whole`);
  };
  return async (run) => {
    if (one.proof === "stored") return await provenStored(api, one.messages, one.connections, run);
    if (one.proof === "page") await page(api.firstPages(one.messages));
    else if (one.proof === "random page") await page(api.randomPages(one.messages));
    else await api.keys();
    return await run();
  };
}

async function measure(one: Case, servers: Servers, loads: Loads): Promise<void> {
  const subject = servers[one.server];
  const check = proven(one, new AyderApi(subject.port));
  const byHttp = rowOf(one.name, one, subject, null, (spec) => check(() => http(spec)));
  const rows: Row[] = [byHttp];
  const found = one.peers.flatMap((name) => {
    const each = loads.get(name);
    return each === undefined ? [] : [{ name, ...each }];
  });
  // A peer whose load comes from a program of bench/load is compared with Ayder under the same.
  let byBench = byHttp;
  if (byWrk && found.some(({ load }) => load.client === "bench/load")) {
    byBench = rowOf("  by bench/load", one, subject, null, (spec) =>
      check(() => runGenerator(spec)),
    );
    rows.push(byBench);
  }
  for (const { name, server, requests } of one.floors)
    rows.push(rowOf(`  ${name}`, { ...one, requests }, servers[server], byHttp, http));
  for (const { name, peer, load } of found) {
    const base = load.client === "bench/load" ? byBench : byHttp;
    const run = (seconds: number) => measured(peer, () => load.run(one.connections, seconds));
    const messages = load.messages ?? one.messages;
    rows.push({ name: `  ${name}`, messages, run, base, results: [] });
  }
  await runRounds(rows, { ...rounds, settle: () => settle(directory) });
  for (const row of rows) {
    console.log(shown(row));
    const { name, messages } = row;
    const figures = { ...medians(row.results), messages, ratios: ratiosOf(row) };
    const line = { case: one.name, name: name.trim(), ...figures, byWrk };
    appendFileSync(file, `${JSON.stringify(line)}\n`);
  }
}

/** The load is made by another process, so that it does not share a thread with what it measures. */
function rowOf(
  name: string,
  { requests, connections, messages }: Pick<Case, "requests" | "connections" | "messages">,
  subject: Subject,
  base: Row | null,
  load: (spec: LoadSpec) => Promise<LoadResult>,
): Row {
  const run = (seconds: number) => {
    const spec = { port: subject.port, requests, connections, warmupSeconds: 0.5, seconds };
    return measured(subject, () => load(spec));
  };
  return { name, messages, run, base, results: [] };
}
