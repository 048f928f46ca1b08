/**
 * `bun bench/streams.ts [STREAMS] [--records N] [--followers N] [--idle S]`: many small durable streams
 * on one new node. It prints the rate of creation at 64 requests in flight, memory a stream right after
 * filling and S seconds without requests later (default: 0), how long a checkpoint
 * takes and the longest stop of the event loop in it, how long a restart takes, what a subscription to
 * all of them takes, and how long it takes until followers of different streams have got a record each.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { CommandLine } from "../test/tools/arguments.ts";
import { floodAny } from "./load/flood.ts";
import { cpuMicros, residentMiB, type Subject, startSubject } from "./load/subject.ts";

const LINE =
  new CommandLine(`usage: bun bench/streams.ts [STREAMS] [--records N] [--followers N] [--idle S]
variables:
  AYDER_BINARY  binary of Ayder (default: dist/ayder)
  BENCH_DIR     directory for the data of the server (default: that for temporary files)`);
const { values, positionals } = LINE.read(
  { records: { type: "string" }, followers: { type: "string" }, idle: { type: "string" } },
  1,
);
const STREAMS = LINE.integer("STREAMS", positionals[0], 100_000);
const RECORDS = LINE.integer("--records", values.records, 10);
const FOLLOWERS = LINE.integer("--followers", values.followers, Math.min(STREAMS, 10_000));
const IDLE_SECONDS = LINE.integer("--idle", values.idle, 0);
const RECORD = "x".repeat(100);

const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "ayder-streams-"));
const binary = process.env["AYDER_BINARY"] ?? join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];
const start = (): Promise<Subject> =>
  startSubject([...command, "--port", "0", "--data-dir", directory], {
    RF_LOG_LEVEL: "warn",
    RF_MAX_STREAMS: String(STREAMS + 1000),
  });
const headers = { authorization: "Bearer dev" };

function request(method: string, path: string, body: string): string {
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n`;
  const type = body === "" ? "" : "Content-Type: text/plain\r\n";
  return `${head}${type}Content-Length: ${body.length}\r\n\r\n${body}`;
}

const pathOf = (stream: number): string => `/v1/stream/session/${stream}`;

type Line = Record<string, number | string>;
const print = (line: Line): void => console.log(JSON.stringify(line));

try {
  let subject = await start();
  const emptyMiB = await residentMiB(subject.pid);
  await create(subject);
  await append(subject);
  const stops = await checkpoint(subject);
  await memory(subject, emptyMiB, 0);
  if (IDLE_SECONDS > 0) {
    await Bun.sleep(IDLE_SECONDS * 1000);
    await memory(subject, emptyMiB, IDLE_SECONDS);
  }
  print({ name: "streams/checkpoint", streams: STREAMS, ...stops });
  await subject.kill();
  const begin = performance.now();
  subject = await start();
  while ((await fetch(`http://127.0.0.1:${subject.port}/ready`)).status !== 200) await Bun.sleep(2);
  const readyMs = Math.round(performance.now() - begin);
  const readyMiB = await residentMiB(subject.pid);
  const bytesEach = Math.round(((readyMiB - emptyMiB) * 2 ** 20) / STREAMS);
  const cpuMs = Math.round((await cpuMicros(subject.pid)).main / 1000);
  const restarted = { ready_ms: readyMs, cpu_ms: cpuMs, bytes_each: bytesEach };
  print({ name: "streams/restart", streams: STREAMS, ...restarted });
  await readSome(subject);
  await subscribe(subject);
  await follow(subject);
  await subject.kill();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function memory({ pid }: Subject, emptyMiB: number, idleSeconds: number): Promise<void> {
  const residentNow = await residentMiB(pid);
  print({
    name: "streams/memory",
    streams: STREAMS,
    idle_s: idleSeconds,
    resident_mib: residentNow,
    bytes_each: Math.round(((residentNow - emptyMiB) * 2 ** 20) / STREAMS),
  });
}

async function create({ port }: Subject): Promise<void> {
  const begin = performance.now();
  await floodAny(port, STREAMS, (i) => request("PUT", pathOf(i), RECORD));
  const seconds = (performance.now() - begin) / 1000;
  print({ name: "streams/create", streams: STREAMS, per_second: Math.round(STREAMS / seconds) });
}

async function append({ port }: Subject): Promise<void> {
  const count = STREAMS * (RECORDS - 1);
  if (count <= 0) return;
  const begin = performance.now();
  await floodAny(port, count, (i) => request("POST", pathOf(i % STREAMS), RECORD));
  const seconds = (performance.now() - begin) / 1000;
  print({ name: "streams/append", appends: count, per_second: Math.round(count / seconds) });
}

/** Takes a checkpoint after an append to each tenth stream, while requests measure stops of the loop. */
async function checkpoint({ port, pid }: Subject): Promise<Line> {
  const url = `http://127.0.0.1:${port}`;
  await fetch(`${url}/admin/compact`, { method: "POST", headers });
  await floodAny(port, Math.ceil(STREAMS / 10), (i) => request("POST", pathOf(i * 10), RECORD));
  let longestMs = 0;
  let isOver = false;
  const probe = async () => {
    while (!isOver) {
      const at = performance.now();
      await (await fetch(`${url}/health`)).text();
      longestMs = Math.max(longestMs, performance.now() - at);
      await Bun.sleep(1);
    }
  };
  const probing = probe();
  const cpuBefore = (await cpuMicros(pid)).main;
  const begin = performance.now();
  const answer = await fetch(`${url}/admin/compact`, { method: "POST", headers });
  const seconds = (performance.now() - begin) / 1000;
  isOver = true;
  await probing;
  if (answer.status !== 200) throw new Error(await answer.text());
  const cpuMs = Math.round(((await cpuMicros(pid)).main - cpuBefore) / 1000);
  const stopMs = Math.round(longestMs);
  return { seconds: Math.round(seconds * 1000) / 1000, cpu_ms: cpuMs, longest_stop_ms: stopMs };
}

