/** Which routes another node than the leader forwards or redirects. */
import { expect, test } from "bun:test";
import type { ClusterApi } from "../../src/node/api.ts";
import { FakeStreams } from "../tools/http/fake-streams.ts";
import { fixture } from "../tools/http/fixture.ts";

/** No request is made, so nothing of it is called. */
const cluster = {} as ClusterApi;

/** Reads that are sent as POST, and what concerns the node that is asked. */
const LOCAL_POSTS = [
  "POST /admin/compact",
  "POST /admin/sealed/gc",
  "POST /broker/join",
  "POST /broker/query",
];

test("what changes the log is for the leader, everything else is for any node", () => {
  const { app } = fixture({ streams: new FakeStreams(), cluster });
  const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;
  const local = app.endpoints.filter(({ leaderOnly }) => !leaderOnly).map(nameOf);
  const writes = app.endpoints.filter(({ leaderOnly }) => leaderOnly).map(nameOf);
  expect(local.filter((name) => !name.startsWith("GET ")).sort()).toEqual(LOCAL_POSTS);
  expect(writes.filter((name) => name.startsWith("GET "))).toEqual([]);
  expect(writes).toContain("POST /broker/topics/:topic/produce");
  expect(writes).toContain("POST /ha/membership/add");
});

test("the routes that are found without Elysia are declared", () => {
  const { app } = fixture();
  const hot = app.endpoints.filter(({ isHot }) => isHot === true);
  expect(hot.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "POST /broker/topics/:topic/produce",
    "POST /broker/topics/:topic/produce-ndjson",
    "GET /broker/consume/:topic/:group/:partition",
    "POST /kv/:namespace/*",
    "PUT /kv/:namespace/*",
    "GET /kv/:namespace/*",
  ]);
});
