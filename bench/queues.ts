/**
 * Workers of a queue beside a single produce of the same run, and beside Redis streams and NATS work
 * queues if they are installed:
 *
 *     ROUNDS=3 SECONDS=2 bun run bench/queues.ts [ayder|redis|nats ...]
 *
 * Redis syncs each write (`appendfsync always`). NATS syncs in the background: its version here knows
 * no other way. Messages have 64 bytes.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { medianOf } from "./load/measure.ts";
import { freePort } from "./load/nodes.ts";
import { PROTOCOLS } from "./load/queue-protocols.ts";
import type { WorkersResult, WorkersSpec } from "./load/queue-workers.ts";
import { MESSAGE } from "./load/requests.ts";
import { cpuMicros, startSubject } from "./load/subject.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const SECONDS = Number(process.env["SECONDS"] ?? 2);
const WORKERS = Number(process.env["WORKERS"] ?? 64);
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

const directory = mkdtempSync(join(tmpdir(), "ayder-queues-"));
const binary = join(import.meta.dir, "../dist/ayder");
const isThere = (program: string): string | null =>
  Bun.which(program, { PATH: `${process.env["PATH"]}:/usr/sbin` });

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
        seen += chunk.toString("latin1").split(mark).length - 1;
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
  const program = isThere("redis-server");
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
  const program = isThere("nats-server");
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

const LINE = new CommandLine("usage: bun run bench/queues.ts [ayder|redis|nats ...]");
const names = LINE.read({}, 3).positionals;
for (const name of names) if (!(name in PROTOCOLS)) throw new Error(`unknown server ${name}`);
try {
  const whole = (value: number) => Math.round(value).toLocaleString("en");
  const row = (...texts: readonly string[]) =>
    console.log(texts.map((text, at) => (at === 0 ? text.padEnd(44) : text.padStart(12))).join(""));
  console.log(`${ROUNDS} rounds of ${SECONDS} s, ${WORKERS} workers (16 for batches)\n`);
  row("", "messages/s", "p50 ms", "p99 ms", "CPU us", "of produce");
  for (const { name, start } of PEERS) {
    if (names.length > 0 && !names.includes(name)) continue;
    const server = await start();
    if (server === null) {
      console.log(`${name} is not installed and is left out`);
      continue;
    }
    const rates = CASES.map((): number[] => []);
    const others: { result: WorkersResult; cpu: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const [at, { max, connections, stock }] of CASES.entries()) {
        if (stock > 0) await server.fill(stock);
        const before = await cpuMicros(server.pid);
        const spec = { protocol: name, port: server.port, connections, max, seconds: SECONDS };
        const result = await load({ ...spec, warmupSeconds: WARMUP_SECONDS });
        const after = await cpuMicros(server.pid);
        const micros = after.main + after.others - before.main - before.others;
        const messages = result.messagesPerSecond * (SECONDS + WARMUP_SECONDS);
        rates[at]?.push(result.messagesPerSecond);
        others[at] = { result, cpu: micros / messages };
      }
    }
    for (const [at, one] of CASES.entries()) {
      const rate = medianOf(rates[at] ?? []);
      const ratio = medianOf(
        (rates[at] ?? []).map((each, round) => each / (rates[0]?.[round] ?? 1)),
      );
      const { result, cpu } = others[at] as { result: WorkersResult; cpu: number };
      const times = [result.p50Ms.toFixed(2), result.p99Ms.toFixed(2), cpu.toFixed(1)];
      row(`${name}: ${one.name}`, whole(rate), ...times, ratio.toFixed(2));
    }
    await server.kill();
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
