/**
 * `bun run bench/queues.ts [ayder|redis|nats ...]`: workers of a queue beside a single produce of the
 * same run, and beside Redis streams and NATS work queues if they are installed, in rounds that alternate.
 *
 * Redis syncs each write (`appendfsync always`). NATS syncs in the background: its version here knows
 * no other way. Messages have 64 bytes.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { medianOf } from "./load/measure.ts";
import { freePort } from "./load/nodes.ts";
import { installed } from "./load/peers.ts";
import { benchDirectory, settle, warningOf } from "./load/place.ts";
import type { WorkersResult, WorkersSpec } from "./load/queue-workers.ts";
import { MESSAGE } from "./load/requests.ts";
import { cpuMicros, startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun run bench/queues.ts [ayder|redis|nats ...]
variables:
  ROUNDS     rounds (default: 3)
  SECONDS    seconds of each row in a round (default: 2)
  WORKERS    connections of the rows with one message a request (default: 64)
  BENCH_DIR  directory for the data of all servers (default: that for temporary files)`);
const ROUNDS = LINE.variable("ROUNDS", 3);
const SECONDS = LINE.variable("SECONDS", 2);
const WORKERS = LINE.variable("WORKERS", 64);
const WARMUP_SECONDS = 1;
const LINES = 1_000;
/** Messages that are there before a measurement. */
const STOCK_SINGLE = 100_000;
const STOCK_BATCH = 800_000;

type Server = {
  readonly port: number;
  readonly pid: number;
  /** Adds messages. */
  fill(messages: number): Promise<void>;
  kill(): Promise<void>;
};
type Peer = { readonly name: string; readonly start: () => Promise<Server | null> };

const directory = benchDirectory("queues");
const binary = join(import.meta.dir, "../dist/ayder");

async function startAyder(): Promise<Server> {
  const command = existsSync(binary)
    ? [binary]
    : [process.execPath, join(import.meta.dir, "../src/main.ts")];
  const subject = await startSubject(
    [...command, "--port", "0", "--data-dir", join(directory, "ayder")],
    { RF_LOG_LEVEL: "warn" },
  );
  const base = `http://127.0.0.1:${subject.port}/broker`;
  const ask = async (method: string, path: string, body: string) => {
    const headers = { authorization: "Bearer dev" };
    const answer = await fetch(base + path, { method, headers, body });
    if (answer.status !== 200) throw new Error(await answer.text());
  };
  await ask("POST", "/topics", JSON.stringify({ name: "bench", partitions: 8 }));
  const queue = { topic: "bench", max_in_flight: 100_000, visibility_ms: 600_000 };
  await ask("PUT", "/queues/bench", JSON.stringify(queue));
  return {
    ...subject,
    async fill(messages) {
      const body = `${MESSAGE}\n`.repeat(LINES);
      for (let i = 0; i < messages / LINES / 8; i++) {
        await Promise.all(
          Array.from({ length: 8 }, (_, partition) =>
            ask("POST", `/topics/bench/produce-ndjson?partition=${partition}`, body),
          ),
        );
      }
    },
  };
}

/** Starts a program that does not print where it listens. */
async function startProgram(command: readonly string[], port: number) {
  const child = Bun.spawn([...command], { stdout: "ignore", stderr: "ignore", stdin: "ignore" });
  for (let i = 0; i < 200; i++) {
    const isUp = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).then(
      (socket) => socket.end() === undefined,
      () => false,
    );
    if (isUp) break;
    await Bun.sleep(25);
  }
  const kill = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  return { pid: child.pid, port, kill };
}

/** One connection that sends text and waits until the answer has `count` pieces of `mark`. */
async function talk(port: number, text: string, mark: string, count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = 0;
  /** The end of what came before, where a mark may begin. */
  let before = "";
  let left: Uint8Array = Buffer.from(text, "latin1");
  const write = (socket: { write(bytes: Uint8Array): number }) => {
    left = left.subarray(socket.write(left));
  };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: write,
      drain: write,
      data: (_socket, chunk) => {
        const text = before + chunk.toString("latin1");
        seen += text.split(mark).length - 1;
        before = mark.length > 1 ? text.slice(1 - mark.length) : "";
        if (seen >= count) resolve();
      },
    },
  });
  await promise;
  socket.end();
}

const command = (...words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;

async function startRedis(): Promise<Server | null> {
  const program = installed("redis-server");
  if (program === null) return null;
  const port = freePort();
  const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory, "--save", ""];
  const durable = ["--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"];
  const server = await startProgram([program, ...options, ...durable], port);
  await talk(port, command("XGROUP", "CREATE", "bench", "g", "0", "MKSTREAM"), "+OK", 1);
  return {
    ...server,
    async fill(messages) {
      const one = command("XADD", "bench", "*", "v", MESSAGE);
      for (let i = 0; i < messages; i += 10_000) await talk(port, one.repeat(10_000), "$", 10_000);
    },
  };
}

