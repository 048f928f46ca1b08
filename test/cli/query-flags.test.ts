/** Queries, joins and views as options, with the command line as a process. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import avro from "avsc";
import { createClient } from "../../src/client/index.ts";
import { ayder, type Run } from "../tools/process/ayder.ts";
import { testServer } from "../tools/process/test-server.ts";

setDefaultTimeout(60_000);
const { directory, server } = testServer();
const client = () => createClient({ url: server.url, token: "dev" });
const run = (...args: string[]): Promise<Run> => ayder(args, { env: { AYDER_URL: server.url } });
const lines = (text: string): string[] => text.trimEnd().split("\n");
const BIG = "9223372036854775807";
const EVIL = "\u001b]0;owned\u0007";

beforeAll(async () => {
  await client().topics.create("sales", { partitions: 1 });
  await client().produceBatch(
    "sales",
    [
      `{"region":"eu","amount":30,"ts":1000,"user":{"id":7},"id":${BIG}}`,
      '{"region":"us","amount":12,"ts":2000,"user":{"id":8},"paid":true}',
      '{"region":"eu","amount":4,"ts":61000,"user":{"id":7},"paid":false}',
      '{"region":"asia","amount":"7","ts":62000,"user":{"id":9},"note":"a, b"}',
    ],
    { partition: 0 },
  );
  await client().topics.create("users", { partitions: 1 });
  await client().produceBatch("users", ['{"id":7,"name":"Ada"}', '{"id":8,"name":"Bo"}'], {
    partition: 0,
  });
  await client().topics.create("wide", { partitions: 3 });
});

/** The request that the options make, as its text. */
async function request(...args: string[]): Promise<string> {
  const { code, out, err } = await run("query", "sales", "-p", "0", ...args, "--print-json");
  expect([code, err]).toEqual([0, ""]);
  return out.trimEnd();
}
const SOURCE = '"source":{"topic":"sales","partition":0}';
const filter = async (expression: string) => {
  const text = await request("--where", expression, "--count");
  return /"filter":(\[.*\]),"aggregate"/.exec(text)?.[1];
};

test("the options of the issue make this request", async () => {
  const schema = '{"type":"record","name":"R","fields":[]}';
  const path = join(directory.path, "order.avsc");
  await Bun.write(path, schema);
  expect(
    await request(
      ...["--where", "amount>4", "--where", "region=eu,us", "--group-by", "region"],
      ...["--sum", "amount", "--avg", "amount", "--window", "1m", "--by", "ts", "--decode", path],
    ),
  ).toBe(
    `{"source":{"topic":"sales","partition":0,"decode":{"type":"avro","schema_text":${JSON.stringify(schema)}}},` +
      '"filter":[{"field":"amount","op":"gt","value":4},{"field":"region","op":"in","value":["eu","us"]}],' +
      '"window":{"type":"tumbling","size_ms":60000,"time_field":"ts"},' +
      '"aggregate":{"group_by":["region"],"measures":[{"op":"sum","field":"amount"},{"op":"avg","field":"amount"}]}}',
  );
});

test("filters: operators, lists, types, quotes, digits", async () => {
  const field = (op: string, value: string) => `{"field":"a","op":"${op}","value":${value}}`;
  for (const [expression, wanted] of [
    ["a=1", [field("eq", "1")]],
    ["a==1.50", [field("eq", "1.50")]],
    ["a != x", [field("ne", '"x"')]],
    ["a!=1,2", [field("ne", "1"), field("ne", "2")]],
    ["a>=-2e3", [field("ge", "-2e3")]],
    ["a<=5", [field("le", "5")]],
    ["a<2026-01-31", [field("lt", '"2026-01-31"')]],
    ["a~shop", [field("contains", '"shop"')]],
    [`a>${BIG}`, [field("gt", BIG)]],
    ["a=007", [field("eq", '"007"')]],
    ["a=true,false,null,none", [field("in", '[true,false,null,"none"]')]],
    ['a="7"', [field("eq", '"7"')]],
    ['a="x, y",z', [field("in", '["x, y","z"]')]],
    ['a="\\"\\u00e9"', [field("eq", '"\\"é"')]],
    ["a=", [field("eq", '""')]],
    ["a=x,", [field("in", '["x",""]')]],
    ["a=x=y", [field("eq", '"x=y"')]],
    ['a=["x",1]', [field("eq", '["x",1]')]],
    ["a=Zürich", [field("eq", '"Zürich"')]],
  ] as const) {
    expect([expression, await filter(expression)]).toEqual([expression, `[${wanted.join(",")}]`]);
  }
  expect(await filter("$headers.source=shop")).toBe(
    '[{"field":"$headers.source","op":"eq","value":"shop"}]',
  );
  expect(await filter("user.id=7")).toBe('[{"field":"user.id","op":"eq","value":7}]');
});

