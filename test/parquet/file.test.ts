// Goal: what a file says is what the records say, to two independent readers, for values of all
// kinds. Method: samples of every kind, and expectations that are derived by other code.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { utf8 } from "../../src/lib/bytes.ts";
import { COMPRESSIONS, type Compression, ParquetFile } from "../../src/parquet/file.ts";
import { parseFormat } from "../../src/parquet/format.ts";
import {
  COLUMNS,
  DUCKDB_TYPES,
  DuckDb,
  expectedRow,
  hyparquetRows,
  type Row,
} from "../tools/parquet/judge.ts";
import { batchesOf, type Sample, sampleOf } from "../tools/parquet/samples.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const RECORDS = 3_000;
const LARGE = 1_500;
const BATCH = 37;
const BEGIN_MS = 1_700_000_000_000;
const timeOf = (offset: number): number => BEGIN_MS + Math.floor(offset / BATCH) * BATCH;
const sample = (number: number): Sample => sampleOf(number, LARGE);

const directory = temporaryDirectory();
let duck: DuckDb;
beforeAll(async () => {
  duck = await DuckDb.open();
});
afterAll(() => {
  duck.close();
  directory.remove();
});

function write(
  format: object,
  compression: Compression = "zstd",
  pages = 1,
): Uint8Array<ArrayBuffer> {
  const read = parseFormat(JSON.stringify(format));
  if (!read.ok) throw new Error(`${read.path}: ${read.message}`);
  const start = { topic: "t", partition: 3, first: 0 };
  const file = new ParquetFile(read.request, start, compression, "1.2.3");
  const parts: Uint8Array[] = [];
  let waiting: Uint8Array[] = [];
  for (const batch of batchesOf(RECORDS, BATCH, timeOf, sample)) {
    waiting.push(batch);
    if (waiting.length < pages) continue;
    parts.push(...file.take(Buffer.concat(waiting), RECORDS));
    waiting = [];
  }
  parts.push(...file.take(Buffer.concat(waiting), RECORDS), file.finish(RECORDS));
  return new Uint8Array(Buffer.concat(parts));
}

async function store(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(directory.path, name);
  await Bun.write(path, bytes);
  return path;
}

const expected = (hasDecode: boolean): Row[] =>
  Array.from({ length: RECORDS }, (_, at) => expectedRow(sample(at), at, timeOf(at), hasDecode));

describe("DuckDB and hyparquet read what was written", () => {
  for (const hasDecode of [true, false]) {
    const format = { columns: COLUMNS, ...(hasDecode ? { decode: { type: "json" } } : {}) };

    test(`every cell, ${hasDecode ? "values as JSON" : "values as text"}`, async () => {
      const bytes = write(format);
      const path = await store(`cells-${hasDecode}.parquet`, bytes);
      expect(await duck.types(path)).toEqual({
        ...DUCKDB_TYPES,
        value: hasDecode ? "JSON" : "VARCHAR",
      });
      const rows = expected(hasDecode);
      expect(await duck.judged(path, 0, RECORDS)).toEqual(rows);
      const other = await hyparquetRows(bytes, (input) => Bun.zstdDecompressSync(input as never));
      expect(other).toEqual(rows);
    });
  }

  test("counts, sums and statistics", async () => {
    const path = await store("sums.parquet", write({ columns: COLUMNS, decode: { type: "json" } }));
    const rows = expected(true);
    const sum = rows.reduce((total, { n }) => total + BigInt(n ?? 0), 0n);
    const filled = (name: string) => rows.filter((row) => row[name] !== null).length;
    expect(
      await duck.rows(
        `select count(*)::int as rows, sum(n)::varchar as n, count(id)::int as id, count("value")::int as "value", count(headers)::int as headers from read_parquet('${path}')`,
      ),
    ).toEqual([
      {
        rows: RECORDS,
        n: String(sum),
        id: filled("id"),
        value: filled("value"),
        headers: filled("headers"),
      },
    ]);
    const [offsets] = await duck.rows(
      `select min(stats_min_value::bigint)::int as low, max(stats_max_value::bigint)::int as high from parquet_metadata('${path}') where path_in_schema = 'offset'`,
    );
    expect(offsets).toEqual({ low: 0, high: RECORDS - 1 });
  });

  test("JSON functions of DuckDB work on values and headers", async () => {
    const path = await store("json.parquet", write({ decode: { type: "json" } }));
    expect(
      await duck.rows(
        `select "value"->>'n' as n, headers->>'trace' as trace from read_parquet('${path}') where "offset" = 3`,
      ),
    ).toEqual([{ n: "3", trace: "t3" }]);
  });

  test.each(COMPRESSIONS)("compression %s", async (compression) => {
    const path = await store(`${compression}.parquet`, write({ columns: COLUMNS }, compression));
    const codec = { zstd: "ZSTD", snappy: "SNAPPY", none: "UNCOMPRESSED" }[compression];
    expect(await duck.rows(`select distinct compression from parquet_metadata('${path}')`)).toEqual(
      [{ compression: codec }],
    );
    expect(await duck.judged(path, 0, RECORDS)).toEqual(expected(false));
  });

  test("the footer has the range, the topic and the version", async () => {
    const path = await store("footer.parquet", write({}));
    const list = await duck.rows(
      `select decode(key) as key, decode("value") as "value" from parquet_kv_metadata('${path}')`,
    );
    expect(list).toEqual([
      { key: "ayder.version", value: "1.2.3" },
      { key: "ayder.topic", value: "t" },
      { key: "ayder.partition", value: "3" },
      { key: "ayder.first_offset", value: "0" },
      { key: "ayder.end_offset", value: String(RECORDS) },
    ]);
    expect(await duck.rows(`select created_by from parquet_file_metadata('${path}')`)).toEqual([
      { created_by: "ayder version 1.2.3" },
    ]);
  });
});

