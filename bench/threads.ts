/**
 * `bun bench/threads.ts [filter]`: one thread for all (`RF_WORKERS=0`) beside one and two threads that
 * serve HTTP. Rounds alternate, and a ratio is the median of those of the rounds, so that a noisy
 * machine hits all alike.
 *
 *     ROUNDS=5 SECONDS=2 bun bench/threads.ts produce/single
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandLine } from "../test/tools/arguments.ts";
import { type Measured, measured, medianOf, runGenerator } from "./load/measure.ts";
import { MESSAGE, NDJSON_100, rawRequest } from "./load/requests.ts";
import { residentMiB, type Subject, startSubject } from "./load/subject.ts";

const LINE = new CommandLine(`usage: bun bench/threads.ts [PART OF A NAME]
variables:
  ROUNDS   rounds of each case (default: 5)
  SECONDS  seconds of each row in a round (default: 2)`);
const ROUNDS = LINE.variable("ROUNDS", 5);
const SECONDS = LINE.variable("SECONDS", 2);
const WARMUP_SECONDS = 2;
const [filter = ""] = LINE.read({}, 1).positionals;

const CASES = [
  { name: "produce/single, 1 connection", connections: 1, request: produce("produce", MESSAGE) },
  { name: "produce/single, 64", connections: 64, request: produce("produce", MESSAGE) },
  {
    name: "produce/ndjson100, 64",
    connections: 64,
    request: produce("produce-ndjson", NDJSON_100),
  },
  {
    name: "consume/limit=100, 64",
    connections: 64,
    request: rawRequest("GET", "/broker/consume/bench/g/0?offset=0&limit=100&encoding=b64"),
  },
  { name: "kv/get, 64", connections: 64, request: rawRequest("GET", "/kv/bench/key") },
];

function produce(route: string, body: string): string {
  return rawRequest("POST", `/broker/topics/bench/${route}?partition=0`, body);
}

const binary = join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];
const directory = mkdtempSync(join(tmpdir(), "ayder-threads-"));
const start = (setting: string) =>
  startSubject([...command, "--port", "0", "--data-dir", join(directory, setting)], {
    RF_LOG_LEVEL: "error",
    RF_WORKERS: setting,
  });
const SETTINGS = ["0", "1", "2"];
const subjects: Subject[] = [];
for (const setting of SETTINGS) subjects.push(await start(setting));
try {
  for (const subject of subjects) await prepare(subject);
  console.log(`${ROUNDS} rounds of ${SECONDS} s each, ${existsSync(binary) ? "binary" : "source"}`);
  for (const { name, connections, request } of CASES) {
    if (name.includes(filter)) await measure(name, connections, request);
  }
  for (const [which, { pid }] of subjects.entries()) {
    console.log(`resident memory at the end, ${SETTINGS[which]}: ${await residentMiB(pid)} MiB`);
  }
} finally {
  for (const subject of subjects) await subject.kill();
  rmSync(directory, { recursive: true, force: true });
}

async function prepare({ port }: Subject): Promise<void> {
  const url = `http://127.0.0.1:${port}`;
  const headers = { authorization: "Bearer dev" };
  const body = JSON.stringify({ name: "bench", partitions: 1 });
  await fetch(`${url}/broker/topics`, { method: "POST", headers, body });
  await fetch(`${url}/kv/bench/key`, { method: "POST", headers, body: MESSAGE });
  const lines = `${url}/broker/topics/bench/produce-ndjson?partition=0`;
  await fetch(lines, { method: "POST", headers, body: NDJSON_100 });
}

async function measure(name: string, connections: number, request: string): Promise<void> {
  const results: Measured[][] = subjects.map(() => []);
  const load = ({ port }: Subject, seconds: number) =>
    runGenerator({ port, requests: [request], connections, warmupSeconds: 0.5, seconds });
  for (const subject of subjects) await load(subject, WARMUP_SECONDS);
  for (let round = 0; round < ROUNDS; round++) {
    for (let n = 0; n < subjects.length; n++) {
      // Each round begins with another server.
      const which = (n + round) % subjects.length;
      const subject = subjects[which] as Subject;
      results[which]?.push(await measured(subject, () => load(subject, SECONDS)));
    }
  }
  const [base = [], ...others] = results;
  const ratios = others.map((figures) =>
    medianOf(figures.map(({ perSecond }, at) => perSecond / (base[at]?.perSecond ?? 0))).toFixed(2),
  );
  console.log(`${name}: ratios to 0: ${ratios.join(", ")}`);
  for (const [setting, figures] of results.entries()) {
    const of = (figure: (each: Measured) => number, digits = 2) =>
      medianOf(figures.map(figure)).toFixed(digits);
    console.log(
      `  ${setting}: ${of((each) => each.perSecond, 0)} req/s, p50 ${of((each) => each.p50Ms)} ms, ` +
        `p99 ${of((each) => each.p99Ms)} ms, CPU ${of((each) => each.mainUs, 1)}+` +
        `${of((each) => each.othersUs, 1)} us, errors ${Math.max(...figures.map((each) => each.errors))}`,
    );
  }
}