async function startNats(): Promise<Server | null> {
  const program = installed("nats-server");
  if (program === null) return null;
  const port = freePort();
  const store = join(directory, "nats");
  const server = await startProgram(
    [program, "-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", store],
    port,
  );
  const request = (subject: string, body: object) => {
    const text = JSON.stringify(body);
    const hello = 'CONNECT {"verbose":false}\r\nSUB setup 1\r\n';
    return talk(port, `${hello}PUB ${subject} setup ${text.length}\r\n${text}\r\n`, "MSG ", 1);
  };
  const stream = { name: "bench", subjects: ["bench"], retention: "workqueue", storage: "file" };
  await request("$JS.API.STREAM.CREATE.bench", { ...stream, num_replicas: 1 });
  const config = { durable_name: "g", ack_policy: "explicit", max_ack_pending: -1 };
  await request("$JS.API.CONSUMER.DURABLE.CREATE.bench.g", { stream_name: "bench", config });
  return {
    ...server,
    async fill(messages) {
      const one = `PUB bench fill ${MESSAGE.length}\r\n${MESSAGE}\r\n`;
      const hello = 'CONNECT {"verbose":false}\r\nSUB fill 1\r\n';
      for (let i = 0; i < messages; i += 10_000) {
        await talk(port, hello + one.repeat(10_000), "MSG ", 10_000);
      }
    },
  };
}

const PEERS: readonly Peer[] = [
  { name: "ayder", start: startAyder },
  { name: "redis", start: startRedis },
  { name: "nats", start: startNats },
];

/** By a process of its own, so that it shares no thread with what it measures. */
async function load(spec: WorkersSpec): Promise<WorkersResult> {
  const file = join(import.meta.dir, "load/queue-workers.ts");
  const child = Bun.spawn([process.execPath, file, JSON.stringify(spec)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  return JSON.parse(await new Response(child.stdout).text()) as WorkersResult;
}

type Case = {
  readonly name: string;
  readonly max: number;
  readonly connections: number;
  readonly stock: number;
};
const CASES: readonly Case[] = [
  { name: "produce, one message", max: 0, connections: WORKERS, stock: 0 },
  { name: "receive and ack, one message", max: 1, connections: WORKERS, stock: STOCK_SINGLE },
  { name: "receive and ack, 100 messages", max: 100, connections: 16, stock: STOCK_BATCH },
];

const KNOWN = PEERS.map(({ name }) => name);
const names = LINE.read({}, KNOWN.length).positionals;
for (const name of names) LINE.oneOf("server", name, KNOWN);

/** Results of a server, one for each round, by case. */
type Result = WorkersResult & { readonly cpuUs: number };
type Running = { readonly name: string; readonly server: Server; readonly results: Result[][] };

async function startAll(): Promise<readonly Running[]> {
  const running: Running[] = [];
  for (const { name, start } of PEERS) {
    if (names.length > 0 && !names.includes(name)) continue;
    const server = await start();
    if (server === null) console.log(`${name} is not installed and is left out`);
    else running.push({ name, server, results: CASES.map(() => []) });
  }
  return running;
}

async function runOnce({ name, server }: Running, one: Case): Promise<Result> {
  if (one.stock > 0) await server.fill(one.stock);
  settle(directory);
  const before = await cpuMicros(server.pid);
  const { connections, max } = one;
  const spec = { protocol: name, port: server.port, connections, max, seconds: SECONDS };
  const result = await load({ ...spec, warmupSeconds: WARMUP_SECONDS });
  const after = await cpuMicros(server.pid);
  const micros = after.main + after.others - before.main - before.others;
  const messages = result.messagesPerSecond * (SECONDS + WARMUP_SECONDS);
  return { ...result, cpuUs: micros / messages };
}

const whole = (value: number) => Math.round(value).toLocaleString("en");
const row = (...texts: readonly string[]) =>
  console.log(texts.map((text, at) => (at === 0 ? text.padEnd(44) : text.padStart(12))).join(""));

function show({ name, results }: Running): void {
  for (const [at, one] of CASES.entries()) {
    const own = results[at] ?? [];
    const median = (of: (result: Result) => number) => medianOf(own.map(of));
    const rates = own.map((result) => result.messagesPerSecond);
    const produced = results[0] ?? [];
    const shares = rates.map((rate, round) => rate / (produced[round]?.messagesPerSecond ?? 1));
    const spread = (Math.max(...rates) - Math.min(...rates)) / medianOf(rates);
    row(
      `${name}: ${one.name}`,
      whole(medianOf(rates)),
      `${(spread * 100).toFixed(0)}%`,
      median((result) => result.p50Ms).toFixed(2),
      median((result) => result.p99Ms).toFixed(2),
      median((result) => result.cpuUs).toFixed(1),
      medianOf(shares).toFixed(2),
    );
  }
}

let running: readonly Running[] = [];
try {
  const warning = warningOf(directory);
  if (warning !== null) console.log(warning);
  running = await startAll();
  // A server that is just started is compiled while it is measured.
  for (const each of running) for (const one of CASES) await runOnce(each, one);
  for (let round = 0; round < ROUNDS; round++) {
    // The servers take turns case by case, and each round begins with another one.
    for (const [at, one] of CASES.entries()) {
      for (let n = 0; n < running.length; n++) {
        const each = running[(n + round) % running.length] as Running;
        each.results[at]?.push(await runOnce(each, one));
      }
    }
  }
  console.log(`${ROUNDS} rounds of ${SECONDS} s, ${WORKERS} workers (16 for batches)\n`);
  row("", "messages/s", "spread", "p50 ms", "p99 ms", "CPU us", "of produce");
  for (const each of running) show(each);
} finally {
  for (const { server } of running) await server.kill();
  rmSync(directory, { recursive: true, force: true });
}
