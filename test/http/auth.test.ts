import { describe, expect, test } from "bun:test";
import { createApp, NO_SOCKET } from "../../src/http/app.ts";
import { RateLimit } from "../../src/http/rate-limit.ts";
import { isLoopbackAddress } from "../../src/http/server.ts";
import { parseTokenSpecs, type RateSpec, TokenSpecError } from "../../src/http/token-spec.ts";
import { tokenWords } from "../../src/http/token-words.ts";
import { FakeNode } from "../tools/http/fake-node.ts";
import { fixture, httpOptions } from "../tools/http/fixture.ts";

const names = (text: string) => parseTokenSpecs(text).map(({ token }) => token);
const withTokens = (tokens: string, monotonic = () => performance.now()) =>
  fixture({ auth: { tokens, skipPrefixes: [] }, monotonic });
const words = (text: string) => parseTokenSpecs(text).map(tokenWords);
const why = (text: string): string => {
  try {
    parseTokenSpecs(text);
  } catch (error) {
    if (error instanceof TokenSpecError) return error.message;
  }
  return "";
};

describe("token specs", () => {
  test("all spellings of the contract are understood", () => {
    expect(names("dev")).toEqual(["dev"]);
    expect(names("dev@scope:token2:token3")).toEqual(["dev", "token2", "token3"]);
    expect(names("a, b:c")).toEqual(["a", "b", "c"]);
    expect(parseTokenSpecs("dev@50000:50000:1000000")[0]).toMatchObject({
      token: "dev",
      rate: { bucket: { perSecond: 50_000, burst: 50_000 }, daily: 1_000_000 },
    });
    const [five] = parseTokenSpecs("dev@5");
    expect(five?.rate).toEqual({ bucket: { perSecond: 5, burst: 5 }, daily: null });
    const [reader, app] = parseTokenSpecs("r1@read,app@read+write=orders.*");
    expect(reader?.grants).toEqual([{ scope: "read", names: null, pattern: null }]);
    expect(app?.grants).toEqual([
      { scope: "read", names: null, pattern: null },
      { scope: "write", names: "orders.*", pattern: /^orders\..*$/ },
    ]);
  });
  test("a number beyond 2^53-1 is no limit", () => {
    const rates = (text: string) => parseTokenSpecs(text).map(({ rate }) => rate);
    expect(rates("dev@55555555555555:11111111111111111:111111111111111111111")).toEqual([null]);
    expect(rates("a@9007199254740991")).toEqual([
      { bucket: { perSecond: 9007199254740991, burst: 9007199254740991 }, daily: null },
    ]);
    expect(rates("a@9007199254740992")).toEqual([null]);
    expect(rates("a@9007199254740992:5")).toEqual([null]);
    expect(rates("a@5:9007199254740992")).toEqual([null]);
    expect(rates("a@9007199254740992:1:7")).toEqual([{ bucket: null, daily: 7 }]);
    expect(rates("a@5:6:9007199254740992")).toEqual([
      { bucket: { perSecond: 5, burst: 6 }, daily: null },
    ]);
  });
  test("a scope where a token is expected stops the start with what was meant", () => {
    const said = (entry: number, word: string, meant: string) =>
      `RF_BEARER_TOKENS, entry ${entry}: "${word}" is a scope where a token is expected; scopes of one token are joined by +, as in ${meant}`;
    for (const [text, entry, word, meant] of [
      ["app@read,write", 2, "write", "app@read+write"],
      ["s3cr3t@read,write,admin,other", 2, "write", "app@read+write+admin"],
      ["s3cr3t@read:write", 1, "write", "app@read+write"],
      ["s3cr3t:read:write", 1, "read", "app@read+write"],
      ["s3cr3t@read=a.*, write=b.*", 2, "write=b.*", "app@read=a.*+write=b.*"],
      ["s3cr3t@5,all", 2, "all", "app@all"],
      ["s3cr3t,admin", 2, "admin", "app@admin"],
      ["read", 1, "read", "app@read"],
      ["Write@s3cr3t", 1, "Write", "app@Write"],
      ["read+write=orders.*", 1, "read+write=orders.*", "app@read+write=orders.*"],
      ["s3cr3t@all,scope", 2, "scope", "app@all+scope"],
    ] as const) {
      expect([text, why(text)]).toEqual([text, said(entry, word, meant)]);
    }
    expect(names("reader,writer,administrator,all-of-it")).toHaveLength(4);
  });
  test("each token is told in plain words, without the token", () => {
    expect(words("t@read+write=orders.*,t2,t3@5,t4@scope")).toEqual([
      "reads all names, writes orders.*, no limit",
      "reads all names, writes all names, administers all names, no limit",
      "reads all names, writes all names, administers all names, at most 5 requests a second with bursts of 5",
      "reads all names, writes all names, administers all names, no limit",
    ]);
    expect(words("t@read=a+read=b.*+read=a:u")).toEqual([
      "reads a and b.*, no limit",
      "reads a and b.*, no limit",
    ]);
    expect(words("t@read=a+read")).toEqual(["reads all names, no limit"]);
    expect(words("t@write=*")).toEqual(["writes all names, no limit"]);
    expect(words("t@2:9:100")).toEqual([
      "reads all names, writes all names, administers all names, at most 2 requests a second with bursts of 9 and 100 requests a day",
    ]);
    expect(words("t@99999999999999999999:1:7")[0]).toEndWith(", at most 7 requests a day");
    expect(words("s3cr3t@read:t0k3n").join()).not.toMatch(/s3cr3t|t0k3n/);
  });
  test("the example that limits both scopes limits both", async () => {
    const { ask } = withTokens("app@read=orders.*+write=orders.*");
    const line = (topic: string) => `POST /broker/topics/${topic}/produce`;
    const asked = { token: "app", body: "x" };
    expect((await ask(line("orders.a"), asked)).status).toBe(200);
    expect((await ask(line("users"), asked)).status).toBe(403);
    expect((await ask("GET /broker/topics/orders.a", { token: "app" })).status).toBe(200);
    expect((await ask("GET /broker/topics/users", { token: "app" })).status).toBe(403);
  });
  test("further tokens of an entry have its scopes", () => {
    expect(parseTokenSpecs("a@read:b").map(({ grants }) => grants.length)).toEqual([1, 1]);
  });
  for (const text of [
    "a::b",
    ",",
    "a,",
    "a@",
    "a@reads",
    "a@read+",
    "a@read=",
    "a@read=or/ders",
    "a@0",
    "a@1:0",
    "a@1:2:3:4",
    "a@1:x",
    "a b",
    "a@all@b",
    "a,a",
    "ä",
    "a@1x",
    "a@01",
    "a@1:2:3:b",
    "a:b@read",
    "a:b@5",
    "a@READ",
    "a@ read",
    "a@read write",
  ]) {
    test(`"${text}" stops the start without showing a token`, () => {
      expect(() => parseTokenSpecs(text)).toThrow(TokenSpecError);
      const secret = text.replaceAll("a", "s3cr3t");
      expect(() => parseTokenSpecs(secret)).not.toThrow(/s3cr3t/);
      expect(() =>
        createApp(new FakeNode(), httpOptions({ auth: { tokens: text, skipPrefixes: [] } })),
      ).toThrow();
    });
  }
});

