// Goal: the recipe for DuckDB in the page about exports works as it stands there.
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { createClient } from "../../src/client/index.ts";
import { DuckDb } from "../tools/parquet/judge.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);

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

  const page = await Bun.file("src/docs/exports.md").text();
  const [, sql = ""] = /```sql\n([\s\S]*?)```/.exec(page) ?? [];
  const [sums = "", rows = ""] = sql.replaceAll("'/lake", `'${root}`).split(";");
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
