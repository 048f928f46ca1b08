// Goal: an export of a server writes each record to exactly one committed file, in a directory and in
// a bucket, also when both fail for a while. Method: a server as a process, a store in memory, and
// the manifests as the only source of which files count.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "../../src/client/index.ts";
import { S3Server } from "../tools/backup/s3-server.ts";
import { Client } from "../tools/crash/client.ts";
import { CuttingWire } from "../tools/exports/cutting-wire.ts";
import { committedFiles } from "../tools/exports/manifests.ts";
import { bucketPlace, directoryPlace, exported } from "../tools/exports/place.ts";
import { until } from "../tools/exports/until.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const directory = temporaryDirectory();
const lake = join(directory.path, "lake");
const s3 = new S3Server();
let server: Server;
let api: Client;

const wire = new CuttingWire(s3.environment()["S3_ENDPOINT"] ?? "");
const env = {
  ...s3.environment(),
  S3_ENDPOINT: wire.url,
  RF_EXPORT_DIR: lake,
  RF_EXPORT_TIMEOUT_MS: "1000",
};
beforeAll(async () => {
  mkdirSync(lake);
  server = await startServer({ dataDir: join(directory.path, "data"), env });
  api = new Client(server.url);
});
afterAll(async () => {
  await server.kill();
  wire.stop();
  await s3.stop();
  directory.remove();
});

type Fields = Record<string, unknown>;
const produce = async (topic: string, count: number, partition = 0): Promise<void> => {
  const values = Array.from({ length: count }, (_, n) => ({ n, name: `name ${n}` }));
  await createClient({ url: server.url, token: "dev" }).produceBatch(topic, values, { partition });
};
const createTopic = (topic: string, partitions = 1) =>
  api.must("POST", "/broker/topics", JSON.stringify({ name: topic, partitions }));
const ask = async (
  method: string,
  path: string,
  body = "",
): Promise<Fields & { status: number }> => {
  const headers = { authorization: "Bearer dev" };
  const init = body === "" ? { method, headers } : { method, headers, body };
  const response = await fetch(server.url + path, init);
  return { status: response.status, ...((await response.json()) as Fields) };
};
const put = (name: string, body: object | string) =>
  ask("PUT", `/broker/exports/${name}`, typeof body === "string" ? body : JSON.stringify(body));
const get = (name: string) => ask("GET", `/broker/exports/${name}`);
const post = (name: string, action: string) => ask("POST", `/broker/exports/${name}/${action}`);

/** Flushes, and waits until everything is committed and listed. */
async function flushed(name: string, place: Parameters<typeof exported>[0], rows: number) {
  await post(name, "flush");
  let state: Fields = {};
  return await until(
    async () => {
      state = await get(name);
      if (state["lag_records"] !== 0) return null;
      const seen = await exported(place);
      return seen.rows === rows ? seen : null;
    },
    () => JSON.stringify(state),
  );
}

describe.each(["file", "s3"])("%s", (kind) => {
  const topic = `t-${kind}`;
  const url = kind === "file" ? `file://${lake}/a` : "s3://lake/a/";
  const place = kind === "file" ? directoryPlace(`${lake}/a`) : bucketPlace(s3, "lake/a/");

  test("flushed records are in files, each once; later ones in others", async () => {
    await createTopic(topic, 2);
    await produce(topic, 1000);
    const columns = [{ name: "n", field: "n", type: "int64" }];
    expect(await put(topic, { topic, url, columns })).toEqual({
      status: 200,
      ok: true,
      export: topic,
      created: true,
    });
    expect((await flushed(topic, place, 1000)).offsets).toEqual(new Map([[0, 1000]]));
    await produce(topic, 500, 1);
    await produce(topic, 10, 0);
    const all = await flushed(topic, place, 1510);
    expect(all.offsets).toEqual(
      new Map([
        [0, 1010],
        [1, 500],
      ]),
    );
    expect(await get(topic)).toMatchObject({
      topic,
      url: url.replace(/\/$/, ""),
      columns,
      every_ms: 600_000,
      max_bytes: 134_217_728,
      state: "running",
      rows: 1510,
      files: all.files,
      lost: 0,
      failures: 0,
    });
  });

  test("a new file begins after max_bytes, and after every_ms", async () => {
    const name = `${topic}-cut`;
    await createTopic(name);
    const to = `${url.replace(/\/$/, "")}-cut`;
    await put(name, { topic: name, url: to, max_bytes: 1024, every_ms: 1000 });
    for (let i = 0; i < 5; i++) await produce(name, 100);
    const where =
      kind === "file" ? directoryPlace(`${lake}/a-cut`) : bucketPlace(s3, "lake/a-cut/");
    const seen = await until(async () => {
      const found = await exported(where);
      return found.rows === 500 ? found : null;
    });
    expect(seen.files).toBe(13);
  });
});

