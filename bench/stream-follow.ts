/**
 * `bun bench/stream-follow.ts [STREAMS]`: that many durable streams, each followed by a connection of
 * its own, by server-sent events and by long polls: memory and CPU of the server, at rest and when each
 * stream gets a record.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "bun";
import { CommandLine } from "../test/tools/arguments.ts";
import { cpuMicros, residentMiB, startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun bench/stream-follow.ts [STREAMS]
variables:
  AYDER_BINARY  binary of Ayder (default: dist/ayder)`);
const STREAMS = LINE.integer("STREAMS", LINE.read({}, 1).positionals[0], 1000);
const SILENT_SECONDS = 10;
const IN_FLIGHT = 64;
const binary = process.env["AYDER_BINARY"] ?? join(import.meta.dir, "../dist/ayder");

const directory = mkdtempSync(join(tmpdir(), "ayder-stream-follow-"));
const server = await startSubject([binary, "--port", "0", "--data-dir", directory], {
  RF_LOG_LEVEL: "error",
  RF_MAX_STREAMS: String(STREAMS + 10),
});
const url = `http://127.0.0.1:${server.port}`;

const report = (name: string, value: number | string) => console.log(`${name.padEnd(52)} ${value}`);

async function cpuMs(): Promise<number> {
  const { main, others } = await cpuMicros(server.pid);
  return (main + others) / 1000;
}

/** Sends the request of each stream, many at a time. */
async function forEach(method: "PUT" | "POST"): Promise<void> {
  let at = 0;
  const one = async () => {
    while (at < STREAMS) {
      const response = await fetch(`${url}/v1/stream/s/${at++}`, {
        method,
        headers: { authorization: "Bearer dev", "content-type": "text/plain" },
        ...(method === "POST" ? { body: "a token " } : {}),
      });
      if (response.status >= 300) throw new Error(`${method}: ${response.status}`);
      await response.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, one));
}

type Follower = { text: string; records: number };
const decoder = new TextDecoder();

function follow(at: number, live: "sse" | "long-poll"): Promise<Socket<Follower>> {
  const state = { text: "", records: 0 };
  const request = `GET /v1/stream/s/${at}?offset=now&live=${live} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer dev\r\n\r\n`;
  return Bun.connect<Follower>({
    hostname: "127.0.0.1",
    port: server.port,
    data: state,
    socket: {
      open: (socket) => {
        socket.write(request);
      },
      data: (_, bytes) => {
        state.text += decoder.decode(bytes);
        if (state.text.includes("a token ")) state.records = 1;
      },
      error: () => {},
    },
  });
}

async function measure(live: "sse" | "long-poll"): Promise<void> {
  const before = await residentMiB(server.pid);
  const sockets: Socket<Follower>[] = [];
  for (let i = 0; i < STREAMS; i++) sockets.push(await follow(i, live));
  if (live === "sse")
    while (!sockets.every(({ data }) => data.text.includes("upToDate"))) await Bun.sleep(10);
  else await Bun.sleep(2000);
  const memory = await residentMiB(server.pid);
  report(`${live}: memory of ${STREAMS} followers, MiB`, memory - before);
  report(`${live}: memory a follower, KiB`, (((memory - before) * 1024) / STREAMS).toFixed(1));
  const silentFrom = await cpuMs();
  await Bun.sleep(SILENT_SECONDS * 1000);
  report(
    `${live}: server CPU a silent second, ms`,
    (((await cpuMs()) - silentFrom) / SILENT_SECONDS).toFixed(1),
  );
  const cpuFrom = await cpuMs();
  const from = performance.now();
  await forEach("POST");
  while (!sockets.every(({ data }) => data.records > 0)) await Bun.sleep(5);
  const took = performance.now() - from;
  report(`${live}: a record to each, streams a second`, Math.round((STREAMS / took) * 1000));
  report(
    `${live}: server CPU an append with its follower, µs`,
    Math.round((((await cpuMs()) - cpuFrom) * 1000) / STREAMS),
  );
  for (const socket of sockets) socket.terminate();
  await Bun.sleep(1000);
}

try {
  const from = performance.now();
  const empty = await residentMiB(server.pid);
  await forEach("PUT");
  report("streams", STREAMS);
  report(
    "streams created a second, fsynced, 64 in flight",
    Math.round((STREAMS / (performance.now() - from)) * 1000),
  );
  report(
    "memory a stream, KiB",
    ((((await residentMiB(server.pid)) - empty) * 1024) / STREAMS).toFixed(1),
  );
  await measure("sse");
  await measure("long-poll");
} finally {
  await server.kill();
  rmSync(directory, { recursive: true, force: true });
}
