// Goal: `ayder exports` and the client say and do what the API does. Method: the command as a process
// against a server whose bucket is in memory.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { AyderError, createClient } from "../../src/client/index.ts";
import { S3Server } from "../tools/backup/s3-server.ts";
import { bucketPlace, exported } from "../tools/exports/place.ts";
import { until } from "../tools/exports/until.ts";
import { ayder } from "../tools/process/ayder.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const directory = temporaryDirectory();
const s3 = new S3Server();
let server: Server;
const exports = (...args: string[]) =>
  ayder(["exports", ...args, "--url", server.url], { env: { AYDER_TOKEN: "dev" } });

beforeAll(async () => {
  server = await startServer({ dataDir: join(directory.path, "data"), env: s3.environment() });
  const client = createClient({ url: server.url, token: "dev" });
  await client.topics.create("orders", { partitions: 1 });
  await client.produceBatch("orders", [{ amount: 1 }, { amount: 2 }, { amount: 3 }]);
});
afterAll(async () => {
  await server.kill();
  await s3.stop();
  directory.remove();
});

test("an export is created, changed, flushed, shown, paused, resumed and deleted", async () => {
  expect(await exports()).toMatchObject({ code: 0, err: "" });
  const create = ["create", "out", "orders", "s3://lake/o"];
  const columns = ["--columns", "amount=amount:double", "--where", "amount>1", "--values", "json"];
  expect(await exports(...create, ...columns)).toEqual({ code: 0, out: "created out\n", err: "" });
  expect(await exports(...create, ...columns, "--every", "1m", "--hold")).toEqual({
    code: 0,
    out: "changed out\n",
    err: "",
  });
  expect(await exports("flush", "out")).toMatchObject({ out: "3 records are on their way\n" });
  await until(async () => {
    const { out } = await exports("show", "out", "--json");
    return (JSON.parse(out) as { manifest: number }).manifest > 0;
  });
  const [file] = [...s3.objects.keys()].filter((key) => key.endsWith(".parquet"));
  expect(file).toMatch(/^lake\/o\/topic=orders\/date=[\d-]+\/partition=0\/0-3\.parquet$/);
  const shown = JSON.parse((await exports("show", "out", "--json")).out) as object;
  expect(shown).toMatchObject({
    export: "out",
    topic: "orders",
    url: "s3://lake/o",
    every_ms: 60_000,
    hold: true,
    columns: [{ name: "amount", field: "amount", type: "double" }],
    filter: [{ field: "amount", op: "gt", value: 1 }],
    decode: { type: "json" },
    files: 1,
    rows: 2,
    lag_records: 0,
    partitions: [{ partition: 0, next_offset: 3, end_offset: 3, writing: null }],
  });
  expect((await exports("show", "out")).out).toContain("every ms");
  const { out } = await exports("list");
  expect(out).toMatch(/^EXPORT +TOPIC +PLACE +STATE +FILES +ROWS +SIZE +LAG +LOST\n/);
  expect(out).toMatch(/\nout +orders +s3:\/\/lake\/o +running +1 +2 +[\d.]+ (B|KiB) +0 +0\n$/);
  expect(await exports("pause", "out")).toMatchObject({ out: "paused out\n" });
  expect((await exports("list", "--json")).out).toContain('"state":"paused"');
  expect(await exports("resume", "out")).toMatchObject({ out: "resumed out\n" });
  expect(await exports("delete", "out")).toMatchObject({ out: "deleted out; its files stay\n" });
  expect(s3.objects.has(file ?? "")).toBe(true);
  expect(await exports("show", "out")).toMatchObject({ code: 1, out: "" });
});

test("numbers and names of a definition are shown as they were given", async () => {
  const client = createClient({ url: server.url, token: "dev" });
  const filter = [
    { field: "id", op: "gt", value: 9007199254740993n },
    { field: "at", op: "eq", value: { userId: 1, user_id: -9223372036854775808n } },
  ] as const;
  const decode = { type: "json", field_aliases: { newName: ["old_name", "oldName"] } };
  const definition = { topic: "orders", url: "s3://lake/exact", filter, decode } as const;
  expect(await client.exports.put("exact", definition)).toBe(true);
  expect(await client.exports.put("exact", definition)).toBe(false);
  const described = await client.exports.describe("exact");
  expect([described.filter, described.decode]).toEqual([[...filter], decode]);
  expect((await client.exports.list()).map((each) => each.filter)).toContainEqual([...filter]);
  const digits =
    '"filter":[{"field":"id","op":"gt","value":9007199254740993},{"field":"at","op":"eq","value":{"userId":1,"user_id":-9223372036854775808}}]';
  for (const args of [
    ["show", "exact", "--json"],
    ["list", "--json"],
  ]) {
    const { out } = await exports(...args);
    expect(out).toContain(digits);
    expect(out).toContain('"field_aliases":{"newName":["old_name","oldName"]}');
  }
  expect((await exports("show", "exact")).out).toContain('"op":"gt","value":9007199254740993}');
  await client.exports.delete("exact");
});

test("wrong calls are refused before anything is sent, and wrong definitions by the server", async () => {
  for (const [args, code, message] of [
    [["create", "out", "orders"], 2, "exports create needs <url>"],
    [["show", "out", "--hold"], 2, "--hold belongs to exports create"],
    [["create", "out", "orders", "s3://lake/p", "--every", "x"], 2, "--every"],
    [
      ["create", "out", "orders", "file:///x"],
      1,
      "must not be a directory unless RF_EXPORT_DIR is set on the server",
    ],
    [["create", "out", "none", "s3://lake/p"], 1, 'topic "none"'],
  ] as const) {
    const result = await exports(...args);
    expect(result.code).toBe(code);
    expect(result.err).toContain(message);
  }
});

test("the client does the same", async () => {
  const client = createClient({ url: server.url, token: "dev" });
  const definition = { topic: "orders", url: "s3://lake/c", everyMs: 1000, hold: true } as const;
  expect(await client.exports.put("c", definition)).toBe(true);
  expect(await client.exports.put("c", definition)).toBe(false);
  expect(await client.exports.flush("c")).toBe(3);
  await until(async () => (await client.exports.describe("c")).manifest > 0);
  const [listed] = await client.exports.list();
  expect(listed).toMatchObject({
    export: "c",
    everyMs: 1000,
    lagRecords: 0,
    rows: 3,
    lastError: null,
  });
  expect((await exported(bucketPlace(s3, "lake/c/"))).rows).toBe(3);
  await client.exports.pause("c");
  expect((await client.exports.describe("c")).state).toBe("paused");
  await client.exports.resume("c");
  await client.exports.delete("c");
  const gone = await client.exports.describe("c").catch((error: unknown) => error);
  expect(gone).toBeInstanceOf(AyderError);
  expect(gone).toMatchObject({ code: "export_not_found", status: 404 });
});
