/**
 * `bun run test:parquet [--records N] [--only writer|server]`: a million records of all kinds of values as Parquet files, every
 * cell of which DuckDB and `hyparquet` must read as the records say. Then the same through a server:
 * the files of an export must have what a consumer reads.
 */
import { deepStrictEqual } from "node:assert";
import { isUtf8 } from "node:buffer";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createClient } from "../../src/client/index.ts";
import type { NewRecord } from "../../src/client/types.ts";
import { ParquetFile } from "../../src/parquet/file.ts";
import { parseFormat } from "../../src/parquet/format.ts";
import { committedFiles } from "../tools/exports/manifests.ts";
import { directoryPlace } from "../tools/exports/place.ts";
import {
  COLUMNS,
  DUCKDB_TYPES,
  DuckDb,
  expectedRow,
  hyparquetRows,
  type Row,
} from "../tools/parquet/judge.ts";
import { batchesOf, type Sample, sampleOf } from "../tools/parquet/samples.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

const { values } = parseArgs({
  options: { records: { type: "string", default: "1000000" }, only: { type: "string" } },
});
const RECORDS = Number(values.records);
const BATCH = 100;
const FILE_RECORDS = 100_000;
const REQUEST_RECORDS = 1_000;
const FILE_BYTES = 16 * 1024 * 1024;
/** Rows that are compared at once. */
const SLICE = 20_000;

const directory = temporaryDirectory();
const duck = await DuckDb.open();
if (values.only !== "server") {
  const rows = await throughWriter();
  process.stdout.write(`${rows} records: DuckDB and hyparquet agree with them\n`);
}
if (values.only !== "writer") {
  const rows = await throughServer();
  process.stdout.write(`${rows} records of a server: DuckDB, hyparquet and a consumer agree\n`);
}
duck.close();
directory.remove();

type File = { readonly path: string; readonly first: number };

function unzip(input: Uint8Array): Uint8Array {
  return Bun.zstdDecompressSync(input as Uint8Array<ArrayBuffer>);
}

function timeOf(offset: number): number {
  return 1_700_000_000_000 + Math.floor(offset / BATCH) * BATCH * 250;
}

/** Converts batches, without a server. */
async function throughWriter(): Promise<number> {
  const read = parseFormat(JSON.stringify({ columns: COLUMNS, decode: { type: "json" } }));
  if (!read.ok) throw new Error(read.message);
  const files: File[] = [];
  const pages = batchesOf(RECORDS, BATCH, timeOf);
  const begin = performance.now();
  for (let first = 0; first < RECORDS; first += FILE_RECORDS) {
    const end = Math.min(RECORDS, first + FILE_RECORDS);
    const file = new ParquetFile(read.request, { topic: "t", partition: 0, first }, "zstd", "0");
    const parts: Uint8Array[] = [];
    while (file.nextOffset < end) parts.push(...file.take(pages.next().value as Uint8Array, end));
    parts.push(file.finish(end));
    const path = join(directory.path, `${first}.parquet`);
    files.push({ path, first });
    await Bun.write(path, Buffer.concat(parts));
  }
  process.stdout.write(`${files.length} files in ${Math.round(performance.now() - begin)} ms\n`);
  const rows = await judge(files, join(directory.path, "*.parquet"), (offset) =>
    expectedRow(sampleOf(offset), offset, timeOf(offset), true),
  );
  for (const { path } of files) rmSync(path);
  return rows;
}

/**
 * Compares every cell, and counts and sums over all files.
 *
 * @param list files of one partition in the order of their offsets, from 0 to the end.
 * @returns the number of rows.
 */
async function judge(
  list: readonly File[],
  all: string,
  expected: (offset: number) => Row,
): Promise<number> {
  const { value: _, ...types } = await duck.types(all);
  deepStrictEqual(types, DUCKDB_TYPES);
  let [sum, filled, count] = [0n, 0, 0];
  for (const { path, first } of list) {
    deepStrictEqual(first, count);
    const bytes = new Uint8Array(await Bun.file(path).arrayBuffer());
    const others = await hyparquetRows(bytes, unzip);
    for (let from = 0; from < others.length; from += SLICE) {
      const length = Math.min(SLICE, others.length - from);
      const rows = Array.from({ length }, (_, at) => expected(first + from + at));
      deepStrictEqual(await duck.judged(path, first + from, first + from + length), rows);
      deepStrictEqual(others.slice(from, from + length), rows);
      for (const { n, value } of rows) {
        sum += BigInt(n ?? 0);
        if (value !== null) filled++;
      }
    }
    count += others.length;
    process.stdout.write(`${path.split("/").at(-1)}: ${others.length} rows are right\n`);
  }
  const [totals] = await duck.rows(
    `select count(*)::int as rows, count(distinct "offset")::int as offsets, sum(n)::varchar as sum, count("value")::int as filled from read_parquet('${all}')`,
  );
  deepStrictEqual(totals, { rows: RECORDS, offsets: RECORDS, sum: String(sum), filled });
  return count;
}

/** As `sampleOf`, but with keys and names of headers that HTTP takes. */
function servedSample(number: number): Sample {
  const { key, value, headers } = sampleOf(number);
  return {
    key: key !== null && isUtf8(key) ? key : null,
    value,
    headers: headers.filter(({ name }) => name === "trace"),
  };
}

/** Produces over HTTP, exports, and holds the files against what a consumer reads. */
async function throughServer(): Promise<number> {
  const lake = join(directory.path, "lake");
  mkdirSync(lake);
  const env = { RF_EXPORT_DIR: lake };
  const server = await startServer({ dataDir: join(directory.path, "data"), env });
  const client = createClient({ url: server.url, token: "dev", attemptMs: 60_000 });
  await client.topics.create("t", { partitions: 1 });
  for (let first = 0; first < RECORDS; first += REQUEST_RECORDS) {
    const length = Math.min(REQUEST_RECORDS, RECORDS - first);
    const records = Array.from({ length }, (_, at) => recordOf(servedSample(first + at)));
    await client.produceRecords("t", records, { partition: 0 });
  }
  const definition = { topic: "t", url: `file://${lake}`, columns: COLUMNS } as const;
  await client.exports.put("e", { ...definition, decode: { type: "json" }, maxBytes: FILE_BYTES });
  await client.exports.flush("e");
  while ((await client.exports.describe("e")).lagRecords > 0) await Bun.sleep(200);
  const times: number[] = [];
  for await (const message of client.consume("t", { partition: 0, from: "earliest" })) {
    const { offset, bytes, key, headers, timestampMs } = message;
    const sample = servedSample(offset);
    deepStrictEqual(
      [offset, Buffer.from(bytes), key, headers],
      [times.length, Buffer.from(sample.value), textOf(sample.key), headersOf(sample)],
    );
    times.push(timestampMs);
  }
  const list = (await committedFiles(directoryPlace(lake))).map((each) => ({
    path: join(lake, each.file),
    first: each.first_offset,
  }));
  const rows = await judge(list, join(lake, "topic=*/**/*.parquet"), (offset) =>
    expectedRow(servedSample(offset), offset, times[offset] ?? 0, true),
  );
  await server.kill();
  return rows;
}

function textOf(key: Uint8Array | null): string | null {
  return key === null ? null : new TextDecoder().decode(key);
}

function headersOf({ headers }: Sample): Record<string, string> {
  return Object.fromEntries(headers.map(({ name, value }) => [name, value]));
}

function recordOf(sample: Sample): NewRecord {
  const key = textOf(sample.key);
  const headers = headersOf(sample);
  return { value: sample.value, headers, ...(key === null ? {} : { key }) };
}
