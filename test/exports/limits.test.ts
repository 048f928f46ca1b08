// Goal: scopes, the number of exports, the bound of `hold`, and backups. Method: a server as a
// process with settings of its own, and a store in memory.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { S3Server } from "../tools/backup/s3-server.ts";
import { bucketPlace, exported } from "../tools/exports/place.ts";
import { until } from "../tools/exports/until.ts";
import { ayder } from "../tools/process/ayder.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const directory = temporaryDirectory();
const s3 = new S3Server();
const env = {
  ...s3.environment(),
  RF_BEARER_TOKENS: "t-all@admin+write+read,t-mine@admin=mine,t-reader@read",
  RF_MAX_EXPORTS: "2",
  RF_EXPORT_HOLD_MS: "1",
};
let server: Server;

type Fields = Record<string, unknown>;
async function ask(token: string, line: string, body?: object | string): Promise<Fields> {
  const [method = "", path = ""] = line.split(" ");
  const text = typeof body === "object" ? JSON.stringify(body) : body;
  const response = await fetch(server.url + path, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(text === undefined ? {} : { body: text }),
  });
  return { status: response.status, ...((await response.json()) as Fields) };
}
const put = (token: string, name: string, topic: string, more: object = {}) =>
  ask(token, `PUT /broker/exports/${name}`, { topic, url: `s3://lake/${name}`, ...more });

beforeAll(async () => {
  server = await startServer({ dataDir: join(directory.path, "data"), env });
  for (const topic of ["mine", "other"]) {
    await ask("t-all", "POST /broker/topics", { name: topic, partitions: 1 });
    await ask("t-all", `POST /broker/topics/${topic}/produce`, "{}");
  }
});
afterAll(async () => {
  await server.kill();
  await s3.stop();
  directory.remove();
});

test("an export needs admin for its topic, to be made, seen and changed", async () => {
  expect(await put("t-reader", "a", "mine")).toMatchObject({ status: 403, error: "forbidden" });
  expect(await put("t-mine", "a", "other")).toMatchObject({ status: 403, error: "forbidden" });
  expect(await put("t-mine", "a", "mine")).toMatchObject({ status: 200, created: true });
  expect(await put("t-all", "b", "other")).toMatchObject({ status: 200, created: true });
  // Another topic does not take an export over.
  expect(await put("t-mine", "b", "mine")).toMatchObject({ status: 403 });
  for (const line of [
    "GET /broker/exports/b",
    "DELETE /broker/exports/b",
    "POST /broker/exports/b/pause",
    "POST /broker/exports/b/resume",
    "POST /broker/exports/b/flush",
  ]) {
    expect(await ask("t-mine", line)).toMatchObject({ status: 403, error: "forbidden" });
    expect(await ask("t-reader", line)).toMatchObject({ status: 403, error: "forbidden" });
  }
  const names = async (token: string) => {
    const { exports } = await ask(token, "GET /broker/exports");
    return (exports as { export: string }[] | undefined)?.map((each) => each.export);
  };
  expect(await names("t-all")).toEqual(["a", "b"]);
  expect(await names("t-mine")).toEqual(["a"]);
});

test("there are at most RF_MAX_EXPORTS, and a change is none more", async () => {
  expect(await put("t-all", "c", "other")).toMatchObject({
    status: 409,
    error: "too_many_exports",
    exports_max: 2,
  });
  expect(await put("t-all", "b", "other", { every_ms: 5000 })).toMatchObject({ created: false });
});

test("hold makes retention wait no longer than RF_EXPORT_HOLD_MS", async () => {
  await put("t-all", "b", "other", { hold: true });
  await ask("t-all", "POST /broker/exports/b/pause");
  await ask("t-all", "POST /broker/retention", { topic: "other", ttl_ms: 1 });
  let state = {};
  await until(
    async () => {
      state = await ask("t-all", "GET /broker/exports/b");
      return "lost" in state && state.lost === 1;
    },
    () => JSON.stringify(state),
  );
});

test("an export goes on in a restored backup, in the same place", async () => {
  const place = bucketPlace(s3, "lake/a/");
  const rowsAre = (rows: number) => async () => (await exported(place)).rows === rows;
  await ask("t-all", "POST /broker/exports/a/flush");
  await until(rowsAre(1));
  const archive = join(directory.path, "backup.ayder");
  const asAdmin = { env: { AYDER_TOKEN: "t-all" } };
  expect(await ayder(["backup", "--url", server.url, archive], asAdmin)).toMatchObject({ code: 0 });
  // The old cluster writes a file that the restored one does not know.
  await ask("t-all", "POST /broker/topics/mine/produce", '{"n":2}');
  await ask("t-all", "POST /broker/exports/a/flush");
  await until(rowsAre(2));
  await server.kill();
  const restored = join(directory.path, "restored");
  expect(await ayder(["restore", archive, "--data-dir", restored])).toMatchObject({ code: 0 });
  server = await startServer({ dataDir: restored, env });
  expect(await ask("t-all", "GET /broker/exports/a")).toMatchObject({ rows: 1, manifest: 1 });
  await until(rowsAre(1));
  for (let n = 3; n < 6; n++) await ask("t-all", "POST /broker/topics/mine/produce", `{"n":${n}}`);
  await ask("t-all", "POST /broker/exports/a/flush");
  await until(rowsAre(4));
  expect(await ask("t-all", "GET /broker/exports/a")).toMatchObject({ rows: 4, manifest: 2 });
});
