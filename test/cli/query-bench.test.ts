/** Query and bench with the command line, as processes against a real server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Latencies } from "../../src/cli/bench-latencies.ts";
import { createClient } from "../../src/client/index.ts";
import { ayder, type Run, type RunOptions, spawnAyder } from "../tools/process/ayder.ts";
import { freePorts } from "../tools/process/ports.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

const directory = temporaryDirectory();
let server: Server | undefined;
const client = () => createClient({ url: server?.url ?? "", token: "dev" });
beforeAll(async () => {
  server = await startServer({ dataDir: join(directory.path, "data") });
  await client().topics.create("sales", { partitions: 1 });
  await client().produceBatch(
    "sales",
    [
      { region: "eu", amount: 30, user: { id: 7 } },
      { region: "us", amount: 12, user: { id: 8 }, note: "\u001b[2J" },
      '{"region":"eu","amount":9007199254740993}',
    ],
    { partition: 0 },
  );
});
afterAll(async () => {
  await server?.kill();
  directory.remove();
});
const env = () => ({ AYDER_URL: server?.url ?? "" });
const run = (args: string[], options: RunOptions = {}): Promise<Run> =>
  ayder(args, { ...options, env: env() });

const source = { topic: "sales", partition: 0, offset: 0 };
const aggregate = { group_by: ["region"], measures: [{ op: "count" }] };
const query = JSON.stringify({ source, aggregate, transform: { emit_rows: 2 } });

test("a query shows its rows and aggregates as tables", async () => {
  const { code, out } = await run(["query", query]);
  expect(code).toBe(0);
  expect(out.split("\n").slice(0, 7)).toEqual([
    "region  amount  user.id  note",
    "eu          30        7",
    "us          12        8  \\x1b[2J",
    "",
    "region  count",
    "eu          2",
    "us          1",
  ]);
  expect(out).toContain("next_offset 3");
  const none = await run(["query", JSON.stringify({ source: { ...source, offset: 3 } })]);
  expect(none.out).toStartWith("0 rows\n");
});

test("a partial answer is reported on standard error, with how to continue", async () => {
  const err = async (body: object) => {
    const done = await run(["query", JSON.stringify(body)]);
    expect(done.code).toBe(0);
    return done.err;
  };
  expect(await err({ source, aggregate })).toBe("");
  expect(await err({ source: { ...source, limit: 2 }, aggregate })).toBe(
    'ayder: truncated: more rows exist; continue with "offset":2 in source\n',
  );
  expect(await err({ source, transform: { emit_rows: 1 } })).toContain('"offset":1 in source');
  expect(await err({ source, aggregate, transform: { emit_rows: 1 } })).toBe(
    'ayder: more rows than emit_rows; continue with "offset":1 in source\n',
  );
  const on = { left_key: "region", right_key: "region" };
  const side = { ...source, limit: 1 };
  expect(await err({ left: side, right: side, on })).toBe(
    'ayder: truncated: more rows exist; continue with "offset":1 in left and 1 in right\n',
  );
});

test("a byte order mark before the query is skipped", async () => {
  const { code, out } = await run(["query"], { stdin: `\ufeff${query}` });
  expect([code, out.split("\n")[0]]).toEqual([0, "region  amount  user.id  note"]);
});

test("the query is an argument, a file or standard input; --json prints the answer unchanged", async () => {
  const exact = JSON.stringify({ source, transform: { emit_rows: 3, left_fields: ["amount"] } });
  const path = join(directory.path, "query.json");
  await Bun.write(path, exact);
  for (const result of [
    await run(["query", exact, "--json"]),
    await run(["query", path, "--json"]),
    await run(["query", "--json"], { stdin: exact }),
  ]) {
    expect(result.code).toBe(0);
    expect(result.out).toContain(
      '"rows":[{"amount":30},{"amount":12},{"amount":9007199254740993}]',
    );
  }
  expect((await run(["query", "{broken"])).code).toBe(2);
  expect((await run(["query", join(directory.path, "missing")])).code).toBe(2);
  const wrong = await run(["query", JSON.stringify({ source: { ...source, partition: 9 } })]);
  expect([wrong.code, wrong.err.includes("partition_not_found")]).toEqual([1, true]);
});

test("a query with left and right is a join", async () => {
  const on = { left_key: "user.id", right_key: "user.id" };
  const { code, out } = await run(["query", JSON.stringify({ left: source, right: source, on })]);
  expect(code).toBe(0);
  expect(out).toMatch(/^7 .* eu .* eu /m);
  expect(out).toContain("rows 2");
});

for (const mode of ["produce", "batch", "consume", "kv"]) {
  test(`bench ${mode} counts the work of the server and deletes its topics`, async () => {
    const { code, out, err } = await run([
      "bench",
      mode,
      "-s",
      "1",
      "-c",
      "8",
      "-b",
      "20",
      "-p",
      "2",
      "--json",
    ]);
    expect([code, err]).toEqual([0, ""]);
    const result = JSON.parse(out);
    expect(result).toMatchObject({ mode, in_flight: 8, errors: 0, bytes: 64 });
    expect(result.requests).toBeGreaterThan(8);
    expect(result.messages).toBe(result.requests * result.batch);
    expect(result.batch).toBe(mode === "batch" || mode === "consume" ? 20 : 1);
    const { p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = result;
    const ordered = [p50_ms, p90_ms, p99_ms, p999_ms, max_ms];
    expect(ordered).toEqual([...ordered].sort((a, b) => a - b));
    expect(p50_ms).toBeGreaterThan(0);
    expect((await client().topics.list()).map(({ topic }) => topic)).toEqual(["sales"]);
    expect(await client().namespaces()).toEqual([]);
  }, 30_000);
}

test("bench prints a table, and fails if there were errors", async () => {
  const { out } = await run(["bench", "-s", "1", "-c", "2"]);
  expect(out).toMatch(/^ayder \S+ bench produce: 64 bytes, 2 in flight, [\d.]+ s, http/);
  expect(out).toContain("MESSAGES/S");
  const [port = 0] = freePorts(1);
  const nobody = await ayder(["bench", "-s", "1"], {
    env: { AYDER_URL: `http://127.0.0.1:${port}` },
  });
  expect(nobody.code).toBe(3);
  expect((await run(["bench", "--in-flight", "1000"])).code).toBe(2);
  const child = spawnAyder(["bench", "-s", "600", "-c", "2"], { env: env() });
  while (
    !(await client().topics.list()).some(({ messages, topic }) => topic !== "sales" && messages > 0)
  ) {
    await Bun.sleep(20);
  }
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
  expect(await new Response(child.stdout).text()).toContain("P99");
  expect((await client().topics.list()).length).toBe(1);
}, 30_000);

test("percentiles are accurate to 1 %", () => {
  const latencies = new Latencies();
  for (let ms = 1000; ms >= 1; ms--) latencies.add(ms);
  for (const percent of [1, 50, 90, 99, 99.9]) {
    const exact = percent * 10;
    expect(latencies.percentile(percent)).toBeGreaterThanOrEqual(exact * 0.999_999);
    expect(latencies.percentile(percent)).toBeLessThanOrEqual(exact * 1.0101);
  }
  expect([latencies.count, latencies.max, new Latencies().percentile(99)]).toEqual([1000, 1000, 0]);
});

test("views are created, listed, shown and deleted", async () => {
  const view = JSON.stringify({
    source: { topic: "sales" },
    aggregate: { group_by: ["region"], measures: [{ op: "sum", field: "amount" }] },
  });
  const created = { code: 0, out: "totals created\n", err: "" };
  expect(await run(["views", "put", "totals", view])).toEqual(created);
  expect((await run(["views", "put", "totals"], { stdin: view })).out).toBe("totals unchanged\n");
  expect((await run(["views", "put", "totals", "no-such-file"])).code).toBe(2);
  expect((await run(["views", "put", "totals", "{"])).code).toBe(2);
  expect((await run(["views", "put", "totals", '{"source":{}}'])).code).toBe(1);
  const shown = async () => (await run(["views", "show", "totals"])).out;
  let out = await shown();
  // A view follows its topic.
  while (!out.includes("9007199254741023")) out = await shown();
  expect(out.trimEnd().split("\n")).toEqual([
    "region  count        sum_amount",
    "eu          2  9007199254741023",
    "us          1                12",
  ]);
  const listed = await run(["views"]);
  expect(listed.out).toBe("VIEW    TOPIC  PARTITION  LAG\ntotals  sales  all          0\n");
  const json = JSON.parse((await run(["views", "list", "--json"])).out);
  expect(json).toEqual({ views: [{ view: "totals", topic: "sales", partition: null, lag: 0 }] });
  const deleted = { code: 0, out: "deleted totals\n", err: "" };
  expect(await run(["views", "delete", "totals"])).toEqual(deleted);
  expect(await run(["views", "show", "totals"])).toMatchObject({ code: 1, out: "" });
  expect((await run(["views", "delete", "totals"])).err).toContain("view_not_found");
});