test("rows, fields, measures and where to start", async () => {
  expect(await request()).toBe(
    '{"source":{"topic":"sales","partition":0,"limit":10000},"transform":{"emit_rows":200}}',
  );
  expect(await request("--select", "a, b.c", "--rows", "5", "--limit", "50", "--from", "3")).toBe(
    '{"source":{"topic":"sales","partition":0,"offset":3,"limit":50},"transform":{"left_fields":["a","b.c"],"emit_rows":5}}',
  );
  expect(await request("-n", "5")).toContain('"limit":5},"transform":{"emit_rows":5}}');
  expect(await request("--group", "billing", "--count")).toBe(
    '{"source":{"topic":"sales","partition":0,"group":"billing"},"aggregate":{"measures":[{"op":"count"}]}}',
  );
  expect(await request("--since", "2020-01-01", "--count")).toContain('"partition":0,"offset":0}');
  const measures = ["--sum", "a as total,b", "--min", "a", "--max", "a", "--count-of", "note"];
  expect(await request(...measures)).toBe(
    `{${SOURCE},"aggregate":{"measures":[{"op":"count","field":"note"},{"op":"sum","field":"a","as":"total"},` +
      '{"op":"sum","field":"b"},{"op":"min","field":"a"},{"op":"max","field":"a"}]}}',
  );
});

test("a query as options prints its rows and aggregates", async () => {
  const grouped = await run(
    ...["query", "sales", "--where", "amount>4", "--where", "region=eu,us"],
    ...["--group-by", "region", "--sum", "amount"],
  );
  expect([grouped.code, grouped.err]).toEqual([0, ""]);
  expect(lines(grouped.out).slice(0, 3)).toEqual([
    "region  count  sum_amount",
    "eu          1          30",
    "us          1          12",
  ]);
  const windows = await run("query", "sales", "--window", "1m", "--by", "ts", "--sum", "amount");
  expect(lines(windows.out).slice(0, 3)).toEqual([
    "count  sum_amount  window_start_ms  window_end_ms",
    "    2          42                0          60000",
    "    2           4            60000         120000",
  ]);
  const rows = await run("query", "sales", "--where", `id=${BIG}`, "--select", "id,region");
  expect(lines(rows.out).slice(0, 2)).toEqual(["                 id  region", `${BIG}  eu`]);
  expect((await run("query", "sales", "--where", "id=9223372036854775806")).out).toStartWith(
    "0 rows",
  );
  const plain = await run("query", "sales", "--rows", "1");
  expect(plain.err).toBe("ayder: truncated: more rows exist; continue with --from 1\n");
  const aggregated = await run("query", "sales", "--count", "--rows", "1");
  expect(aggregated.err).toBe("ayder: more rows than --rows; continue with --from 1\n");
  const json = await run("query", "sales", "--where", `id=${BIG}`, "--json");
  expect(json.out).toContain(`"id":${BIG}`);
  expect((await run("query", "users")).out).toStartWith("id  name\n 7  Ada\n 8  Bo\n");
});

