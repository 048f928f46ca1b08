/** Which routes are for the leader, as declared and as forwarded, and which are found without Elysia. */
import { expect, test } from "bun:test";
import type { ClusterApi } from "../../src/node/api.ts";
import { FakeLater } from "../tools/http/fake-later.ts";
import { FakeQueues } from "../tools/http/fake-queues.ts";
import { FakeStreams } from "../tools/http/fake-streams.ts";
import { FakeWebhooks } from "../tools/http/fake-webhooks.ts";
import { fixture } from "../tools/http/fixture.ts";
import { startRawLeader } from "../tools/http/raw-leader.ts";

/** Reads that are sent as POST, and work of the asked node itself. */
const LOCAL = [
  "POST /admin/compact",
  "POST /admin/sealed/gc",
  "POST /broker/join",
  "POST /broker/query",
];
/** Long polls that change the state, and what only the leader remembers. */
const POLLS = ["GET /broker/groups/:group/messages", "GET /broker/webhooks/:webhook/deliveries"];
const UNUSED = {} as ClusterApi;

test("writes are passed on, reads and local work are not", async () => {
  const leader = await startRawLeader();
  const { app, ask, node } = fixture({
    cluster: UNUSED,
    streams: new FakeStreams(),
    queues: new FakeQueues(),
    later: new FakeLater(),
    webhooks: new FakeWebhooks(),
    forwardWrites: { commitTimeoutMs: 1000 },
  });
  node.healthNow = { role: "follower", leaderUrl: leader.url };
  const local: string[] = [];
  let forwarded = 0;
  try {
    for (const { method, path } of app.endpoints) {
      const target = path.replace(/:\w+|\*/g, "x1");
      leader.requests.length = 0;
      const body = method === "GET" || method === "DELETE" ? {} : { body: "{}" };
      const { status } = await ask(`${method} ${target}`, body).catch(() => ({ status: 0 }));
      const [request] = leader.requests;
      if (request === undefined) {
        if (method !== "GET") local.push(`${method} ${path}`);
      } else {
        forwarded++;
        if (!POLLS.includes(`${method} ${path}`)) expect(method).not.toBe("GET");
        expect([request.line, status]).toEqual([`${method} ${target} HTTP/1.1`, 200]);
      }
    }
    expect(local.sort()).toEqual(LOCAL);
    expect(forwarded).toBeGreaterThan(15);
  } finally {
    await leader.stop();
  }
});

test("what changes the log is for the leader, everything else is for any node", () => {
  const { app } = fixture({
    streams: new FakeStreams(),
    queues: new FakeQueues(),
    later: new FakeLater(),
    webhooks: new FakeWebhooks(),
    cluster: UNUSED,
  });
  const nameOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;
  const local = app.endpoints.filter(({ leaderOnly }) => !leaderOnly).map(nameOf);
  const writes = app.endpoints.filter(({ leaderOnly }) => leaderOnly).map(nameOf);
  expect(local.filter((name) => !name.startsWith("GET ")).sort()).toEqual(LOCAL);
  expect(writes.filter((name) => name.startsWith("GET "))).toEqual(POLLS);
  expect(writes).toContain("POST /broker/topics/:topic/produce");
  expect(writes).toContain("POST /ha/membership/add");
});

test("the routes that are found without Elysia are declared", () => {
  const { app } = fixture();
  const hot = app.endpoints.filter(({ isHot }) => isHot === true);
  expect(hot.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "POST /broker/topics/:topic/produce",
    "POST /broker/topics/:topic/produce-batches",
    "POST /broker/topics/:topic/produce-ndjson",
    "GET /broker/consume/:topic/:group/:partition",
    "POST /kv/:namespace/*",
    "PUT /kv/:namespace/*",
    "GET /kv/:namespace/*",
  ]);
});