test("pause stops an export, and resume lets it go on where it was", async () => {
  await createTopic("paused");
  await put("paused", { topic: "paused", url: "s3://lake/paused" });
  expect(await post("paused", "pause")).toEqual({
    status: 200,
    ok: true,
    export: "paused",
    paused: true,
  });
  await produce("paused", 10);
  expect(await post("paused", "flush")).toMatchObject({ status: 200, records: 10 });
  await Bun.sleep(1500);
  expect(await get("paused")).toMatchObject({ state: "paused", files: 0, lag_records: 10 });
  await post("paused", "resume");
  const place = bucketPlace(s3, "lake/paused/");
  expect((await flushed("paused", place, 10)).offsets).toEqual(new Map([[0, 10]]));
});

describe("a bucket that fails is tried again, and loses nothing", () => {
  const hang = () => Bun.sleep(3000).then(busy);
  const busy = () => new Response("<Error><Code>SlowDown</Code></Error>", { status: 503 });
  test.each([
    ["503", busy],
    [
      "503 and says when to ask again",
      () => new Response("", { status: 503, headers: { "retry-after": "120" } }),
    ],
    ["hangs", hang],
    ["cuts connections", null],
  ] as const)("%s", async (what, fail) => {
    const name = `fails-${what.replaceAll(/\W/g, "-")}`;
    await createTopic(name);
    await produce(name, 20);
    let isBad = true;
    s3.interfere = (line) =>
      isBad && fail !== null && line.includes(` lake/${name}/`) ? fail() : null;
    wire.cuts = fail === null ? `/lake/${name}/` : null;
    await put(name, { topic: name, url: `s3://lake/${name}` });
    await post(name, "flush");
    const state = await until(async () => {
      const found = await get(name);
      return Number(found["failures"]) >= 1 ? found : null;
    });
    expect(state).toMatchObject({ state: "retrying", files: 0, lag_records: 20 });
    expect(state["last_error"]).toStartWith(`s3://lake/${name}/_ayder/latest: `);
    expect(state["last_error_at_ms"]).toBeGreaterThan(1_700_000_000_000);
    // Another export and the log go on meanwhile.
    await produce("paused", 1);
    await post("paused", "flush");
    await until(async () => (await get("paused"))["lag_records"] === 0);
    isBad = false;
    wire.cuts = null;
    const seen = await flushed(name, bucketPlace(s3, `lake/${name}/`), 20);
    expect(seen.offsets).toEqual(new Map([[0, 20]]));
    expect(await get(name)).toMatchObject({ state: "running", failures: 0 });
    s3.interfere = () => null;
  });

  test("lies about lengths", async () => {
    await createTopic("lies");
    await produce("lies", 20);
    s3.cutsObjects = 1;
    await put("lies", { topic: "lies", url: "s3://lake/lies" });
    await post("lies", "flush");
    const state = await until(async () => {
      const found = await get("lies");
      return Number(found["failures"]) >= 1 ? found : null;
    });
    expect(state["last_error"]).toMatch(
      /^s3:\/\/lake\/lies\/topic=lies\/.*\/0-20\.parquet: the store says that it has \d+ bytes instead of \d+$/,
    );
    s3.cutsObjects = 0;
    await flushed("lies", bucketPlace(s3, "lake/lies/"), 20);
  });
});

test("a directory that is away for a while is tried again", async () => {
  await createTopic("away");
  await put("away", { topic: "away", url: `file://${lake}/away` });
  renameSync(lake, `${lake}-gone`);
  await produce("away", 20);
  await post("away", "flush");
  await until(async () => Number((await get("away"))["failures"]) >= 1);
  renameSync(`${lake}-gone`, lake);
  await flushed("away", directoryPlace(`${lake}/away`), 20);
});