describe("scopes", () => {
  test("a dot in a pattern is a dot", async () => {
    const { ask } = withTokens("w@write=orders.*");
    expect(
      (await ask("POST /broker/topics/orders.a/produce", { token: "w", body: "x" })).status,
    ).toBe(200);
    expect(
      (await ask("POST /broker/topics/ordersXa/produce", { token: "w", body: "x" })).status,
    ).toBe(403);
    expect(
      (await ask("POST /broker/topics/a.orders.b/produce", { token: "w", body: "x" })).status,
    ).toBe(403);
  });
  test("every dot in a pattern is a dot", async () => {
    const { ask } = withTokens("w@write=eu.orders.*");
    const other = { token: "w", body: "x" };
    expect((await ask("POST /broker/topics/eu.ordersXa/produce", other)).status).toBe(403);
  });
  test("a token for one name reaches no other, on any route", async () => {
    const { ask, node } = withTokens("a@all=a.*");
    for (const [line, body] of [
      ["POST /broker/topics", '{"name":"b.x"}'],
      ["GET /broker/topics/b.x", undefined],
      ["DELETE /broker/topics/b.x", undefined],
      ["POST /broker/topics/b.x/produce", "x"],
      ["POST /broker/topics/b.x/produce-ndjson", "x"],
      ["GET /broker/consume/b.x/a.g/0", undefined],
      ["POST /broker/commit", '{"topic":"b.x","partition":0,"group":"g","offset":0}'],
      ["POST /broker/delete-before", '{"topic":"b.x","partition":0,"before_offset":0}'],
      ["POST /broker/retention", '{"topic":"b.x","ttl_ms":1}'],
      ["POST /broker/retention", '{"topic":"*","ttl_ms":1}'],
      ["POST /kv/b.x/a.k", "x"],
      ["GET /kv/b.x/a.k", undefined],
      ["GET /kv/b.x/a.k/meta", undefined],
      ["DELETE /kv/b.x/a.k", undefined],
      ["GET /kv/b.x", undefined],
      ["POST /admin/compact", ""],
      ["POST /admin/sealed/gc", ""],
      ["GET /admin/sealed/status", undefined],
      ["GET /admin/backup", undefined],
    ] as const) {
      const answer = await ask(line, { token: "a", ...(body === undefined ? {} : { body }) });
      expect({ line, status: answer.status, error: answer.body["error"] }).toEqual({
        line,
        status: 403,
        error: "forbidden",
      });
    }
    expect(node.calls).toBe(0);
  });
  test("lists show what the token may read", async () => {
    const { ask } = withTokens("every,r@read=orders.*");
    for (const topic of ["orders.a", "payments"]) {
      await ask(`POST /broker/topics/${topic}/produce`, { token: "every", body: "x" });
      const body = JSON.stringify({ topic, ttl_ms: 1000 });
      await ask("POST /broker/retention", { token: "every", body });
      await ask(`POST /kv/${topic}/k`, { token: "every", body: "x" });
    }
    const { body } = await ask("GET /broker/topics", { token: "r" });
    expect((body["topics"] as { topic: string }[]).map(({ topic }) => topic)).toEqual(["orders.a"]);
    const policies = await ask("GET /broker/retention", { token: "r" });
    expect((policies.body["policies"] as { topic: string }[]).map(({ topic }) => topic)).toEqual([
      "orders.a",
    ]);
    const spaces = await ask("GET /kv", { token: "r" });
    expect(spaces.body["namespaces"]).toMatchObject([{ namespace: "orders.a", keys: 1 }]);
  });
  test('retention for "*" wants the scope for all names', async () => {
    const { ask } = withTokens("some@admin=orders.*,every@admin");
    const body = '{"topic":"*","ttl_ms":5}';
    expect((await ask("POST /broker/retention", { token: "some", body })).status).toBe(403);
    expect((await ask("POST /admin/compact", { token: "some", body: "" })).status).toBe(403);
    expect((await ask("POST /broker/retention", { token: "every", body })).status).toBe(200);
  });
  test("403 changes nothing", async () => {
    const { ask, node } = withTokens("r@read");
    await ask("POST /broker/topics/t/produce", { token: "r", body: "x" });
    await ask("POST /broker/delete-before", {
      token: "r",
      body: '{"topic":"t","partition":0,"before_offset":0}',
    });
    await ask("DELETE /kv/a/b", { token: "r" });
    expect(node.calls).toBe(0);
  });
});

