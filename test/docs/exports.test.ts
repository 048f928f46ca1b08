// Goal: the recipe for DuckDB in the page about exports works as it stands there.
import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "../../src/client/index.ts";
import { until } from "../tools/exports/until.ts";
import { DuckDb } from "../tools/parquet/judge.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);

const page = await Bun.file("src/docs/exports.md").text();
const recipes = [...page.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, sql = ""]) => sql);

test("the queries of the page read what an export wrote", async () => {
  const directory = temporaryDirectory();
  const server = await startServer({ dataDir: join(directory.path, "data") });
  const client = createClient({ url: server.url, token: "dev" });
  await client.topics.create("orders", { partitions: 1 });
  await client.produce("orders", { amount: 4.5, status: "paid" }, { key: "a" });
  await client.produce("orders", { amount: 2, status: "new" }, { headers: { region: "eu" } });
  const root = join(directory.path, "lake");
  const columns = ["--columns", "amount=amount:double", "--values", "json"];
  const run = await ayder(["export", "orders", "--url", server.url, "--to", root, ...columns]);
  expect(run).toMatchObject({ code: 0, err: "" });

  const [sums = "", rows = ""] = (recipes[0] ?? "").replaceAll("'/lake", `'${root}`).split(";");
  const duck = await DuckDb.open();
  const [day] = await duck.rows(`select orders::int as orders, amount from (${sums})`);
  expect(day).toEqual({ orders: 2, amount: 6.5 });
  expect(await duck.rows(rows)).toEqual([
    { key: "a", status: "paid", region: null },
    { key: null, status: "new", region: "eu" },
  ]);
  duck.close();
  await server.kill();
  directory.remove();
});

test("the exact query reads the files of the manifests, and no other", async () => {
  const directory = temporaryDirectory();
  const lake = join(directory.path, "lake");
  mkdirSync(lake);
  const server = await startServer({
    dataDir: join(directory.path, "data"),
    env: { RF_EXPORT_DIR: lake },
  });
  const client = createClient({ url: server.url, token: "dev" });
  await client.topics.create("orders", { partitions: 1 });
  await client.exports.put("orders", { topic: "orders", url: `file://${lake}` });
  for (let count = 1; count <= 3; count++) {
    await client.produce("orders", { count });
    await client.exports.flush("orders");
    await until(async () => (await client.exports.describe("orders")).manifest === count);
  }
  const [file = ""] = [...new Bun.Glob("**/0-1.parquet").scanSync(lake)];
  await Bun.write(join(lake, file.replace("0-1", "0-9")), Bun.file(join(lake, file)));
  const duck = await DuckDb.open();
  const [set = "", rows = ""] = (recipes[1] ?? "").replaceAll("'/lake", `'${lake}`).split(/;\n/);
  await duck.rows(set);
  expect(
    await duck.rows(`select orders::int as orders, offsets::int as offsets from (${rows})`),
  ).toEqual([{ orders: 3, offsets: 3 }]);
  const all = await duck.rows(`select count(*)::int as rows from '${lake}/**/*.parquet'`);
  expect(all).toEqual([{ rows: 4 }]);
  duck.close();
  await server.kill();
  directory.remove();
});
