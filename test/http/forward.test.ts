/** A follower forwards a write and answers for it, also if the leader fails. */
import { expect, test } from "bun:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { type Fixture, fixture, TOKEN } from "../tools/http/fixture.ts";

/** A leader that does as `reply` says, for as long as `run` takes. */
async function withLeader(
  reply: (request: Request) => Response | Promise<Response>,
  run: (ask: Fixture["ask"], app: Fixture["app"]) => Promise<void>,
  tokens = TOKEN,
): Promise<void> {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: reply });
  const { node, ask, app } = fixture({
    auth: { tokens, skipPrefixes: [] },
    forwardWrites: { commitTimeoutMs: 10 },
  });
  node.healthNow = { role: "follower", leaderUrl: `http://127.0.0.1:${server.port}` };
  try {
    await run(ask, app);
  } finally {
    await server.stop(true);
  }
}

test("a write goes to the leader as it came, and the answer comes back", async () => {
  const reply = async (request: Request) =>
    Response.json(
      {
        method: request.method,
        path: request.url.slice(request.url.indexOf("/", 8)),
        token: request.headers.get("authorization"),
        body: await request.text(),
      },
      {
        status: 409,
        headers: { "content-type": "application/json", "retry-after": "3", "x-other": "1" },
      },
    );
  await withLeader(reply, async (ask) => {
    const answer = await ask("DELETE /kv/a/b%2Fc?cas=1");
    expect(answer.body).toMatchObject({ method: "DELETE", path: "/kv/a/b%2Fc?cas=1" });
    const put = await ask("POST /kv/a/b", { body: "x" });
    expect(put.body).toMatchObject({ method: "POST", token: `Bearer ${TOKEN}`, body: "x" });
    expect(put.status).toBe(409);
    expect(put.headers.get("retry-after")).toBe("3");
    expect(put.headers.get("x-other")).toBe("1");
  });
});

test("the encoding that a client asks for and the leader answers with is passed on", async () => {
  const words = JSON.stringify({ ok: true, words: "x".repeat(2000) });
  const reply = (request: Request) => {
    const asked = request.headers.get("accept-encoding");
    const headers = { "content-type": "application/json", vary: "accept-encoding" };
    return asked === "gzip"
      ? new Response(gzipSync(words), { headers: { ...headers, "content-encoding": asked } })
      : new Response(words, { headers });
  };
  await withLeader(reply, async (_, app) => {
    const send = async (encoding: string | null) => {
      const asks = encoding === null ? null : { "accept-encoding": encoding };
      const headers = { authorization: `Bearer ${TOKEN}`, ...asks };
      const url = "http://localhost/kv/a/b";
      return await app.fetch(new Request(url, { method: "POST", body: "v", headers }));
    };
    const zipped = await send("gzip");
    expect(zipped.headers.get("content-encoding")).toBe("gzip");
    expect(zipped.headers.get("vary")).toBe("accept-encoding");
    expect(gunzipSync(await zipped.arrayBuffer()).toString()).toBe(words);
    for (const encoding of ["identity", null]) {
      const plain = await send(encoding);
      expect(plain.headers.get("content-encoding")).toBeNull();
      expect(await plain.text()).toBe(words);
    }
  });
});

test("a leader without tokens takes what a follower passes on", async () => {
  const leader = fixture({ auth: { tokens: "", skipPrefixes: [] } });
  await withLeader(
    (request) => leader.app.fetch(request),
    async (ask) => {
      const put = await ask("POST /kv/a/b", { token: "dev", body: "x" });
      expect([put.status, put.body["cas"]]).toEqual([200, 1]);
    },
    "",
  );
});

test("a redirect of a leader that is none any more keeps its Location", async () => {
  const headers = { location: "http://127.0.0.1:1/kv/a/b" };
  await withLeader(
    () => new Response("{}", { status: 307, headers }),
    async (ask) => {
      const answer = await ask("POST /kv/a/b", { body: "x" });
      expect(answer.status).toBe(307);
      expect(answer.headers.get("location")).toBe(headers.location);
    },
  );
});

test("no proxy comes between a follower and its leader", async () => {
  const before = process.env["ALL_PROXY"];
  process.env["ALL_PROXY"] = "http://127.0.0.1:1";
  try {
    await withLeader(
      () => Response.json({ ok: true }),
      async (ask) => expect((await ask("POST /kv/a/b", { body: "x" })).status).toBe(200),
    );
  } finally {
    if (before === undefined) delete process.env["ALL_PROXY"];
    else process.env["ALL_PROXY"] = before;
  }
});

test("a leader that says nothing ends as an outcome that is unknown", async () => {
  const { promise, resolve } = Promise.withResolvers<Response>();
  await withLeader(
    () => promise,
    async (ask) => {
      const answer = await ask("POST /broker/topics/t/produce", { body: "x" });
      expect(answer).toMatchObject({ status: 504, body: { error: "commit_timeout" } });
      resolve(new Response());
    },
  );
});

test("nobody at the leader's address: nothing was done", async () => {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { node, ask } = fixture({ forwardWrites: { commitTimeoutMs: 10 } });
  const leaderUrl = `http://127.0.0.1:${server.port}`;
  node.healthNow = { role: "follower", leaderUrl };
  await server.stop(true);
  const answer = await ask("POST /kv/a/b", { body: "x" });
  expect(answer).toMatchObject({ status: 503, body: { error: "no_leader" } });
  expect(answer.body["message"]).toBe(
    `The leader ${leaderUrl} cannot be reached (ECONNREFUSED); nothing was done, try again`,
  );
});