/** A limit and its clocks, in milliseconds. */
function limitOf(rate: RateSpec, wall = 0) {
  const at = { wall, monotonic: 0 };
  const clock = { wallMs: () => at.wall, monotonicMs: () => at.monotonic };
  return { at, limit: new RateLimit(rate, clock) };
}
const HOUR = 3600 * 1000;
const daily = (count: number): RateSpec => ({ bucket: null, daily: count });

describe("limits", () => {
  test("a bucket gives its burst and then its rate", () => {
    const { at, limit } = limitOf({ bucket: { perSecond: 2, burst: 3 }, daily: null });
    const take = (now: number) => {
      at.monotonic = now;
      return limit.take();
    };
    expect([0, 0, 0].map(take)).toEqual([0, 0, 0]);
    expect(take(0)).toBe(1);
    expect(take(499)).toBe(1);
    expect(take(500)).toBe(0);
    expect(take(500)).toBe(1);
    expect([HOUR, HOUR, HOUR, HOUR].map(take)).toEqual([0, 0, 0, 1]);
  });
  test("a wall clock that is set neither fills nor drains a bucket", () => {
    const { at, limit } = limitOf({ bucket: { perSecond: 1, burst: 2 }, daily: null }, 50 * HOUR);
    expect([limit.take(), limit.take(), limit.take()]).toEqual([0, 0, 1]);
    for (const wall of [90 * HOUR, 0, 90 * HOUR]) {
      at.wall = wall;
      expect(limit.take()).toBe(1);
    }
    at.monotonic = 1000;
    at.wall = 0;
    expect([limit.take(), limit.take()]).toEqual([0, 1]);
  });
  test("the day's requests come back at midnight UTC", () => {
    const { at, limit } = limitOf(daily(2), 12 * HOUR);
    expect([limit.take(), limit.take()]).toEqual([0, 0]);
    expect(limit.take()).toBe(12 * 3600);
    Object.assign(at, { wall: 24 * HOUR - 1, monotonic: 12 * HOUR - 1 });
    expect(limit.take()).toBe(1);
    Object.assign(at, { wall: 24 * HOUR, monotonic: 12 * HOUR });
    expect([limit.take(), limit.take(), limit.take()]).toEqual([0, 0, 24 * 3600]);
  });
  test("a clock that swings around midnight gives a day's requests once", () => {
    const { at, limit } = limitOf(daily(1), 23 * HOUR);
    const passed: number[] = [];
    for (let i = 0; i < 10; i++) {
      at.wall = (i % 2 === 0 ? 23 : 25) * HOUR;
      if (limit.take() === 0) passed.push(at.wall / HOUR);
    }
    expect(passed).toEqual([23, 25]);
  });
  test("a clock that was a year ahead does not hold the count for longer than a day", () => {
    const { at, limit } = limitOf(daily(1), 365 * 24 * HOUR);
    expect(limit.take()).toBe(0);
    Object.assign(at, { wall: 12 * HOUR, monotonic: HOUR });
    expect(limit.take()).toBe(23 * 3600);
    Object.assign(at, { wall: 35 * HOUR, monotonic: 24 * HOUR });
    expect([limit.take(), limit.take()]).toEqual([0, 13 * 3600]);
  });
  test("a request that the bucket refuses does not count for the day", () => {
    const { at, limit } = limitOf({ bucket: { perSecond: 1, burst: 1 }, daily: 2 });
    expect([limit.take(), limit.take(), limit.take()]).toEqual([0, 1, 1]);
    at.monotonic = 1000;
    expect(limit.take()).toBe(0);
    at.monotonic = 2000;
    expect(limit.take()).toBe(24 * 3600 - 2);
  });
  test("429 has Retry-After and the limit is of one token", async () => {
    const { ask, options } = withTokens("slow@1,fast", () => 0);
    expect((await ask("GET /broker/topics", { token: "slow" })).status).toBe(200);
    const refused = await ask("GET /broker/topics", { token: "slow" });
    expect(refused.status).toBe(429);
    expect(refused.body["error"]).toBe("rate_limited");
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await ask("GET /broker/topics", { token: "fast" })).status).toBe(200);
    expect(options.instruments.rateLimited.value).toBe(1);
  });
});

