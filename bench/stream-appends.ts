/**
 * `bun bench/stream-appends.ts DIRECTORY [SECONDS]`: appends to durable streams, each fsynced, beside the
 * reference server of the protocol (from node_modules in DIRECTORY) and a bare server that echoes
 * bodies, in rounds that alternate.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { cpuMicros, type Subject, startSubject } from "./load/subject.ts";

const LINE = new CommandLine("usage: bun bench/stream-appends.ts DIRECTORY [SECONDS]");
const { positionals } = LINE.read({}, 2);
const reference = positionals[0] ?? LINE.refused("DIRECTORY is missing");
const SECONDS = LINE.integer("SECONDS", positionals[1], 3);
const ROUNDS = 3;
const IN_FLIGHT = 64;
const STREAMS = 64;
const BODY = "x".repeat(64);
const binary = process.env["AYDER_BINARY"] ?? join(import.meta.dir, "../dist/ayder");

const directory = mkdtempSync(join(tmpdir(), "ayder-stream-appends-"));

const referenceScript = (dataDir: string) => `
  import { DurableStreamTestServer } from "@durable-streams/server";
  const server = new DurableStreamTestServer({ port: 0${dataDir === "" ? "" : `, dataDir: ${JSON.stringify(dataDir)}`} });
  console.log("listening on " + (await server.start()));
`;
const echoScript = `
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: async (request) => {
    await request.bytes();
    return new Response(null, { status: 204 });
  } });
  console.log("listening on http://127.0.0.1:" + server.port);
`;

type Peer = { readonly name: string; readonly subject: Subject; rates: number[]; cpu: number[] };

async function start(name: string, command: readonly string[], cwd?: string): Promise<Peer> {
  const before = process.cwd();
  if (cwd !== undefined) process.chdir(cwd);
  const subject = await startSubject(command, { RF_LOG_LEVEL: "error" });
  process.chdir(before);
  return { name, subject, rates: [], cpu: [] };
}

async function round({ subject, rates, cpu }: Peer): Promise<void> {
  const headers = { authorization: "Bearer dev", "content-type": "text/plain" };
  const at = (i: number) => `http://127.0.0.1:${subject.port}/v1/stream/s/${i}`;
  for (let i = 0; i < STREAMS; i++) await fetch(at(i), { method: "PUT", headers });
  const before = await cpuMicros(subject.pid);
  const until = performance.now() + SECONDS * 1000;
  let count = 0;
  const one = async (i: number) => {
    while (performance.now() < until) {
      const response = await fetch(at(i), { method: "POST", headers, body: BODY });
      if (response.status !== 204) throw new Error(`status ${response.status}`);
      count++;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => one(i % STREAMS)));
  const after = await cpuMicros(subject.pid);
  rates.push(count / SECONDS);
  cpu.push((after.main + after.others - before.main - before.others) / count);
}

const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const peers: Peer[] = [];
try {
  peers.push(await start("ayder", [binary, "--port", "0", "--data-dir", join(directory, "data")]));
  const node = ["node", "--input-type=module", "-e"];
  peers.push(await start("reference, memory", [...node, referenceScript("")], reference));
  peers.push(
    await start(
      "reference, files",
      [...node, referenceScript(join(directory, "files"))],
      reference,
    ),
  );
  peers.push(await start("echo", [process.execPath, "-e", echoScript]));
  for (let i = 0; i < ROUNDS; i++) for (const peer of peers) await round(peer);
  const floor = median(peers.at(-1)?.rates ?? []);
  console.log("server                 appends/s   of echo   CPU µs");
  for (const { name, rates, cpu } of peers) {
    const rate = median(rates);
    console.log(
      `${name.padEnd(20)} ${String(Math.round(rate)).padStart(11)} ${(rate / floor).toFixed(2).padStart(9)} ${median(cpu).toFixed(1).padStart(8)}`,
    );
  }
} finally {
  for (const { subject } of peers) await subject.kill();
  rmSync(directory, { recursive: true, force: true });
}
