/**
 * How late records are that fall due at a steady rate: the time that a record has in its topic, less
 * the time for which it was scheduled.
 *
 *     RATE=1000 SECONDS=20 bun bench/later.ts
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MESSAGE } from "./load/requests.ts";
import { residentMiB, startSubject } from "./load/subject.ts";

const RATE = Number(process.env["RATE"] ?? 1_000);
const SECONDS = Number(process.env["SECONDS"] ?? 20);
const RECORDS = RATE * SECONDS;
const AT_A_TIME = 64;
const PAGE = 1_000;
/** Scheduling all of them takes at most this long, or the first ones are late from the start. */
const LEAD_MS = Math.max(10_000, RECORDS);

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

try {
  await ask("POST", "/topics", JSON.stringify({ name: "bench", partitions: 1 }));
  const begin = Date.now() + LEAD_MS;
  let next = 0;
  // In another order than that in which they fall due.
  const timeOf = (i: number): number => begin + ((i * 7_919) % RECORDS) * (1_000 / RATE);
  const schedule = async (): Promise<void> => {
    while (next < RECORDS) {
      const at = Math.round(timeOf(next++));
      await ask("POST", `/topics/bench/produce?partition=0&deliver_at_ms=${at}`, MESSAGE);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, schedule));
  const leftMs = begin - Date.now();
  console.log(`${RECORDS} records wait, the first one falls due in ${leftMs} ms`);
  if (leftMs < 0) throw new Error("scheduling took too long: set a lower RATE or SECONDS");
  const late: number[] = [];
  for (let offset = 0; offset < RECORDS; ) {
    const path = `/consume/bench/g/0?offset=${offset}&limit=${PAGE}&wait_ms=1000`;
    const { messages } = await ask("GET", path);
    for (const { timestamp_ms: atMs, headers } of messages) {
      late.push(atMs - Number(headers["scheduled-for-ms"]));
    }
    offset += messages.length;
  }
  late.sort((a, b) => a - b);
  const at = (q: number) => late[Math.floor((late.length - 1) * q)];
  console.log(
    `${RATE} a second: late by ${at(0.5)} ms at the median, ${at(0.99)} ms at p99, ` +
      `${at(1)} ms at most; ${await residentMiB(server.pid)} MiB resident`,
  );
} finally {
  await server.kill();
  rmSync(directory, { recursive: true, force: true });
}