test("skipped prefixes need no token, and nothing else does", async () => {
  const { ask } = fixture({ auth: { tokens: "t", skipPrefixes: ["/kv/public/"] } });
  expect((await ask("POST /kv/public/k", { token: null, body: "x" })).status).toBe(200);
  expect((await ask("POST /kv/private/k", { token: null, body: "x" })).status).toBe(401);
  expect((await ask("POST /kv/public/../private/k", { token: null, body: "x" })).status).toBe(401);
});

test("without tokens there is dev, from loopback only", async () => {
  const { app, ask, options } = fixture({ auth: { tokens: "", skipPrefixes: [] } });
  expect((await ask("GET /broker/topics", { token: "dev" })).status).toBe(200);
  app.attach({ ...NO_SOCKET, isLoopback: () => false });
  const refused = await ask("GET /broker/topics", { token: "dev" });
  expect(refused.status).toBe(401);
  expect(refused.body["message"]).toContain("own machine only; set RF_BEARER_TOKENS");
  expect(options.instruments.authFailures.value).toBe(1);
  expect(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].every(isLoopbackAddress)).toBe(true);
  expect(["10.0.0.1", "128.0.0.1", "::2", "", "127.0.0.1.example"].some(isLoopbackAddress)).toBe(
    false,
  );
});