test("a place with the files of another export is not used", async () => {
  await createTopic("first");
  await produce("first", 5);
  await put("first", { topic: "first", url: "s3://lake/one" });
  await flushed("first", bucketPlace(s3, "lake/one/"), 5);
  expect(await put("second", { topic: "first", url: "s3://lake/one" })).toMatchObject({
    status: 409,
    error: "export_url_taken",
  });
  expect(await ask("DELETE", "/broker/exports/first")).toEqual({
    status: 200,
    ok: true,
    export: "first",
    deleted: true,
  });
  await put("second", { topic: "first", url: "s3://lake/one" });
  await post("second", "flush");
  const state = await until(async () => {
    const found = await get("second");
    return found["last_error"] === null ? null : found;
  });
  expect(state["last_error"]).toMatch(
    /^s3:\/\/lake\/one holds the files of another export \(\d+-\d+\): use another place, or remove _ayder\/latest$/,
  );
  expect((await exported(bucketPlace(s3, "lake/one/"))).rows).toBe(5);
});

test("records that retention deletes first are counted; with hold they stay", async () => {
  for (const name of ["gone", "held"]) {
    await createTopic(name);
    await put(name, { topic: name, url: `s3://lake/${name}`, hold: name === "held" });
    await post(name, "pause");
    await produce(name, 50);
    await ask("POST", "/broker/retention", JSON.stringify({ topic: name, ttl_ms: 1 }));
  }
  const gone = await until(async () => {
    const found = await get("gone");
    return found["lost"] === 50 ? found : null;
  });
  expect(gone).toMatchObject({ lag_records: 0, rows: 0 });
  expect(await get("held")).toMatchObject({ lost: 0, lag_records: 50 });
  await post("held", "resume");
  await flushed("held", bucketPlace(s3, "lake/held/"), 50);
});

test("files that are stored and not committed do not stay", async () => {
  const names = ["trimmed", "left", "dropped"];
  const files = (name: string) =>
    [...s3.objects.keys()].filter((key) => key.startsWith(`lake/${name}/topic=`));
  // The bucket takes files, and says that it did not.
  s3.interfere = (line) => {
    const [method, key = ""] = line.split(" ");
    if (method !== "PUT" || !names.some((name) => key.startsWith(`lake/${name}/topic=`))) {
      return null;
    }
    s3.objects.set(key, Buffer.from("stored"));
    return new Response("", { status: 503, headers: { "retry-after": "1" } });
  };
  for (const name of names) {
    await createTopic(name);
    await produce(name, 20);
    await put(name, { topic: name, url: `s3://lake/${name}` });
    await post(name, "flush");
  }
  for (const name of names) {
    await until(async () => Number((await get(name))["failures"]) >= 1);
    expect(files(name).length).toBe(1);
  }
  // Records, export and topic are deleted.
  await ask("POST", "/broker/retention", JSON.stringify({ topic: "trimmed", ttl_ms: 1 }));
  expect(await ask("DELETE", "/broker/exports/left")).toMatchObject({ status: 200 });
  expect(await ask("DELETE", "/broker/topics/dropped")).toMatchObject({ status: 200 });
  expect(await get("left")).toMatchObject({ status: 404 });
  for (const name of names) await until(async () => files(name).length === 0);
  s3.interfere = () => null;
  await until(async () => (await get("trimmed"))["state"] === "running");
  expect(await get("trimmed")).toMatchObject({ lost: 20, files: 0, lag_records: 0 });
  // The place is free when nothing is left to be done there.
  const again = { topic: "left", url: "s3://lake/left" };
  await until(async () => (await put("again", again)).status === 200);
  await flushed("again", bucketPlace(s3, "lake/left/"), 20);
});

test("a changed definition is for later files; what is fixed is refused by name", async () => {
  await createTopic("changed");
  const base = { topic: "changed", url: "s3://lake/changed" };
  await put("changed", base);
  await produce("changed", 5);
  await flushed("changed", bucketPlace(s3, "lake/changed/"), 5);
  expect(await put("changed", { ...base, compression: "none", every_ms: 5000 })).toMatchObject({
    status: 200,
    created: false,
  });
  await produce("changed", 5);
  await flushed("changed", bucketPlace(s3, "lake/changed/"), 10);
  const files = await committedFiles(bucketPlace(s3, "lake/changed/"));
  expect(files.map((each) => [each.first_offset, each.end_offset])).toEqual([
    [0, 5],
    [5, 10],
  ]);
  expect(await put("changed", { ...base, url: "s3://lake/other" })).toEqual({
    status: 409,
    ok: false,
    error: "export_exists",
    message:
      'The export exists with another topic, url or from; these fields cannot be changed: export "changed" (field url)',
    docs: expect.any(String),
    field: "url",
  });
});

