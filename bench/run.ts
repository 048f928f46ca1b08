/**
 * `bun run bench [filter]`: load over HTTP beside its floor in the same run, rounds alternating so
 * that a noisy machine hits both alike. Prints a table; appends JSON lines to bench/results/.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadResult, LoadSpec } from "./load/generator.ts";
import { MESSAGE, NDJSON_100, rawRequest } from "./load/requests.ts";
import { residentMiB, type Subject, startSubject } from "./load/subject.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 3);
const SECONDS = Number(process.env["SECONDS"] ?? 2);
const PARTITIONS = 8;

type Case = {
  readonly name: string;
  readonly requests: readonly string[];
  /** Messages that one answer stands for. */
  readonly messages: number;
  readonly connections: number;
  /** What of the bare server it is compared with. */
  readonly floor: readonly string[] | null;
};

const spread = (make: (partition: number) => string) =>
  Array.from({ length: PARTITIONS }, (_, partition) => make(partition));
const echo = [rawRequest("POST", "/echo", MESSAGE)];
const staticGet = [rawRequest("GET", "/static")];

const CASES: readonly Case[] = [
  {
    name: "produce/single/sealed",
    requests: spread((p) =>
      rawRequest("POST", `/broker/topics/bench/produce?partition=${p}`, MESSAGE),
    ),
    messages: 1,
    connections: 64,
    floor: echo,
  },
  {
    name: "produce/single/rocket",
    requests: spread((p) =>
      rawRequest("POST", `/broker/topics/bench/produce?partition=${p}&mode=rocket`, MESSAGE),
    ),
    messages: 1,
    connections: 64,
    floor: echo,
  },
  {
    name: "produce/ndjson100/sealed",
    requests: spread((p) =>
      rawRequest("POST", `/broker/topics/bench/produce-ndjson?partition=${p}`, NDJSON_100),
    ),
    messages: 100,
    connections: 64,
    floor: [rawRequest("POST", "/echo", NDJSON_100)],
  },
  {
    name: "consume/limit=100/b64",
    requests: spread((p) =>
      rawRequest("GET", `/broker/consume/bench/g/${p}?offset=0&limit=100&encoding=b64`),
    ),
    messages: 100,
    connections: 64,
    floor: staticGet,
  },
  {
    name: "consume/limit=1000/b64",
    requests: spread((p) =>
      rawRequest("GET", `/broker/consume/bench/g/${p}?offset=0&limit=1000&encoding=b64`),
    ),
    messages: 1000,
    connections: 16,
    floor: null,
  },
  {
    name: "kv/put",
    requests: spread((p) => rawRequest("POST", `/kv/bench/key-${p}`, MESSAGE)),
    messages: 1,
    connections: 64,
    floor: echo,
  },
  {
    name: "kv/get",
    requests: spread((p) => rawRequest("GET", `/kv/bench/key-${p}`)),
    messages: 1,
    connections: 64,
    floor: staticGet,
  },
];

const filter = process.argv[2] ?? "";
const directory = mkdtempSync(join(tmpdir(), "ayder-bench-"));
const results = join(import.meta.dir, "results");
mkdirSync(results, { recursive: true });
const file = join(results, `${new Date().toISOString().slice(0, 10)}.jsonl`);

const binary = join(import.meta.dir, "../dist/ayder");
const command = existsSync(binary)
  ? [binary]
  : [process.execPath, join(import.meta.dir, "../src/main.ts")];
const floor = await startSubject([process.execPath, join(import.meta.dir, "load/echo-server.ts")]);
const ayder = await startSubject([...command, "--port", "0", "--data-dir", directory], {
  RF_LOG_LEVEL: "warn",
});

try {
  await prepare(ayder);
  console.log(
    `${ROUNDS} rounds of ${SECONDS} s each, ${existsSync(binary) ? "binary" : "source"}; 64-byte messages\n`,
  );
  console.log(
    `${"case".padEnd(28)}${"msg/s".padStart(12)}${"req/s".padStart(10)}${"p50 ms".padStart(9)}${"p99 ms".padStart(9)}${"floor req/s".padStart(13)}${"ratio".padStart(8)}`,
  );
  for (const one of CASES) if (one.name.includes(filter)) await measure(one);
  console.log(`\nresident memory at the end: ${await residentMiB(ayder.pid)} MiB`);
} finally {
  await ayder.kill();
  await floor.kill();
  rmSync(directory, { recursive: true, force: true });
}

async function prepare(subject: Subject): Promise<void> {
  const url = `http://127.0.0.1:${subject.port}`;
  const headers = { authorization: "Bearer dev" };
  const body = JSON.stringify({ name: "bench", partitions: PARTITIONS });
  await fetch(`${url}/broker/topics`, { method: "POST", headers, body });
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await fetch(`${url}/kv/bench/key-${partition}`, { method: "POST", headers, body: MESSAGE });
    for (let i = 0; i < 20; i++) {
      const path = `/broker/topics/bench/produce-ndjson?partition=${partition}`;
      await fetch(url + path, { method: "POST", headers, body: NDJSON_100 });
    }
  }
}

async function measure(one: Case): Promise<void> {
  const ours: LoadResult[] = [];
  const floors: LoadResult[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(await load(ayder, one.requests, one.connections));
    if (one.floor !== null) floors.push(await load(floor, one.floor, one.connections));
  }
  const our = median(ours);
  const floorRate = floors.length > 0 ? median(floors).perSecond : null;
  const ratio = floorRate === null ? null : our.perSecond / floorRate;
  console.log(
    one.name.padEnd(28) +
      Math.round(our.perSecond * one.messages)
        .toLocaleString("en")
        .padStart(12) +
      Math.round(our.perSecond).toLocaleString("en").padStart(10) +
      our.p50Ms.toFixed(2).padStart(9) +
      our.p99Ms.toFixed(2).padStart(9) +
      (floorRate === null ? "" : Math.round(floorRate).toLocaleString("en")).padStart(13) +
      (ratio === null ? "" : ratio.toFixed(2)).padStart(8) +
      (our.errors > 0 ? `  ${our.errors} errors` : ""),
  );
  const line = { name: one.name, ...our, messages: one.messages, floorRate, ratio };
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/** In a process of its own, so that it does not share a thread with what it measures. */
async function load(
  subject: Subject,
  requests: readonly string[],
  connections: number,
): Promise<LoadResult> {
  const spec: LoadSpec = {
    port: subject.port,
    requests,
    connections,
    warmupSeconds: 0.5,
    seconds: SECONDS,
  };
  const generator = join(import.meta.dir, "load/generator.ts");
  const child = Bun.spawn([process.execPath, generator, JSON.stringify(spec)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  return JSON.parse(await new Response(child.stdout).text()) as LoadResult;
}

function median(list: readonly LoadResult[]): LoadResult {
  const sorted = [...list].sort((a, b) => a.perSecond - b.perSecond);
  return sorted[Math.floor(sorted.length / 2)] as LoadResult;
}
