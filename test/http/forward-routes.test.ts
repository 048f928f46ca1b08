/** Which routes a follower passes on to the leader: all that change the replicated state, no other. */
import { expect, test } from "bun:test";
import type { ClusterApi } from "../../src/node/api.ts";
import { FakeStreams } from "../tools/http/fake-streams.ts";
import { fixture } from "../tools/http/fixture.ts";
import { startRawLeader } from "../tools/http/raw-leader.ts";

/** Reads that are sent as POST, and work of the asked node itself. */
const LOCAL = [
  "POST /admin/compact",
  "POST /admin/sealed/gc",
  "POST /broker/join",
  "POST /broker/query",
];
const UNUSED = {} as ClusterApi;

test("writes are passed on, reads and local work are not", async () => {
  const leader = await startRawLeader();
  const { app, ask, node } = fixture({
    cluster: UNUSED,
    streams: new FakeStreams(),
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
        expect([method, request.line, status]).not.toContain("GET");
        expect([request.line, status]).toEqual([`${method} ${target} HTTP/1.1`, 200]);
      }
    }
    expect(local.sort()).toEqual(LOCAL);
    expect(forwarded).toBeGreaterThan(15);
  } finally {
    await leader.stop();
  }
});
