/** Each route of durable streams with tokens for some paths and one scope. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { StreamClient } from "../tools/durable/stream-client.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectory();
const TOKENS = ["r", "w", "a", "rwa", "elsewhere"] as const;
type Token = (typeof TOKENS)[number];
const ROOM = "read=/room/*+write=/room/*+admin=/room/*";
let server: Server;

beforeAll(async () => {
  server = await startServer({
    dataDir: directory.path,
    env: {
      RF_BEARER_TOKENS: `dev,r@read=/room/*,w@write=/room/*,a@admin=/room/*,rwa@${ROOM},elsewhere@all=/other/*`,
      RF_HTTP_ADDR: "127.0.0.1",
    },
  });
  const client = new StreamClient(server.url);
  for (const path of ["room/1", "room/wake", "other/1"]) await client.put(path, { body: "x" });
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

const definition = (fields: object) =>
  JSON.stringify({ type: "pull-wake", pattern: "room/*", wake_stream: "room/wake", ...fields });

/** Statuses in the order of the tokens: read, write, admin, all three, and all of other paths. */
type Case = readonly [
  method: string,
  path: string,
  body: string | null,
  statuses: readonly number[],
];
const NO = 403;
const CASES: readonly Case[] = [
  ["GET", "room/1", null, [200, NO, NO, 200, NO]],
  ["GET", "room/1?offset=-1&live=long-poll", null, [200, NO, NO, 200, NO]],
  ["HEAD", "room/1", null, [200, NO, NO, 200, NO]],
  ["PUT", "room/1", "x", [NO, 200, NO, 200, NO]],
  ["POST", "room/1", "x", [NO, 204, NO, 204, NO]],
  ["DELETE", "room/none", null, [NO, NO, 404, 404, NO]],
  ["GET", "other/1", null, [NO, NO, NO, NO, 200]],
  ["GET", "room%2F1", null, [200, NO, NO, 200, NO]],
  ["GET", "__ds/streams", null, [200, NO, NO, 200, 200]],
  ["GET", "__ds/streams/room/1", null, [200, NO, NO, 200, NO]],
  ["GET", "__ds/streams/other/1", null, [NO, NO, NO, NO, 200]],
  ["GET", "__ds/subscriptions", null, [NO, NO, NO, NO, NO]],
  ["PUT", "__ds/subscriptions/s", definition({}), [NO, NO, NO, 201, NO]],
  ["PUT", "__ds/subscriptions/s2", definition({ pattern: "**" }), [NO, NO, NO, NO, NO]],
  ["PUT", "__ds/subscriptions/s2", definition({ pattern: "other/*" }), [NO, NO, NO, NO, NO]],
  ["PUT", "__ds/subscriptions/s2", definition({ streams: ["other/1"] }), [NO, NO, NO, NO, NO]],
  ["PUT", "__ds/subscriptions/s2", definition({ wake_stream: "other/1" }), [NO, NO, NO, NO, NO]],
  ["GET", "__ds/subscriptions/s", null, [200, NO, NO, 200, NO]],
  // The streams would be permitted, the subscription is not.
  ["POST", "__ds/subscriptions/s/streams", '{"streams":["other/1"]}', [NO, NO, NO, NO, NO]],
  ["DELETE", "__ds/subscriptions/s/streams/other/1", null, [NO, NO, NO, NO, NO]],
  ["POST", "__ds/subscriptions/s/streams", '{"streams":["room/1"]}', [NO, NO, NO, 204, NO]],
  ["DELETE", "__ds/subscriptions/s/streams/room/1", null, [NO, NO, 204, 204, NO]],
  ["POST", "__ds/subscriptions/s/claim", '{"worker":"w"}', [409, NO, NO, 409, NO]],
  ["POST", "__ds/subscriptions/s/ack", "{}", [401, 401, 401, 401, 401]],
  ["POST", "__ds/subscriptions/s/release", "{}", [401, 401, 401, 401, 401]],
  ["POST", "__ds/subscriptions/s/callback", "{}", [401, 401, 401, 401, 401]],
  // The second one asks for a subscription that does not exist, whose owner nobody knows.
  ["DELETE", "__ds/subscriptions/s", null, [NO, NO, 204, NO, NO]],
];

test.each(CASES)("%s %s", async (method, path, body, statuses) => {
  const seen: Record<string, number> = {};
  for (const token of TOKENS) {
    const type = path.startsWith("__ds") ? "application/json" : "text/plain";
    const send = body === null ? {} : { body, type };
    seen[token] = (await new StreamClient(server.url, token).send(method, path, send)).status;
  }
  const wanted = Object.fromEntries(TOKENS.map((token: Token, i) => [token, statuses[i]]));
  expect(seen).toEqual(wanted as Record<string, number>);
  const nobody = await new StreamClient(server.url, "nobody").send(method, path, {});
  expect(nobody.status).toBe(401);
});

test("a fork needs to read its source, and keys and preflights need no token", async () => {
  const fork = (token: string, path: string, from: string) =>
    new StreamClient(server.url, token).put(path, {
      headers: { "stream-forked-from": `/v1/stream/${from}` },
    });
  expect((await fork("rwa", "room/f", "other/1")).status).toBe(403);
  expect((await fork("w", "room/f", "room/1")).status).toBe(403);
  expect((await fork("rwa", "room/f", "room/1")).status).toBe(201);
  expect((await fetch(`${server.url}/v1/stream/__ds/jwks.json`)).status).toBe(200);
  const preflight = await fetch(`${server.url}/v1/stream/room/1`, { method: "OPTIONS" });
  expect(preflight.status).toBe(204);
});

test("a list shows and counts only the streams that the token may read", async () => {
  const list = async (token: string, query = "") => {
    const answer = await fetch(`${server.url}/v1/stream/__ds/streams${query}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const { streams, next, total } = (await answer.json()) as {
      readonly streams: readonly { readonly path: string }[];
      readonly next: string | null;
      readonly total: number;
    };
    return { paths: streams.map(({ path }) => path), next, total };
  };
  const all = await list("dev");
  const room = all.paths.filter((path) => /^\/?room\//.test(path));
  const other = all.paths.filter((path) => /^\/?other\//.test(path));
  expect(all.total).toBe(room.length + other.length);
  expect(other.length).toBeGreaterThan(0);
  expect(room.length).toBeGreaterThan(1);
  expect(await list("r")).toEqual({ paths: room, next: null, total: room.length });
  expect(await list("elsewhere")).toEqual({ paths: other, next: null, total: other.length });
  const first = { paths: room.slice(0, 1), next: room[0] ?? null, total: room.length };
  expect(await list("r", "?limit=1")).toEqual(first);
  const rest = { paths: room.slice(1), next: null, total: room.length };
  expect(await list("r", `?after=${encodeURIComponent(room[0] ?? "")}`)).toEqual(rest);
  expect(await list("r", "?prefix=other")).toEqual({ paths: [], next: null, total: room.length });
});