test("the request that is printed can be sent", async () => {
  const args = ["query", "sales", "--group-by", "region", "--count"];
  const path = join(directory.path, "printed.json");
  await Bun.write(path, (await run(...args, "--print-json")).out);
  expect((await run("query", path)).out).toBe((await run(...args)).out);
  const given = '{"source":{"topic":"sales","partition":0},"filter":[]}';
  expect((await run("query", given, "--print-json")).out).toBe(`${given}\n`);
});

test("values are decoded by a schema in a file", async () => {
  const schema = {
    type: "record",
    name: "Order",
    fields: [
      { name: "id", type: "long" },
      { name: "region", type: "string" },
    ],
  } as const;
  const type = avro.Type.forSchema(structuredClone(schema) as never);
  await client().topics.create("orders", { partitions: 1 });
  await client().produce("orders", new Uint8Array(type.toBuffer({ id: 5, region: "eu" })), {
    partition: 0,
  });
  const path = join(directory.path, "real.avsc");
  await Bun.write(path, JSON.stringify(schema));
  expect((await run("query", "orders", "--decode", path, "--where", "id>4")).out).toStartWith(
    "id  region\n 5  eu\n",
  );
  const proto = join(directory.path, "order.proto");
  await Bun.write(proto, 'syntax = "proto3"; message Order { int64 id = 1; }');
  const text = await run(
    ...["query", "orders", "-p", "0", "--decode", proto, "--message", "Order"],
    ...["--encoding", "json", "--print-json"],
  );
  expect(JSON.parse(text.out).source.decode).toEqual({
    type: "proto",
    encoding: "json",
    schema_text: 'syntax = "proto3"; message Order { int64 id = 1; }',
    message: "Order",
  });
});

test("a join as options prints its rows", async () => {
  const args = ["join", "sales", "users", "--on", "user.id=id", "--window", "1h"];
  const joined = await run(...args, "--left-select", "amount", "--right-select", "name");
  expect([joined.code, joined.err]).toEqual([0, ""]);
  expect(lines(joined.out)[0]?.split(/ +/)).toEqual([
    "key",
    "left_ts_ms",
    "right_ts_ms",
    "left.amount",
    "right.name",
  ]);
  expect(joined.out).toMatch(/^7 +\d+ +\d+ +30 +Ada$/m);
  expect(joined.out).toContain("rows 3");
  const outer = await run(...args, "--type", "left", "--missing", "empty", "--rows", "1");
  expect(outer.err).toBe(
    "ayder: truncated: more rows exist; continue with --left-from 1 --right-from 0\n",
  );
  const request = await run(
    ...["join", "wide", "users", "--left-partition", "2", "--right-partition", "0"],
    ...["--on", "a.b=c,d", "--on", "e=f", "--type", "full", "--window", "0s", "--lateness", "5s"],
    ...["--by", "ts", "--once", "--left-select", "x", "--right-select", "y,z", "--missing", "null"],
    ...["--rows", "7", "--limit", "9", "--left-from", "3", "--right-from", "earliest"],
    "--print-json",
  );
  expect(request).toEqual({
    code: 0,
    err: "",
    out:
      '{"left":{"topic":"wide","partition":2,"offset":3,"limit":9},"right":{"topic":"users","partition":0,"offset":0,"limit":9},' +
      '"on":{"left_keys":["a.b","d","e"],"right_keys":["c","d","f"]},' +
      '"window":{"size_ms":0,"allowed_lateness_ms":5000,"time_field":"ts"},"join":{"type":"full"},' +
      '"emit":{"left_fields":["x"],"right_fields":["y","z"],"max_rows":7,"missing_as":"null"},"dedupe_once":true}\n',
  });
});

