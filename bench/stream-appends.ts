/**
 * `bun bench/stream-appends.ts [DIRECTORY]`: appends of 64 bytes to 64 durable streams, 64 in flight,
 * beside the reference server of the protocol, the C original (a produce to a topic, since it has no
 * streams) and the floors, in rounds that alternate. The last check of each server with streams is that
 * their bytes are those that were acknowledged. `--help` lists the variables.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { measured, runGenerator } from "./load/measure.ts";
import { originalOnly, startPeers } from "./load/peers.ts";
import { benchDirectory, settle, warningOf } from "./load/place.ts";
import { proveStored } from "./load/proof.ts";
import { MESSAGE, rawRequest } from "./load/requests.ts";
import { type Subject, startSubject } from "./load/subject.ts";
import { head, type Row, runRounds, shown } from "./load/table.ts";
import { runWrk } from "./load/wrk.ts";

const LINE = new CommandLine(`usage: bun bench/stream-appends.ts [DIRECTORY]
DIRECTORY has @durable-streams/server in its node_modules, for example a copy of
test/checks/durable-streams after \`bun install\` (default: without the reference server)
variables:
  ROUNDS        rounds (default: 3)
  SECONDS       seconds of each row in a round (default: 2)
  AYDER_BINARY  binary of Ayder (default: dist/ayder)
  AYDER_C       binary of the C program that Ayder re-creates (default: none)
  BENCH_DIR     directory for the data of all servers (default: that for temporary files)`);
const [reference] = LINE.read({}, 1).positionals;
const { env } = process;
const rounds = {
  warmupSeconds: 3,
  seconds: LINE.variable("SECONDS", 2),
  rounds: LINE.variable("ROUNDS", 3),
};
const IN_FLIGHT = 64;
const STREAMS = 64;
const TYPE = "text/plain";
const HEADERS = { authorization: "Bearer dev", "content-type": TYPE };
const binary = env["AYDER_BINARY"] ?? join(import.meta.dir, "../dist/ayder");
const byWrk = Bun.which("wrk") !== null;
const http = byWrk ? runWrk : runGenerator;
const directory = benchDirectory("stream-appends");
const started: { kill(): Promise<void> }[] = [];

const referenceScript = (options: object) => `
  import { DurableStreamTestServer } from "@durable-streams/server";
  const server = new DurableStreamTestServer(${JSON.stringify({ port: 0, ...options })});
  console.log("listening on " + (await server.start()));
`;

async function start(command: readonly string[], cwd?: string): Promise<Subject> {
  const before = process.cwd();
  if (cwd !== undefined) process.chdir(cwd);
  const subject = await startSubject(command, { RF_LOG_LEVEL: "error", TMPDIR: directory });
  process.chdir(before);
  started.push(subject);
  return subject;
}

const pathOf = (stream: number): string => `/v1/stream/s/${stream}`;

/** A row of 64 requests in turn, and how many of them were acknowledged in all. */
function rowOf(name: string, subject: Subject, requests: readonly string[], base: Row | null) {
  const total = { acknowledged: 0, open: 0 };
  const run = (seconds: number) =>
    measured(subject, async () => {
      const spec = { port: subject.port, requests, connections: IN_FLIGHT, seconds };
      const result = await http({ ...spec, warmupSeconds: 0.5 });
      total.acknowledged += result.answered;
      total.open += 2 * IN_FLIGHT;
      return result;
    });
  return { name, messages: 1, run, base, results: [], total };
}
type StreamRow = Row & { readonly check: () => Promise<void> };

/** A server of the protocol, with its streams. */
async function streamRow(name: string, subject: Subject, base: Row | null): Promise<StreamRow> {
  const at = (stream: number) => `http://127.0.0.1:${subject.port}${pathOf(stream)}`;
  for (let stream = 0; stream < STREAMS; stream++) {
    const { status } = await fetch(at(stream), { method: "PUT", headers: HEADERS });
    if (status !== 201) throw new Error(`${name}: PUT was answered with ${status}`);
  }
  const requests = Array.from({ length: STREAMS }, (_, stream) =>
    rawRequest("POST", pathOf(stream), MESSAGE, "dev", TYPE),
  );
  const row = rowOf(name, subject, requests, base);
  const check = async () => {
    let bytes = 0;
    for (let stream = 0; stream < STREAMS; stream++) bytes += await bytesOf(at(stream));
    const { acknowledged, open } = row.total;
    proveStored(name, bytes / MESSAGE.length, acknowledged, open);
  };
  return { ...row, check };
}

/** Reads a stream to its end. @returns its bytes, each of which must be one that was appended. */
async function bytesOf(url: string): Promise<number> {
  let bytes = 0;
  for (let offset = "-1"; ; ) {
    const answer = await fetch(`${url}?offset=${offset}`, { headers: HEADERS });
    const text = await answer.text();
    if (!answer.ok || /[^x]/.test(text)) throw new Error(`${url}: not what was appended`);
    bytes += text.length;
    if (answer.headers.get("stream-up-to-date") === "true") return bytes;
    offset = answer.headers.get("stream-next-offset") ?? "";
  }
}

async function referenceRows(base: Row): Promise<readonly StreamRow[]> {
  if (reference === undefined) return [];
  const node = ["node", "--input-type=module", "-e"];
  const inMemory = await start([...node, referenceScript({})], reference);
  const dataDir = join(directory, "reference");
  const inFiles = await start([...node, referenceScript({ dataDir })], reference);
  return [
    await streamRow("  reference server, memory", inMemory, base),
    await streamRow("  reference server, files", inFiles, base),
  ];
}

try {
  const subject = await start([binary, "--port", "0", "--data-dir", join(directory, "data")]);
  const ours = await streamRow("durable stream append, synced", subject, null);
  const streams = [ours, ...(await referenceRows(ours))];
  const bare = await start([process.execPath, join(import.meta.dir, "load/echo-server.ts")]);
  const floor = (name: string, path: string) =>
    rowOf(`  ${name}`, bare, [rawRequest("POST", path, MESSAGE)], ours);
  const { peers, absent } = await startPeers(join(directory, "peers"), byWrk, originalOnly());
  started.push(...peers);
  const produces = ["C original, synced", "C original, not synced"];
  const others = peers.flatMap((peer) =>
    Object.entries(peer.loads)
      .filter(([name]) => produces.includes(name))
      .map(([name, load]): Row => {
        const run = (seconds: number) => measured(peer, () => load.run(IN_FLIGHT, seconds));
        return { name: `  ${name}: produce`, messages: 1, run, base: ours, results: [] };
      }),
  );
  const rows = [...streams, ...others, floor("echo", "/echo"), floor("synced echo", "/synced")];
  if (reference === undefined) absent.push("the reference server (DIRECTORY)");
  const warning = warningOf(directory);
  if (warning !== null) console.log(`${warning}\n`);
  if (absent.length > 0) console.log(`not there, so left out: ${absent.join(", ")}\n`);
  await runRounds(rows, { ...rounds, settle: () => settle(directory) });
  for (const { check } of streams) await check();
  const by = byWrk ? "wrk" : "bench/load";
  console.log(`${rounds.rounds} rounds of ${rounds.seconds} s each by ${by}\n\n${head()}`);
  for (const row of rows) console.log(shown(row));
} finally {
  for (const server of started) await server.kill();
  rmSync(directory, { recursive: true, force: true });
}