test("without tokens dev works by addresses and local names only: a page may have been led here", async () => {
  const { ask } = fixture({
    auth: { tokens: "", skipPrefixes: [] },
    listenedOn: "node1.example.com",
  });
  const by = (host: string, token = "dev", more: Record<string, string> = {}) =>
    ask("GET /broker/topics", { token, headers: { host, ...more } });
  for (const host of [
    ...["localhost:1109", "127.0.0.1:1109", "[::1]:1109", "[::1]", "LOCALHOST.", "a.localhost:80"],
    ...["ayder:1109", "x", "host.docker.internal:1109", "laptop.local", "192.168.1.7"],
    ...["node1.example.com:1109", "NODE1.example.com"],
  ]) {
    expect([host, (await by(host)).status]).toEqual([host, 200]);
  }
  for (const host of [
    ...[
      "evil.example.com:1109",
      "evil.example.com",
      "127.0.0.1.evil.example",
      "localhost.evil.org.",
    ],
    ...["node2.example.com", "7f000001.rbndr.us:1109", "1.2.3.4.5", "local.com"],
  ]) {
    const refused = await by(host);
    expect([host, refused.status, refused.body["error"]]).toEqual([host, 403, "forbidden"]);
    expect(refused.body["message"]).toContain("RF_BEARER_TOKENS");
    expect((await by(host, "wrong")).status).toBe(401);
    expect((await by(host, "dev", { "accept-encoding": "gzip" })).status).toBe(403);
  }
  expect((await by("localhost")).status).toBe(200);
});

