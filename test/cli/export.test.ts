// Goal: `ayder export` writes each record of a topic once, also when it is stopped and run again, to
// a directory and to a bucket. Method: the command as a process; DuckDB reads the files.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "../../src/client/index.ts";
import { S3Server } from "../tools/backup/s3-server.ts";
import { DuckDb } from "../tools/parquet/judge.ts";
import { ayder } from "../tools/process/ayder.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const directory = temporaryDirectory();
const s3 = new S3Server();
const env: Record<string, string> = { ...s3.environment(), AYDER_TOKEN: "dev" };
const RECORDS = 2_500;
let server: Server;
let duck: DuckDb;

const run = (...args: string[]) => ayder(["export", "--url", server.url, ...args], { env });
const filesIn = (root: string): string[] =>
  readdirSync(root, { recursive: true })
    .map(String)
    .filter((name) => statSync(join(root, name)).isFile())
    .sort();

beforeAll(async () => {
  server = await startServer({ dataDir: join(directory.path, "data") });
  duck = await DuckDb.open();
  const client = createClient({ url: server.url, token: "dev" });
  await client.topics.create("orders", { partitions: 2 });
  for (let first = 0; first < RECORDS; first += 500) {
    const records = Array.from({ length: 500 }, (_, at) => ({
      value: JSON.stringify({ n: first + at, amount: (first + at) / 4 }),
      key: `k${(first + at) % 10}`,
      headers: { region: "eu" },
    }));
    await client.produceRecords("orders", records, { partition: (first / 500) % 2 });
  }
});
afterAll(async () => {
  duck.close();
  await server.kill();
  await s3.stop();
  directory.remove();
});

const WANTED = {
  rows: RECORDS,
  n: String((RECORDS * (RECORDS - 1)) / 2),
  amount: (RECORDS * (RECORDS - 1)) / 8,
  ranges: 2,
};
async function seen(files: string) {
  const [row] = await duck.rows(
    `select count(distinct (partition, "offset"))::int as rows, sum(n)::varchar as n, sum(amount) as amount, count(distinct partition)::int as ranges from read_parquet('${files}', hive_partitioning = true)`,
  );
  return row;
}
const COLUMNS = ["--columns", "n=n:int64,amount=amount:double"];

test("writes a topic to a directory, and a second run only what is new", async () => {
  const root = join(directory.path, "lake");
  const first = await run("orders", "--to", root, ...COLUMNS, "--max-bytes", "20000");
  expect(first).toMatchObject({ code: 0, err: "" });
  expect(first.out).toMatch(/^2500 rows in \d+ files, [\d.]+ KiB\n$/);
  const names = filesIn(root);
  expect(names.length).toBeGreaterThan(2);
  for (const name of names) {
    expect(name).toMatch(/^topic=orders\/date=\d{4}-\d\d-\d\d\/partition=[01]\/\d+-\d+\.parquet$/);
  }
  expect(await seen(`${root}/**/*.parquet`)).toEqual(WANTED);
  expect(await run("orders", "--to", root, ...COLUMNS)).toMatchObject({
    code: 0,
    out: "0 rows in 0 files, 0 B; 2500 records were there\n",
  });
  expect(filesIn(root)).toEqual(names);
});

test("goes on where a run was cut off, and removes what a killed one left", async () => {
  const root = join(directory.path, "cut");
  const args = ["orders", "--to", root, ...COLUMNS, "--partition", "0", "--max-bytes", "5000"];
  await run(...args);
  const names = filesIn(root);
  const byFirst = (name: string): number => Number(/(\d+)-\d+\.parquet$/.exec(name)?.[1]);
  const sorted = [...names].sort((a, b) => byFirst(a) - byFirst(b));
  const gone = sorted.slice(1);
  for (const name of gone) unlinkSync(join(root, name));
  const [next = ""] = gone;
  const left = join(
    root,
    next.replace(/[^/]+$/, (base) => `.${base}.4711.partial`),
  );
  writeFileSync(left, "half of a file");
  expect(await run(...args)).toMatchObject({ code: 0, err: "" });
  expect(filesIn(root)).toEqual(names);
});

test("writes to a bucket and continues there", async () => {
  const to = ["--to", "s3://lake/events/"];
  expect(await run("orders", ...to, ...COLUMNS, "--json")).toMatchObject({ code: 0, err: "" });
  const keys = [...s3.objects.keys()];
  expect(keys.length).toBe(2);
  const root = join(directory.path, "copy");
  for (const [key, bytes] of s3.objects) {
    expect(key).toStartWith("lake/events/topic=orders/date=");
    mkdirSync(join(root, key, ".."), { recursive: true });
    writeFileSync(join(root, key), bytes);
  }
  expect(await seen(`${root}/**/*.parquet`)).toEqual(WANTED);
  const again = await run("orders", ...to, ...COLUMNS);
  expect(again.out).toBe("0 rows in 0 files, 0 B; 2500 records were there\n");
});

test("--json prints a line for each file", async () => {
  const root = join(directory.path, "json");
  const { out } = await run("orders", "--to", root, "--json", "--partition", "1");
  const [line, ...others] = out.trim().split("\n");
  expect(others).toEqual([]);
  expect(JSON.parse(line ?? "")).toEqual({
    file: expect.stringMatching(/^topic=orders\/date=[\d-]+\/partition=1\/0-1000\.parquet$/),
    partition: 1,
    first_offset: 0,
    end_offset: 1000,
    rows: 1000,
    bytes: expect.any(Number),
  });
});

test("--where, --from and --to-time choose records; a file without rows is not written", async () => {
  const root = join(directory.path, "chosen");
  const from = ["--partition", "0", "--from", "900"];
  const out = await run("orders", "--to", root, ...from, ...COLUMNS, "--where", "n>=2000");
  expect(out.out).toStartWith("500 rows in 1 file, ");
  const none = join(directory.path, "none");
  expect((await run("orders", "--to", none, "--where", "n<0")).out).toBe(
    "0 rows in 0 files, 0 B\n",
  );
  expect((await run("orders", "--to", none, "--to-time", "1d")).out).toBe(
    "0 rows in 0 files, 0 B\n",
  );
});

test.each([
  [["orders"], 2, "export needs --to"],
  [
    ["orders", "--to", "ftp://x/y"],
    2,
    "--to: ftp://x/y is neither a directory nor s3://bucket/prefix",
  ],
  [["orders", "--to", "d", "--columns", "n"], 2, '--columns: "n" is not name=field:type'],
  [
    ["orders", "--to", "d", "--columns", "n=n:int"],
    2,
    "columns[0].type: must be one of string, int64, double, boolean, timestamp, json",
  ],
  [
    ["orders", "--to", "d", "--compression", "gzip"],
    2,
    '--compression: "gzip" is not one of: zstd, snappy, none',
  ],
  [["orders", "--to", "d", "--partition", "2"], 2, "--partition: orders has the partitions 0 to 1"],
  [["none", "--to", "d"], 1, 'topic "none"'],
])("a wrong call says what is wrong: %j", async (args, code, message) => {
  const result = await run(...args);
  expect(result.code).toBe(code);
  expect(result.err).toContain(message);
});

test("a bucket that fails ends with code 3 and no object", async () => {
  s3.failing = { line: "PUT broken", times: 1000 };
  const { code, err } = await run("orders", "--to", "s3://broken/x");
  expect(code).toBe(3);
  expect(err).toContain("s3://broken/x/topic=orders/");
  expect([...s3.objects.keys()].filter((key) => key.startsWith("broken"))).toEqual([]);
  s3.failing = { line: "", times: 0 };
});
