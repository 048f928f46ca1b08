/**
 * `bun run test:parquet [--records N]`: a million records of all kinds of values as Parquet files, every
 * cell of which DuckDB and `hyparquet` must read as the records say.
 */
import { deepStrictEqual } from "node:assert";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ParquetFile } from "../../src/parquet/file.ts";
import { parseFormat } from "../../src/parquet/format.ts";
import {
  COLUMNS,
  DUCKDB_TYPES,
  DuckDb,
  expectedRow,
  hyparquetRows,
} from "../tools/parquet/judge.ts";
import { batchesOf, sampleOf } from "../tools/parquet/samples.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const { values } = parseArgs({ options: { records: { type: "string", default: "1000000" } } });
const RECORDS = Number(values.records);
const BATCH = 100;
const FILE_RECORDS = 100_000;
/** Rows that are compared at once. */
const SLICE = 20_000;
const timeOf = (offset: number): number =>
  1_700_000_000_000 + Math.floor(offset / BATCH) * BATCH * 250;

const directory = temporaryDirectory();
const read = parseFormat(JSON.stringify({ columns: COLUMNS, decode: { type: "json" } }));
if (!read.ok) throw new Error(read.message);
const files: string[] = [];
const pages = batchesOf(RECORDS, BATCH, timeOf);
const begin = performance.now();
for (let first = 0; first < RECORDS; first += FILE_RECORDS) {
  const end = Math.min(RECORDS, first + FILE_RECORDS);
  const file = new ParquetFile(read.request, { topic: "t", partition: 0, first }, "zstd", "0");
  const parts: Uint8Array[] = [];
  while (file.nextOffset < end) parts.push(...file.take(pages.next().value as Uint8Array, end));
  parts.push(file.finish(end));
  files.push(join(directory.path, `${first}.parquet`));
  await Bun.write(files.at(-1) ?? "", Buffer.concat(parts));
}
process.stdout.write(`${files.length} files in ${Math.round(performance.now() - begin)} ms\n`);

const duck = await DuckDb.open();
const all = join(directory.path, "*.parquet");
const { value: _, ...types } = await duck.types(all);
deepStrictEqual(types, DUCKDB_TYPES);
let [sum, filled] = [0n, 0];
for (const [number, path] of files.entries()) {
  const bytes = new Uint8Array(await Bun.file(path).arrayBuffer());
  const others = await hyparquetRows(bytes, (input) => Bun.zstdDecompressSync(input as never));
  const begins = number * FILE_RECORDS;
  for (let from = 0; from < others.length; from += SLICE) {
    const rows = Array.from({ length: Math.min(SLICE, others.length - from) }, (_, at) => {
      const offset = begins + from + at;
      return expectedRow(sampleOf(offset), offset, timeOf(offset), true);
    });
    deepStrictEqual(await duck.judged(path, begins + from, begins + from + rows.length), rows);
    deepStrictEqual(others.slice(from, from + rows.length), rows);
    for (const { n, value } of rows) {
      sum += BigInt(n ?? 0);
      if (value !== null) filled++;
    }
  }
  process.stdout.write(`${path.split("/").at(-1)}: ${others.length} rows are right\n`);
}
const [totals] = await duck.rows(
  `select count(*)::int as rows, count(distinct "offset")::int as offsets, sum(n)::varchar as sum, count("value")::int as filled from read_parquet('${all}')`,
);
deepStrictEqual(totals, { rows: RECORDS, offsets: RECORDS, sum: String(sum), filled });
duck.close();
directory.remove();
process.stdout.write(`${RECORDS} records: DuckDB and hyparquet agree with them\n`);