test("integers of any length are exact in a filter, also when it is shown", async () => {
  await createTopic("long");
  const filter =
    '[{"field":"id","op":"in","value":[9007199254740993,-9223372036854775808,4.0,{"a_b":1e2}]}]';
  const body = `{"topic":"long","url":"s3://lake/long","filter":${filter}}`;
  expect(await ask("PUT", "/broker/exports/long", body)).toMatchObject({ status: 200 });
  const lines = ["9007199254740992", "9007199254740993", "-9223372036854775807"];
  await ask(
    "POST",
    "/broker/topics/long/produce-ndjson?partition=0",
    lines.map((id) => `{"id":${id}}`).join("\n"),
  );
  await post("long", "flush");
  await until(async () => (await get("long"))["lag_records"] === 0);
  expect(await get("long")).toMatchObject({ rows: 1 });
  for (const path of ["/broker/exports/long", "/broker/exports"]) {
    const shown = await fetch(server.url + path, { headers: { authorization: "Bearer dev" } });
    expect(await shown.text()).toContain(`"filter":${filter}`);
  }
});

test.each([
  [{ topic: "first" }, "missing_field", 'Field "url" is required'],
  [
    { topic: "first", url: "ftp://x" },
    "invalid_field",
    'Field "url" must be s3://bucket/prefix or file:///directory',
  ],
  [
    { topic: "first", url: "s3://lake/../x" },
    "invalid_field",
    'Field "url" must not contain . or .. as a part',
  ],
  [
    { topic: "first", url: "file:///etc" },
    "invalid_field",
    `Field "url" must be below ${lake} (RF_EXPORT_DIR)`,
  ],
  [
    { topic: "first", url: `file://${lake}/../x` },
    "invalid_field",
    'Field "url" must not contain . or .. as a part',
  ],
  [
    { topic: "first", url: `file://${lake}/link/x` },
    "invalid_field",
    `Field "url" must be below ${lake} (RF_EXPORT_DIR)`,
  ],
  [{ topic: "first", url: "s3://lake/x", every_ms: 10 }, "invalid_field", 'Field "every_ms"'],
  [
    { topic: "first", url: "s3://lake/x", compression: "gzip" },
    "invalid_field",
    'Field "compression"',
  ],
  [{ topic: "first", url: "s3://lake/x", secret: "x" }, "unknown_field", "secret"],
  [
    { topic: "first", url: "s3://lake/x", columns: [{ name: "n", field: "n", type: "int" }] },
    "invalid_field",
    'Field "columns[0].type" must be one of string, int64, double, boolean, timestamp, json',
  ],
  [
    { topic: "first", url: "s3://lake/x", filter: [{ field: "n", op: "like", value: 1 }] },
    "invalid_field",
    'Field "filter[0].op" must be one of',
  ],
  [{ topic: "none", url: "s3://lake/x" }, "topic_not_found", 'topic "none"'],
  [
    '{"topic":"first","url":"s3://lake/x","filter":[{"field":"n","op":"in","value":[1,[-1e400]]}]}',
    "invalid_field",
    'Field "filter[0].value" must not hold a number whose magnitude is above 1.8e308',
  ],
] as const)("a wrong definition is refused: %j", async (body, error, message) => {
  if (!readdirSync(lake).includes("link")) symlinkSync("/tmp", join(lake, "link"));
  const answer = await put("wrong", body);
  expect(answer).toMatchObject({ ok: false, error });
  expect(String(answer["message"])).toContain(message);
});

test("an export that does not exist is 404 everywhere, and a wrong name is 400", async () => {
  for (const [method, path] of [
    ["GET", ""],
    ["DELETE", ""],
    ["POST", "/pause"],
    ["POST", "/resume"],
    ["POST", "/flush"],
  ] as const) {
    expect(await ask(method, `/broker/exports/none${path}`)).toMatchObject({
      status: 404,
      error: "export_not_found",
      message: 'No such export: export "none"',
    });
    expect(await ask(method, `/broker/exports/a%20b${path}`)).toMatchObject({
      status: 400,
      error: "invalid_export",
    });
  }
});