const PROXIED = [
  ...["Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"],
  ...["X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-FORWARDED-FOR"],
  ...["X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "X-Original-Host"],
];

test("without tokens dev works straight from this machine only, not through a proxy", async () => {
  const { ask, node } = fixture({ auth: { tokens: "", skipPrefixes: ["/kv/public/"] } });
  for (const name of PROXIED) {
    const headers = { host: "localhost:1109", [name]: "1.2.3.4" };
    for (const line of ["GET /broker/topics", "POST /kv/a/b", "GET /kv/a/b", "GET /nothing"]) {
      const refused = await ask(line, {
        token: "dev",
        headers,
        ...(line.startsWith("POST") ? { body: "x" } : {}),
      });
      expect([name, line, refused.status, refused.body["error"]]).toEqual([
        ...[name, line],
        ...[403, "forbidden"],
      ]);
      expect(refused.body["message"]).toBe(
        `The header "${name.toLowerCase()}" is that of a proxy: dev works without a proxy only; set RF_BEARER_TOKENS`,
      );
    }
    expect((await ask("GET /broker/topics", { token: "wrong", headers })).status).toBe(401);
    for (const path of ["/health", "/ready", "/metrics", "/openapi.json", "/ui"]) {
      expect([path, (await ask(`GET ${path}`, { token: null, headers })).status]).toEqual([
        path,
        200,
      ]);
    }
    expect((await ask("GET /kv/public/k", { token: null, headers })).status).toBe(404);
  }
  expect(node.calls).toBe(0);
  const plain = { host: "localhost", "x-request-id": "1", traceparent: "00-a-b-01" };
  expect((await ask("GET /broker/topics", { token: "dev", headers: plain })).status).toBe(200);
});

test("with tokens a proxy is as good as any client", async () => {
  for (const tokens of ["s3cr3t", "dev"]) {
    const { ask } = withTokens(tokens);
    for (const name of PROXIED) {
      const headers = { host: "events.example.com", [name]: "1.2.3.4" };
      expect((await ask("GET /broker/topics", { token: tokens, headers })).status).toBe(200);
    }
  }
});

test("401 says what to send, and nothing of the tokens that were set", async () => {
  const message = async (tokens: string, token: string | null) => {
    const { status, body } = await withTokens(tokens).ask("GET /broker/topics", { token });
    expect(status).toBe(401);
    return String(body["message"]);
  };
  expect(await message("", null)).toContain('"Authorization: Bearer dev"');
  expect(await message("", "guess")).toContain('"Authorization: Bearer dev"');
  for (const token of [null, "guess"]) {
    expect(await message("s3cr3t", token)).toContain("Bearer TOKEN");
    expect(await message("s3cr3t", token)).not.toMatch(/s3cr3t|guess/);
  }
});

test("with tokens a node has whatever name it has, also with one called dev", async () => {
  const { ask } = withTokens("dev");
  const headers = { host: "events.example.com" };
  expect((await ask("GET /broker/topics", { token: "dev", headers })).status).toBe(200);
});

describe("RF_METRICS_TOKEN", () => {
  const withMetricsToken = (tokens: string, metricsToken: string) =>
    fixture({ auth: { tokens, metricsToken, skipPrefixes: [] } });
  const TOKENS = "every,reader@read,some@read=orders.*,writer@write";

  test("metrics ask for it, or for a token that may read all names", async () => {
    const { ask, options } = withMetricsToken(TOKENS, "m3tric");
    for (const path of ["/metrics", "/metrics_ha"]) {
      for (const [token, status, error] of [
        ["m3tric", 200, undefined],
        ["every", 200, undefined],
        ["reader", 200, undefined],
        ["some", 403, "forbidden"],
        ["writer", 403, "forbidden"],
        ["m3tri", 401, "unauthorized"],
        ["m3tric2", 401, "unauthorized"],
        ["dev", 401, "unauthorized"],
        [null, 401, "unauthorized"],
      ] as const) {
        const answer = await ask(`GET ${path}`, { token });
        expect([path, token, answer.status, answer.body["error"]]).toEqual([
          ...[path, token],
          ...[status, error],
        ]);
        expect(answer.headers.get("www-authenticate")).toBe(status === 401 ? "Bearer" : null);
      }
    }
    expect(options.instruments.authFailures.value).toBe(8);
    const lower = { headers: { authorization: "bearer m3tric" }, token: null };
    expect((await ask("GET /metrics", lower)).status).toBe(200);
    const basic = { headers: { authorization: "Basic m3tric" }, token: null };
    expect((await ask("GET /metrics", basic)).status).toBe(401);
  });
  test("it opens nothing else", async () => {
    const { ask, node } = withMetricsToken(TOKENS, "m3tric");
    for (const line of ["GET /broker/topics", "POST /kv/a/b", "GET /nothing", "GET /ha/nothing"]) {
      const body = line.startsWith("POST") ? { body: "x" } : {};
      const refused = await ask(line, { token: "m3tric", ...body });
      expect([line, refused.status, refused.body["message"]]).toEqual([
        line,
        ...[403, "The token of RF_METRICS_TOKEN is for metrics only"],
      ]);
    }
    expect(node.calls).toBe(0);
    expect((await ask("GET /health", { token: null })).status).toBe(200);
  });
  test("one that is a token of clients too has its rights", async () => {
    const { ask } = withMetricsToken("writer@write", "writer");
    expect((await ask("GET /metrics", { token: "writer" })).status).toBe(200);
    expect((await ask("POST /kv/a/b", { token: "writer", body: "x" })).status).toBe(200);
    expect((await ask("GET /kv/a/b", { token: "writer" })).status).toBe(403);
  });
  test("without it metrics are open, and dev opens them with it", async () => {
    expect((await withMetricsToken(TOKENS, "").ask("GET /metrics", { token: null })).status).toBe(
      200,
    );
    const { ask } = withMetricsToken("", "m3tric");
    expect((await ask("GET /metrics", { token: "dev" })).status).toBe(200);
    expect((await ask("GET /metrics", { token: null })).status).toBe(401);
    const headers = { "x-forwarded-for": "1.2.3.4" };
    expect((await ask("GET /metrics", { token: "dev", headers })).status).toBe(403);
    expect((await ask("GET /metrics", { token: "m3tric", headers })).status).toBe(200);
  });
  test("one that no request can show stops the start, and is not shown", () => {
    for (const token of ["s3cr3t,x", "s3cr3t x", "s3cr3t\n", "s3cr3tä"]) {
      expect(() => withMetricsToken("t", token)).toThrow(
        "RF_METRICS_TOKEN must be visible ASCII without commas and spaces",
      );
    }
  });
});
