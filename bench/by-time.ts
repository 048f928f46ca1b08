/**
 * `bun bench/by-time.ts [messages]`: fills 8 partitions with 64-byte messages and measures how long it
 * takes to find the first message that is not older than a random time, one request after the other.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { fillPartitions } from "./load/fill.ts";
import { type Subject, startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun bench/by-time.ts [MESSAGES]
variables:
  BENCH_DIR  directory for the data of the server (default: that for temporary files)`);
const MESSAGES = LINE.integer("MESSAGES", LINE.read({}, 1).positionals[0], 8_000_000);
const PARTITIONS = 8;
const LOOK_UPS = 2_000;

const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "ayder-by-time-"));
const binary = join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];
const headers = { authorization: "Bearer dev" };

try {
  const subject = await startSubject([...command, "--port", "0", "--data-dir", directory], {
    RF_LOG_LEVEL: "warn",
  });
  const beginMs = Date.now();
  await fillPartitions(subject.port, PARTITIONS, MESSAGES);
  const endMs = Date.now();
  const time = () => Math.floor(beginMs + Math.random() * (endMs - beginMs));
  const partition = () => Math.floor(Math.random() * PARTITIONS);
  await measure(
    subject,
    "consume?from_ms&limit=1",
    () => `/broker/consume/big/g/${partition()}?limit=1&from_ms=${time()}`,
  );
  await measure(
    subject,
    `offsets?time_ms of ${PARTITIONS} partitions`,
    () => `/broker/topics/big/offsets?time_ms=${time()}`,
  );
  await subject.kill();
} finally {
  rmSync(directory, { recursive: true, force: true });
}

async function measure(subject: Subject, name: string, pathOf: () => string): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < LOOK_UPS; i++) {
    const begin = performance.now();
    const answer = await fetch(`http://127.0.0.1:${subject.port}${pathOf()}`, { headers });
    if (answer.status !== 200) throw new Error(await answer.text());
    await answer.arrayBuffer();
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => Number((times[Math.floor(times.length * share)] ?? 0).toFixed(2));
  const line = {
    ...{ name, messages: MESSAGES, look_ups: LOOK_UPS },
    ...{ p50_ms: at(0.5), p90_ms: at(0.9), p99_ms: at(0.99), max_ms: at(0.9999) },
  };
  console.log(JSON.stringify(line));
}
