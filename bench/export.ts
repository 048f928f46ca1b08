/**
 * `bun bench/export.ts [records]`: exports to Parquet. Rows a second of the writer alone beside DuckDB's
 * own writer for the same rows; rows a second and memory of an export of a server; and the latency of
 * paced produces alone and beside an export, in alternating rounds.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { utf8 } from "../src/lib/bytes.ts";
import { ParquetFile } from "../src/parquet/file.ts";
import { parseFormat } from "../src/parquet/format.ts";
import { CommandLine } from "../test/tools/arguments.ts";
import { batchesOf, type Sample } from "../test/tools/parquet/samples.ts";
import { startServer, temporaryDirectory } from "../test/tools/process/server.ts";

const LINE = new CommandLine("usage: bun bench/export.ts [RECORDS]");
const [asked] = LINE.read({}, 1).positionals;
const RECORDS = LINE.integer("RECORDS", asked, 400_000);
const ROUNDS = 3;
const ROUND_MS = 4_000;
const CONNECTIONS = 4;
/** Produces a second, of all connections together. */
const RATE = 400;
const FILE_BYTES = 32 * 1024 * 1024;

const text = (n: number): string =>
  `{"n":${n},"user":"u${n % 1000}","amount":${(n * 31) % 1000}.25,"name":"name ${n % 97}","ok":${n % 2 === 0},"text":"the quick brown fox jumps over the lazy dog ${n}"}`;
const sample = (n: number): Sample => ({
  key: utf8(`user-${(n * 7919) % 10_007}`),
  headers: [],
  value: utf8(text(n)),
});
const COLUMNS = [
  { name: "n", field: "n", type: "int64" },
  { name: "user", field: "user", type: "string" },
  { name: "amount", field: "amount", type: "double" },
  { name: "ok", field: "ok", type: "boolean" },
];

const directory = temporaryDirectory();
const say = (line: string): boolean => process.stdout.write(`${line}\n`);
const perSecond = (count: number, ms: number): string =>
  `${Math.round((count * 1000) / ms).toLocaleString("en")} rows/s`;

function writerAlone(): void {
  const pages = [...batchesOf(RECORDS, 100, (offset) => 1_700_000_000_000 + offset, sample)];
  for (const [name, format] of [
    ["text", {}],
    ["values as JSON", { decode: { type: "json" } }],
    ["values as JSON and four typed columns", { decode: { type: "json" }, columns: COLUMNS }],
  ] as const) {
    const read = parseFormat(JSON.stringify(format));
    if (!read.ok) throw new Error(read.message);
    let best = Number.POSITIVE_INFINITY;
    let bytes = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const begin = performance.now();
      const file = new ParquetFile(
        read.request,
        { topic: "t", partition: 0, first: 0 },
        "zstd",
        "0",
      );
      bytes = 0;
      for (const page of pages) for (const part of file.take(page, RECORDS)) bytes += part.length;
      bytes += file.finish(RECORDS).length;
      best = Math.min(best, performance.now() - begin);
    }
    say(`writer, ${name}: ${perSecond(RECORDS, best)}, ${bytes} bytes`);
  }
}

async function duckDb(): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:", { threads: "1" });
  const connection = await instance.connect();
  await connection.run(
    `create table rows as select n::bigint as "offset", make_timestamptz((1700000000000 + n) * 1000) as "timestamp", 'user-' || ((n * 7919) % 10007) as key, '{"n":' || n || ',"user":"u' || (n % 1000) || '","amount":' || ((n * 31) % 1000) || '.25,"name":"name ' || (n % 97) || '","ok":' || (n % 2 = 0) || ',"text":"the quick brown fox jumps over the lazy dog ' || n || '"}' as "value" from range(${RECORDS}) t(n)`,
  );
  let best = Number.POSITIVE_INFINITY;
  const path = join(directory.path, "duck.parquet");
  for (let round = 0; round < ROUNDS; round++) {
    const begin = performance.now();
    await connection.run(
      `copy rows to '${path}' (format parquet, compression zstd, compression_level 1, row_group_size 65536)`,
    );
    best = Math.min(best, performance.now() - begin);
  }
  say(`DuckDB, one thread, text: ${perSecond(RECORDS, best)}, ${Bun.file(path).size} bytes`);
  connection.closeSync();
}

