/**
 * Memory of 1,000,000 produces that wait, and how late records are while some of them fall due at a
 * steady rate: the time that a record has in its topic, less the time for which it was scheduled.
 *
 *     WAITING=1000000 RATE=1000 SECONDS=20 bun bench/later.ts
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { Connection } from "./load/connection.ts";
import { isHttp } from "./load/queue-protocols.ts";
import { MESSAGE, rawRequest } from "./load/requests.ts";
import { cpuMicros, residentMiB, startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun bench/later.ts
variables:
  WAITING  records that wait, with those that fall due (default: 1000000)
  RATE     records that fall due in a second (default: 1000)
  SECONDS  seconds in which records fall due (default: 20)`);
LINE.read({});
const RATE = LINE.variable("RATE", 1_000);
const SECONDS = LINE.variable("SECONDS", 20);
/** Those that fall due are among them. */
const WAITING = LINE.variable("WAITING", 1_000_000);
const DUE = RATE * SECONDS;
const FAR = Math.max(0, WAITING - DUE);
const CONNECTIONS = 64;
const PAGE = 1_000;
/** Scheduling those that fall due takes less, or the first ones are late from the start. */
const LEAD_MS = 5_000 + DUE / 4;
const DAY_MS = 86_400_000;

const directory = mkdtempSync(join(tmpdir(), "ayder-later-"));
const binary = join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];
const server = await startSubject([...command, "--port", "0", "--data-dir", directory], {
  RF_LOG_LEVEL: "warn",
});
const base = `http://127.0.0.1:${server.port}/broker`;

async function ask(method: string, path: string, body?: string) {
  const headers = { authorization: "Bearer dev" };
  const answer = await fetch(base + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as { messages: Message[]; end_offset: number };
}
type Message = { timestamp_ms: number; headers: Record<string, string> };

/** Schedules `count` records, 64 at a time. */
async function schedule(count: number, timeOf: (i: number) => number): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    const connection = new Connection();
    await connection.open(server.port);
    while (next < count) {
      const at = Math.round(timeOf(next++));
      const path = `/broker/topics/bench/produce?partition=0&deliver_at_ms=${at}`;
      const request = Buffer.from(rawRequest("POST", path, MESSAGE), "base64");
      const answer = await connection.ask(request, isHttp);
      if (!answer.startsWith("HTTP/1.1 200")) throw new Error(answer);
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, run));
}

try {
  await ask("POST", "/topics", JSON.stringify({ name: "bench", partitions: 1 }));
  await schedule(1_000, () => Date.now() + DAY_MS);
  const empty = await residentMiB(server.pid);
  const started = performance.now();
  await schedule(
    Math.max(0, FAR - 1_000),
    (i) => Date.now() + DAY_MS + ((i * 7_919_777) % (30 * DAY_MS)),
  );
  const rate = Math.round((FAR / (performance.now() - started)) * 1_000);
  await Bun.sleep(5_000);
  const full = await residentMiB(server.pid);
  console.log(
    `${FAR} produces wait, scheduled at ${rate} a second: ${full} MiB resident, ${full - empty} more`,
  );
  const begin = Date.now() + LEAD_MS;
  // In another order than that in which they fall due.
  await schedule(DUE, (i) => begin + ((i * 7_919) % DUE) * (1_000 / RATE));
  const leftMs = begin - Date.now();
  console.log(`${DUE} more wait, the first one falls due in ${leftMs} ms`);
  if (leftMs < 0) throw new Error("scheduling took too long: set a lower RATE or SECONDS");
  const late: number[] = [];
  const before = await cpuMicros(server.pid);
  for (let offset = 0; offset < DUE; ) {
    const path = `/consume/bench/g/0?offset=${offset}&limit=${PAGE}&wait_ms=1000`;
    const { messages } = await ask("GET", path);
    for (const { timestamp_ms: atMs, headers } of messages) {
      late.push(atMs - Number(headers["scheduled-for-ms"]));
    }
    offset += messages.length;
  }
  const after = await cpuMicros(server.pid);
  const cpuMs = (after.main + after.others - before.main - before.others) / 1_000;
  late.sort((a, b) => a - b);
  const at = (q: number) => late[Math.floor((late.length - 1) * q)];
  console.log(
    `${RATE} a second: late by ${at(0.5)} ms at the median, ${at(0.99)} ms at p99, ` +
      `${at(1)} ms at most; ${Math.round(cpuMs / SECONDS)} ms of CPU time a second; ` +
      `${await residentMiB(server.pid)} MiB resident`,
  );
} finally {
  await server.kill();
  rmSync(directory, { recursive: true, force: true });
}