async function readSome({ port }: Subject): Promise<void> {
  for (const stream of [0, STREAMS >> 1, STREAMS - 1]) {
    const url = `http://127.0.0.1:${port}${pathOf(stream)}?offset=-1`;
    const text = await (await fetch(url, { headers })).text();
    const expected = RECORD.length * RECORDS;
    if (text.length < expected) throw new Error(`stream ${stream} has ${text.length} bytes`);
  }
}

/** One subscription watches all streams: the time of its definition and of a wake, and its memory. */
async function subscribe({ port, pid }: Subject): Promise<void> {
  const url = `http://127.0.0.1:${port}/v1/stream`;
  const send = async (method: string, path: string, type: string, body: string) => {
    const begin = performance.now();
    const answer = await fetch(`${url}/${path}`, {
      method,
      headers: { ...headers, "content-type": type },
      body,
    });
    if (!answer.ok) throw new Error(await answer.text());
    return Math.round(performance.now() - begin);
  };
  await send("PUT", "wake", "application/json", "[]");
  const beforeMiB = await residentMiB(pid);
  const definition = { type: "pull-wake", pattern: "**", wake_stream: "wake" };
  const json = "application/json";
  const defined = await send("PUT", "__ds/subscriptions/all", json, JSON.stringify(definition));
  const woken = await send("POST", "session/0", "text/plain", RECORD);
  await floodAny(port, STREAMS, (i) => request("POST", pathOf(i), RECORD));
  const claimed = await send("POST", "__ds/subscriptions/all/claim", json, '{"worker":"w"}');
  const afterMiB = await residentMiB(pid);
  print({
    name: "streams/subscription",
    streams: STREAMS,
    define_ms: defined,
    first_wake_ms: woken,
    claim_of_all_pending_ms: claimed,
    bytes_each: Math.round(((afterMiB - beforeMiB) * 2 ** 20) / STREAMS),
  });
}

/** Each follows another stream, and gets what is appended to it then. */
async function follow({ port }: Subject): Promise<void> {
  let opened = 0;
  let got = 0;
  const sockets: Socket<{ text: string }>[] = [];
  const decoder = new TextDecoder();
  for (let i = 0; i < FOLLOWERS; i++) {
    const wanted = request("GET", `${pathOf(i)}?offset=now&live=sse`, "");
    sockets.push(
      await Bun.connect<{ text: string }>({
        hostname: "127.0.0.1",
        port,
        data: { text: "" },
        socket: {
          open: (socket) => void socket.write(wanted),
          data: ({ data }, bytes) => {
            const before = data.text;
            data.text += decoder.decode(bytes);
            if (!before.includes("event:") && data.text.includes("event:")) opened++;
            if (!before.includes("late-record") && data.text.includes("late-record")) got++;
          },
          error: () => undefined,
        },
      }),
    );
  }
  while (opened < FOLLOWERS) await Bun.sleep(5);
  const begin = performance.now();
  await floodAny(port, FOLLOWERS, (i) => request("POST", pathOf(i), "late-record"));
  while (got < FOLLOWERS) await Bun.sleep(5);
  const seconds = (performance.now() - begin) / 1000;
  print({
    name: "streams/follow",
    followers: FOLLOWERS,
    all_have_a_record_after_s: Math.round(seconds * 100) / 100,
  });
  for (const socket of sockets) socket.end();
}
