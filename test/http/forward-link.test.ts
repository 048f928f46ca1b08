/** Which writes a follower sends over the link to the leader, and how it waits for a leader over HTTP. */
import { expect, test } from "bun:test";
import type { ClusterApi } from "../../src/node/api.ts";
import { FakeLater } from "../tools/http/fake-later.ts";
import { FakeQueues } from "../tools/http/fake-queues.ts";
import { FakeStreams } from "../tools/http/fake-streams.ts";
import { startFixture, TOKEN } from "../tools/http/fixture.ts";
import { startRawLeader } from "../tools/http/raw-leader.ts";

const TOKEN_HEADER = { authorization: `Bearer ${TOKEN}` };
const BY_LINK = [
  "DELETE /broker/schedules/:schedule",
  "DELETE /broker/topics/:topic",
  "DELETE /broker/topics/:topic/producers",
  "DELETE /kv/:namespace",
  "DELETE /kv/:namespace/*",
  "GET /broker/groups/:group/messages",
  "POST /broker/commit",
  "POST /broker/delete-before",
  "POST /broker/groups/:group/commit",
  "POST /broker/groups/:group/join",
  "POST /broker/groups/:group/leave",
  "POST /broker/queues/:queue/ack",
  "POST /broker/queues/:queue/extend",
  "POST /broker/queues/:queue/nack",
  "POST /broker/queues/:queue/receive",
  "POST /broker/queues/:queue/redrive",
  "POST /broker/queues/:queue/reject",
  "POST /broker/retention",
  "POST /broker/topics",
  "POST /broker/topics/:topic/produce",
  "POST /broker/topics/:topic/produce-batches",
  "POST /broker/topics/:topic/produce-json",
  "POST /broker/topics/:topic/produce-ndjson",
  "POST /kv/:namespace/*",
  "PUT /kv/:namespace/*",
];

test("writes with a small command are handled by the follower, all others by HTTP", async () => {
  const leader = await startRawLeader();
  const { app, node, server } = startFixture({
    cluster: {} as ClusterApi,
    streams: new FakeStreams(),
    queues: new FakeQueues(),
    later: new FakeLater(),
    forwardWrites: { commitTimeoutMs: 1000 },
  });
  node.healthNow = { role: "follower", leaderUrl: leader.url };
  node.isLinked = true;
  try {
    const linked: string[] = [];
    for (const { method, path, leaderOnly } of app.endpoints) {
      if (!leaderOnly) continue;
      leader.requests.length = 0;
      const target = path.replace(/:\w+|\*/g, "x1");
      const body = method === "GET" || method === "DELETE" ? {} : { body: "{}" };
      await fetch(server.url + target, { method, headers: TOKEN_HEADER, ...body });
      if (leader.requests.length === 0) linked.push(`${method} ${path}`);
    }
    expect(linked.sort()).toEqual(BY_LINK);
  } finally {
    await server.stop(0);
    await leader.stop();
  }
});

test("by size, by an unknown size, and by a request that was forwarded before", async () => {
  const leader = await startRawLeader();
  const { node, server } = startFixture({ forwardWrites: { commitTimeoutMs: 1000 } });
  node.healthNow = { role: "follower", leaderUrl: leader.url };
  node.isLinked = true;
  const isSentByHttp = async (body: string | ReadableStream, headers = {}) => {
    leader.requests.length = 0;
    const answer = await fetch(`${server.url}/kv/n/k`, {
      method: "PUT",
      headers: { ...TOKEN_HEADER, ...headers },
      body,
    });
    const { error } = (await answer.json()) as { error?: string };
    return [answer.status, error, leader.requests.length];
  };
  const limit = 128 * 1024;
  try {
    expect(await isSentByHttp("x".repeat(limit))).toEqual([200, undefined, 0]);
    expect(await isSentByHttp("x".repeat(limit + 1))).toEqual([200, undefined, 1]);
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode("x"));
        controller.close();
      },
    });
    expect(await isSentByHttp(stream)).toEqual([200, undefined, 1]);
    const marked = (mark: string) => isSentByHttp("x", { "ayder-forwarded": mark });
    // This node has forwarded it itself, or another one has. A client does not know the marks.
    expect(await marked("mark-of-this-node")).toEqual([503, "not_leader", 0]);
    expect(await marked("mark-of-another-node")).toEqual([503, "not_leader", 0]);
    for (const mark of ["1", "", "mark-of-another-node, mark-of-another-node"]) {
      expect(await marked(mark)).toEqual([200, undefined, 1]);
    }
    node.isLinked = false;
    expect(await isSentByHttp("x")).toEqual([200, undefined, 1]);
  } finally {
    await server.stop(0);
    await leader.stop();
  }
});

test("while nobody listens at the address of the leader, another leader is waited for", async () => {
  const gone = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const leader = await startRawLeader();
  const { node, ask, server } = startFixture({ forwardWrites: { commitTimeoutMs: 60_000 } });
  const goneUrl = `http://127.0.0.1:${gone.port}`;
  await gone.stop(true);
  try {
    let attempts = 0;
    node.leaderUrl = () => {
      attempts++;
      return attempts < 4 ? goneUrl : leader.url;
    };
    const { status } = await ask("POST /broker/topics/t/produce", { body: "x" });
    expect([status, leader.requests.length, attempts]).toEqual([200, 1, 4]);
  } finally {
    await server.stop(0);
    await leader.stop();
  }
});
