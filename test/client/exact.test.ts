/** Numbers of users keep their digits in results, in messages and in requests. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Client, createClient } from "../../src/client/index.ts";
import { parseExact, stringifyExact } from "../../src/client/json-values.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

const ID = 9_223_372_036_854_775_807n;
const directory = temporaryDirectory();
let server: Server;
let client: Client;
beforeAll(async () => {
  server = await startServer({ dataDir: directory.path });
  client = createClient({ url: server.url, token: "dev" });
  for (const topic of ["a", "b"]) {
    await client.produce(topic, { id: ID, small: 7, f: 0.5 }, { partition: 0 });
    await client.produceBatch(topic, [{ id: ID - 1n, small: 8 }], { partition: 0 });
  }
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

const source = (topic: string) => ({ topic, partition: 0, offset: 0 });

test("query, join, view and message give long integers as bigint, others as number", async () => {
  const { rows, aggregates } = await client.query({
    source: source("a"),
    filter: [{ field: "id", op: "eq", value: ID }],
    aggregate: { group_by: ["id"], measures: [{ op: "max", field: "id" }, { op: "count" }] },
    transform: { emit_rows: 10 },
  });
  expect(rows).toEqual([{ id: ID, small: 7, f: 0.5 }]);
  expect(aggregates).toMatchObject([{ group: { id: ID }, max_id: ID, count: 1 }]);
  const joined = await client.join({
    left: source("a"),
    right: source("b"),
    on: { left_key: "id", right_key: "id" },
  });
  expect(joined.rows.map(({ left, right }) => [left, right])).toMatchObject([
    [{ id: ID }, { id: ID }],
    [{ id: ID - 1n }, { id: ID - 1n }],
  ]);
  await client.views.put("v", {
    source: source("a"),
    filter: [{ field: "id", op: "ge", value: ID }],
    aggregate: { group_by: ["id"], measures: [{ op: "min", field: "id", as: "least" }] },
  });
  let view = await client.views.get("v");
  while (view.lag > 0) view = await client.views.get("v");
  expect(view.aggregates).toMatchObject([{ group: { id: ID }, least: ID }]);
  const { messages } = await client.read("a", 0);
  expect(messages.map((message) => message.text)).toEqual([
    `{"id":${ID},"small":7,"f":0.5}`,
    `{"id":${ID - 1n},"small":8}`,
  ]);
  expect(messages.map((message) => message.json())).toEqual([
    { id: ID, small: 7, f: 0.5 },
    { id: ID - 1n, small: 8 },
  ]);
});

test("reading: only integers beyond 2^53 change their type", () => {
  const same = (text: string) => expect(parseExact(text)).toEqual(JSON.parse(text));
  for (const text of [
    '{"a":[1,-0,1.5,1e3,"12345678901234567890",true,null,{}]}',
    "[9007199254740991,-9007199254740991]",
    "[1234567890123456.5,1e25,12345678901234567890e0]",
    '"\\u00e9\\n 12345678901234567890"',
  ]) {
    same(text);
  }
  expect(parseExact("[9007199254740992,-9007199254740993]")).toEqual([
    9007199254740992n,
    -9007199254740993n,
  ]);
  const digits = "1".repeat(5000);
  expect(parseExact(digits)).toBe(BigInt(digits));
  const proto = parseExact('{"__proto__":12345678901234567890,"2":1,"1":2}') as object;
  expect(Object.getPrototypeOf(proto)).toBe(Object.prototype);
  expect(Object.getOwnPropertyDescriptor(proto, "__proto__")?.value).toBe(12345678901234567890n);
  for (const text of [
    "",
    "1234567890123456789x",
    "[12345678901234567890",
    '{"a":01234567890123456}',
  ]) {
    expect(() => parseExact(text)).toThrow(SyntaxError);
  }
  const long = "x".repeat(5_000_000);
  expect(parseExact(`["${long}",12345678901234567890]`)).toEqual([long, 12345678901234567890n]);
});

test("writing: a bigint is written as its digits, everything else as by JSON.stringify", () => {
  const value = {
    a: 1n,
    b: [2n, undefined, () => 0, Number.NaN],
    c: undefined,
    d: new Date(0),
    e: { f: -(2n ** 70n), toString: () => "" },
    "ä\n": '"',
  };
  expect(stringifyExact(value)).toBe(
    '{"a":1,"b":[2,null,null,null],"d":"1970-01-01T00:00:00.000Z",' +
      '"e":{"f":-1180591620717411303424},"ä\\n":"\\""}',
  );
  expect(stringifyExact(5n)).toBe("5");
  expect(stringifyExact(undefined)).toBeUndefined();
  expect(stringifyExact({ a: [1, { b: null }] })).toBe('{"a":[1,{"b":null}]}');
});