test("the same range has the same bytes, however it was cut into pages", () => {
  const format = { columns: COLUMNS, decode: { type: "json" } };
  const once = write(format);
  expect(Buffer.compare(write(format), once)).toBe(0);
  expect(Buffer.compare(write(format, "zstd", 11), once)).toBe(0);
});

test("filters leave out records, also those that do not decode", async () => {
  const filter = [{ field: "ok", op: "eq", value: true }];
  const path = await store("filtered.parquet", write({ columns: COLUMNS, filter }));
  const rows = expected(false).filter(({ ok }) => ok === true);
  expect(rows.length).toBeGreaterThan(100);
  expect(await duck.judged(path, 0, RECORDS)).toEqual(rows);
});

test("a cell of another type is null, and a number keeps its digits", async () => {
  const values = [
    '{"a":"7","b":7,"c":1.5}',
    '{"a":true,"b":9007199254740993,"c":"x"}',
    '{"a":{"z":1,"y":[2]},"b":1e3,"c":-0}',
    '{"a":"ü\\u0000","b":1.5,"c":1e30}',
  ];
  const read = parseFormat(
    JSON.stringify({
      columns: [
        { name: "a", field: "a", type: "string" },
        { name: "b", field: "b", type: "int64" },
        { name: "c", field: "c", type: "double" },
        { name: "yes", field: "a", type: "boolean" },
        { name: "at_", field: "$offset", type: "int64" },
      ],
    }),
  );
  if (!read.ok) throw new Error(read.message);
  const file = new ParquetFile(read.request, { topic: "t", partition: 0, first: 0 }, "none", "0");
  const only = (at: number): Sample => ({ key: null, headers: [], value: utf8(values[at] ?? "") });
  for (const page of batchesOf(values.length, 2, () => 0, only)) file.take(page, values.length);
  const path = await store("types.parquet", file.finish(values.length));
  expect(
    await duck.rows(
      `select a, b::varchar as b, c, yes, at_::int as at from read_parquet('${path}') order by "offset"`,
    ),
  ).toEqual([
    { a: "7", b: "7", c: 1.5, yes: null, at: 0 },
    { a: "true", b: "9007199254740993", c: null, yes: true, at: 1 },
    { a: '{"z":1,"y":[2]}', b: "1000", c: -0, yes: null, at: 2 },
    { a: "ü\u0000", b: null, c: 1e30, yes: null, at: 3 },
  ]);
});