test("a view as options covers all partitions", async () => {
  const args = ["views", "put", "by-region", "sales", "--group-by", "region", "--sum", "amount"];
  expect(await run(...args)).toEqual({ code: 0, out: "by-region created\n", err: "" });
  expect((await run(...args)).out).toBe("by-region unchanged\n");
  const printed = await run(
    ...["views", "put", "w", "sales", "--window", "1m", "-p", "1"],
    ...["--retain-windows", "5", "--retain-age", "1h", "--print-json"],
  );
  expect(printed.out).toBe(
    '{"source":{"topic":"sales","partition":1},"window":{"type":"tumbling","size_ms":60000},"retain":{"windows":5,"age_ms":3600000}}\n',
  );
  const nothing = await run("views", "put", "w", "sales", "--where", "a=1");
  expect([nothing.code, nothing.out]).toEqual([1, ""]);
  expect(nothing.err).toContain("aggregate");
});

test("wrong options are refused before anything is sent, with the value and what is allowed", async () => {
  const refused = async (...args: string[]) => {
    const { code, out, err } = await run(...args);
    return [code, out, lines(err)[0]?.replace("ayder: ", "")];
  };
  const query = (...args: string[]) => refused("query", "sales", "-p", "0", ...args);
  const joined = (...args: string[]) => refused("join", "sales", "users", ...args);
  const operators = "operators: = != > >= < <= ~";
  for (const [got, wanted] of [
    [query("--where", "amount"), `--where: "amount" is not FIELD OPERATOR VALUE; ${operators}`],
    [query("--where", ">4"), `--where: ">4" is not FIELD OPERATOR VALUE; ${operators}`],
    [
      query("--where", EVIL),
      `--where: "\\u001b]0;owned\\u0007" is not FIELD OPERATOR VALUE; ${operators}`,
    ],
    [
      query("--where", "a>1,2"),
      '--where: "a>1,2" has 2 values, and > takes one; a text with a comma stands in quotes: a>"a,b"',
    ],
    [
      query("--where", 'a="x'),
      '--where: "a=\\"x": "x is not valid JSON: This is not JSON: a string is malformed, line 1, column 1',
    ],
    [query("--group-by", "a,,b"), '--group-by: "a,,b" has an empty name'],
    [query("--sum", "a b"), '--sum: "a b" is neither FIELD nor "FIELD as NAME"'],
    [
      query("--window", "soon"),
      '--window: "soon" is not a time such as 500ms, 30s, 5m, 2h or 7d, above 0',
    ],
    [query("--by", "ts"), "--by needs --window"],
    [query("--rows", "10001"), '--rows: "10001" is not an integer from 0 to 10000'],
    [query("--from", "1", "--since", "1h"), "--from and --since exclude each other"],
    [
      query("--decode", "x.json"),
      '--decode: "x.json" is neither an Avro schema (.avsc) nor a Protobuf file (.proto)',
    ],
    [query("--message", "M"), "--message needs --decode"],
    [refused("query", "--where", "a=1"), "these options need the name of a topic: none is given"],
    [
      refused("query", '{"source":{}}', "--where", "a=1"),
      'these options need the name of a topic: "{\\"source\\":{}}" is not one',
    ],
    [
      refused("query", "wide", "--from", "1"),
      "--from needs --partition, because each partition has its own offsets",
    ],
    [joined(), "join needs --on: which fields must be equal?"],
    [joined("--on", "a=b=c"), '--on: "a=b=c" is neither FIELD nor LEFT=RIGHT'],
    [
      joined("--on", "a", "--type", "cross"),
      '--type: "cross" is not one of: inner, left, right, full',
    ],
    [joined("--on", "a", "--missing", "0"), '--missing: "0" is not one of: null, empty'],
    [joined("--on", "a", "--encoding", "json"), "--encoding needs --left-decode or --right-decode"],
    [refused("join", "sales", "--on", "a"), "join needs <right-topic>"],
    [
      refused("join", "wide", "users", "--on", "a"),
      "wide has 3 partitions: name one with --left-partition",
    ],
  ] as const) {
    expect(await got).toEqual([2, "", wanted]);
  }
  const none = await run("query", "no-such-topic", "--count");
  expect([none.code, none.out]).toEqual([1, ""]);
  expect(none.err).toContain("topic_not_found");
});