const lake = join(directory.path, "lake");
mkdirSync(lake);
const residentMiB = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

async function server(): Promise<void> {
  const node = await startServer({
    dataDir: join(directory.path, "data"),
    env: { RF_EXPORT_DIR: lake },
  });
  const ask = async (method: string, path: string, body?: string) => {
    const init = { method, headers: { authorization: "Bearer dev" } };
    const answer = await fetch(node.url + path, body === undefined ? init : { ...init, body });
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as Record<string, number>;
  };
  await ask("POST", "/broker/topics", '{"name":"t","partitions":1}');
  await ask("POST", "/broker/topics", '{"name":"p","partitions":1}');
  for (let first = 0; first < RECORDS; first += 1000) {
    const lines = Array.from({ length: 1000 }, (_, at) => text(first + at)).join("\n");
    await ask("POST", "/broker/topics/t/produce-ndjson?partition=0", lines);
  }
  await Bun.sleep(2_000);
  const before = residentMiB(node.pid);
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, residentMiB(node.pid));
  }, 20);
  let exports = 0;
  const export1 = async (): Promise<number> => {
    const name = `e${exports++}`;
    const body = { topic: "t", url: `file://${lake}/${name}`, max_bytes: FILE_BYTES };
    const begin = performance.now();
    await ask("PUT", `/broker/exports/${name}`, JSON.stringify(body));
    await ask("POST", `/broker/exports/${name}/flush`);
    while ((await ask("GET", `/broker/exports/${name}`))["lag_records"] !== 0) await Bun.sleep(20);
    const ms = performance.now() - begin;
    await ask("DELETE", `/broker/exports/${name}`);
    return ms;
  };
  const times = [await export1(), await export1(), await export1()];
  say(
    `server, ${FILE_BYTES >> 20} MiB a file: ${perSecond(RECORDS, Math.min(...times))} to a directory`,
  );
  say(
    `memory: ${Math.round(before)} MiB before, at most ${Math.round(peak)} MiB, ${Math.round(peak - before)} MiB more`,
  );
  clearInterval(watch);

  const alone: number[] = [];
  const beside: number[] = [];
  await produce(ask, 1_000);
  for (let round = 0; round < ROUNDS; round++) {
    alone.push(...(await produce(ask, ROUND_MS)));
    let goesOn = true;
    const exporting = (async () => {
      while (goesOn) await export1();
    })();
    beside.push(...(await produce(ask, ROUND_MS)));
    goesOn = false;
    await exporting;
  }
  const [a, b] = [quantiles(alone), quantiles(beside)];
  say(`produce alone: p50 ${a.p50.toFixed(2)} ms, p99 ${a.p99.toFixed(2)} ms`);
  say(`produce beside an export: p50 ${b.p50.toFixed(2)} ms, p99 ${b.p99.toFixed(2)} ms`);
  say(`p99 beside / alone: ${(b.p99 / a.p99).toFixed(2)}`);
  await node.kill();
}

/** Latencies of produces at a steady rate. */
async function produce(
  ask: (method: string, path: string, body?: string) => Promise<unknown>,
  forMs: number,
): Promise<number[]> {
  const latencies: number[] = [];
  const end = performance.now() + forMs;
  const one = async (): Promise<void> => {
    const gapMs = (1000 * CONNECTIONS) / RATE;
    for (let next = performance.now(); next < end; next += gapMs) {
      await Bun.sleep(Math.max(0, next - performance.now()));
      const begin = performance.now();
      await ask("POST", "/broker/topics/p/produce?partition=0", "a message of some bytes");
      latencies.push(performance.now() - begin);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, one));
  return latencies;
}

function quantiles(values: number[]): { readonly p50: number; readonly p99: number } {
  values.sort((a, b) => a - b);
  const at = (part: number): number => values[Math.floor(values.length * part)] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

writerAlone();
Bun.gc(true);
await duckDb();
await server();
directory.remove();
process.exit(0);
