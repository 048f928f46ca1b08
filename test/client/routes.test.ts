/**
 * Goal: each route can be called by the client and the command line, or a reason says why not.
 * Method: the table of routes against the manual, the methods of the client, and the commands.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { COMMANDS } from "../../src/cli/commands.ts";
import { createClient } from "../../src/client/index.ts";
import { ROUTES } from "../tools/client/route-table.ts";

const client = createClient({ url: "http://127.0.0.1:1", token: "none" });
/** The results of the calls in the table. */
const CALLED: Readonly<Record<string, object>> = {
  "queue()": client.queue("q"),
  "kv()": client.kv("n"),
  "group()": client.group("g", { topics: ["t"] }),
  "stream()": client.durable.stream("s"),
};

test("the table has a row for each route of the manual, and no other", () => {
  const page = readFileSync(new URL("../../src/docs/http.md", import.meta.url), "utf8");
  const [, table = ""] = page.split("## All routes");
  const routes = [...table.matchAll(/`((?:GET|POST|PUT|DELETE) \/[^`?]*)[^`]*`/g)];
  const named = routes.map(([, route = ""]) => route);
  expect(named.length).toBeGreaterThan(70);
  expect(Object.keys(ROUTES).sort()).toEqual([...new Set(named)].sort());
});

test("each method of the table is one of the client", () => {
  const missing = Object.entries(ROUTES).flatMap(([route, row]) => {
    if (!("client" in row)) return [];
    const path = row.client.split(".");
    const method = path.pop() ?? "";
    const [owner] = path;
    const object =
      owner === undefined ? client : (CALLED[owner] ?? Reflect.get(client, owner) ?? {});
    return typeof Reflect.get(object, method) === "function" ? [] : [`${route}: ${row.client}`];
  });
  expect(missing).toEqual([]);
});

test("each command of the table is one of the command line", async () => {
  const commands = new Map<string, ReadonlySet<string>>();
  for (const { name, load } of COMMANDS) {
    const { actions, options } = await load();
    const words = [...(actions ?? []).map((action) => action.name)];
    commands.set(name, new Set([...words, ...Object.keys(options).map((option) => `--${option}`)]));
  }
  const missing = Object.entries(ROUTES).flatMap(([route, row]) => {
    if (!("cli" in row)) return [];
    const [name = "", ...words] = row.cli.split(" ");
    const known = commands.get(name);
    return known !== undefined && words.every((word) => known.has(word))
      ? []
      : [`${route}: ${row.cli}`];
  });
  expect(missing).toEqual([]);
});
