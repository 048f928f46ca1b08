/** Where a follower passes writes on to: checked addresses, HTTPS to HTTPS, and one hop only. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { fixture, startFixture, TOKEN } from "../tools/http/fixture.ts";
import { type RawLeader, startRawLeader } from "../tools/http/raw-leader.ts";

let leader: RawLeader;
const follower = fixture({ forwardWrites: { commitTimeoutMs: 20 } });
const produce = () => follower.ask("POST /broker/topics/t/produce", { body: "x" });

beforeAll(async () => {
  leader = await startRawLeader();
});
beforeEach(() => {
  leader.requests.length = 0;
});
afterAll(() => leader.stop());

test("the leader's address must be http or https, a host and a port", async () => {
  for (const url of [
    "ftp://127.0.0.1:1",
    "http://127.0.0.1",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://me:secret@127.0.0.1:1",
    "http://127.0.0.1:1/path",
    "http://127.0.0.1:1?x=",
    "http://127.0.0.1:1#",
    "http://256.0.0.1:1",
    "http://[::1:1",
    "http://::1:1",
    "127.0.0.1:1",
    "",
  ]) {
    follower.node.healthNow = { role: "follower", leaderUrl: url };
    const { status, body } = await produce();
    expect([url, status]).toEqual([url, 503]);
    expect(body).toMatchObject({
      error: "no_leader",
      message: `The address of the leader is ${JSON.stringify(url)}, not http://host:port; nothing was done, try again`,
    });
  }
  expect(leader.requests).toEqual([]);
});

test("a leader that cannot be reached: nothing was done", async () => {
  for (const [url, code] of [
    ["http://127.0.0.1:1", "ECONNREFUSED"],
    ["http://[::1]:1", "E[A-Z]+"],
    ["http://no-such-host.invalid:1", "(ENOTFOUND|EAI_AGAIN)"],
    ["http://[fe80::1]:9", "E[A-Z]+"],
  ] as const) {
    follower.node.healthNow = { role: "follower", leaderUrl: url };
    const { status, body } = await produce();
    expect([url, status, body["error"]]).toEqual([url, 503, "no_leader"]);
    const escaped = url.replace(/[[\].]/g, "\\$&");
    expect(body["message"]).toMatch(
      new RegExp(
        `^The leader ${escaped} cannot be reached \\(${code}\\); nothing was done, try again$`,
      ),
    );
  }
});

test("a node that serves HTTPS passes nothing on without it", async () => {
  const secure = startFixture({
    forwardWrites: { commitTimeoutMs: 1 },
    tls: { http: true, peers: false },
  });
  secure.node.healthNow = { role: "follower", leaderUrl: leader.url };
  const answer = await secure.ask("POST /kv/a/b", { body: "x" });
  expect(answer).toMatchObject({
    status: 503,
    body: {
      error: "no_leader",
      message: `The address of the leader is "${leader.url}": this node serves HTTPS and does not pass requests on without it; nothing was done, try again`,
    },
  });
  // A leader that speaks no TLS gets no request either.
  const words = "HTTP/1.1 400 Bad Request\r\n\r\n";
  leader.script = { after: "connect", act: (socket) => socket.write(words) };
  secure.node.healthNow = { role: "follower", leaderUrl: leader.url.replace("http", "https") };
  const wrong = await secure.ask("POST /kv/a/b", { body: "x" });
  expect(wrong).toMatchObject({
    status: 503,
    body: {
      error: "no_leader",
      message: `The leader ${leader.url.replace("http", "https")} cannot be reached (EPROTO); nothing was done, try again`,
    },
  });
  expect(leader.requests).toEqual([]);
  await secure.server.stop(0);
});

test("two nodes that take each other for the leader: one hop, and nothing was done", async () => {
  const make = () => startFixture({ forwardWrites: { commitTimeoutMs: 1000 } });
  const [one, two] = [make(), make()];
  const asked: string[] = [];
  for (const [self, other] of [
    [one, two],
    [two, one],
  ] as const) {
    self.node.healthNow = { role: "follower", leaderUrl: other.server.url };
    const leaderUrl = self.node.leaderUrl.bind(self.node);
    self.node.leaderUrl = () => {
      asked.push(self === one ? "one" : "two");
      return leaderUrl();
    };
  }
  for (const line of ["POST /kv/a/b", "DELETE /broker/topics/t", "PUT /kv/a/b"]) {
    asked.length = 0;
    const [method = "", path = ""] = line.split(" ");
    const answer = await fetch(one.server.url + path, {
      method,
      headers: { authorization: `Bearer ${TOKEN}` },
      ...(method === "DELETE" ? {} : { body: "x" }),
    });
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(await answer.json()).toMatchObject({
      error: "not_leader",
      message:
        "The request came from another node, which takes this one for the leader, and it is not; nothing was done, try again",
    });
    expect(asked).toEqual(["one", "two"]);
  }
  // The leader itself does what another node has passed on.
  two.node.healthNow = { role: "leader", leaderUrl: null };
  const done = await one.ask("POST /kv/a/b", { body: "x" });
  expect([done.status, done.body["cas"]]).toEqual([200, 1]);
  await Promise.all([one.server.stop(0), two.server.stop(0)]);
});
