/** A follower between a raw client and a raw leader: what is carried, and what becomes of breaks. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createConnection, type Socket } from "node:net";
import { NO_SOCKET } from "../../src/http/app.ts";
import { DEFAULT_MEMORY } from "../../src/http/options.ts";
import { exchange } from "../tools/conformance/raw-socket.ts";
import { fixture, startFixture, TOKEN } from "../tools/http/fixture.ts";
import {
  answering,
  type RawLeader,
  rawAnswer,
  type Script,
  startRawLeader,
} from "../tools/http/raw-leader.ts";

const REQUEST_BYTES_MAX = 200_000;
let leader: RawLeader;
const follower = startFixture({
  forwardWrites: { commitTimeoutMs: 20 },
  limits: {
    messageBytesMax: 100_000,
    requestBytesMax: REQUEST_BYTES_MAX,
    ndjsonLinesMax: 10,
    topicPartitionsMax: 10,
  },
});

beforeAll(async () => {
  leader = await startRawLeader();
});
beforeEach(() => {
  follower.node.healthNow = { role: "follower", leaderUrl: leader.url };
  leader.script = answering("200 OK", '{"ok":true}');
  leader.requests.length = 0;
});
afterAll(async () => {
  await follower.server.stop(0);
  await leader.stop();
});

/** @param head request line and headers. @returns what came until the connection was closed. */
async function raw(head: readonly string[], body: string | Buffer = "") {
  const lines = [...head, "Host: x", `Authorization: Bearer ${TOKEN}`];
  if (!head.some((line) => line.startsWith("Connection:"))) lines.push("Connection: close");
  const bytes = Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), Buffer.from(body)]);
  const { port } = follower.server;
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port }, () => socket.write(bytes));
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
  });
  const text = Buffer.concat(chunks).toString("latin1");
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text };
}
const produce = (headers: readonly string[] = [], body = "x") =>
  raw(
    [
      "POST /broker/topics/t/produce HTTP/1.1",
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...headers,
    ],
    body,
  );
const sent = () => {
  const [request] = leader.requests;
  return { line: request?.line, headers: Object.fromEntries(request?.headers ?? []) };
};

describe("the request", () => {
  test("all headers are carried but those of one connection", async () => {
    await produce([
      "Content-Type: Text/Plain; a=b",
      "Accept: application/json;q=0.5",
      "Accept-Encoding: gzip;q=0.1, br",
      "Idempotency-Key: a key",
      'If-None-Match: "1"',
      "Producer-Id: p",
      "Producer-Epoch: 1",
      "Producer-Seq: 0",
      "Ayder-Header-Tenant: a",
      "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      "tracestate: a=1",
      "tracestate: b=2",
      "ce-id: 1",
      "User-Agent: mine/1",
      "X-Of-Tomorrow: 1",
      "Ayder-Forwarded: of-the-client",
      "Ayder-Origin: https://of-the-client.example",
      "Connection: close, X-Of-This-Hop",
      "X-Of-This-Hop: 1",
      "Keep-Alive: timeout=5",
      "Proxy-Authorization: Basic YTpi",
      "TE: trailers",
    ]);
    const { line, headers } = sent();
    expect(line).toBe("POST /broker/topics/t/produce HTTP/1.1");
    expect(headers).toEqual({
      host: leader.url.slice("http://".length),
      connection: "keep-alive",
      "content-length": "1",
      authorization: `Bearer ${TOKEN}`,
      "content-type": "Text/Plain; a=b",
      accept: "application/json;q=0.5",
      "accept-encoding": "gzip;q=0.1, br",
      "idempotency-key": "a key",
      "if-none-match": '"1"',
      "producer-id": "p",
      "producer-epoch": "1",
      "producer-seq": "0",
      "ayder-header-tenant": "a",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      tracestate: "a=1, b=2",
      "ce-id": "1",
      "user-agent": "mine/1",
      "x-of-tomorrow": "1",
      "ayder-forwarded": "mark-of-this-node",
    });
  });
  test("no encoding is asked for that the client did not ask for", async () => {
    await produce();
    expect(sent().headers["accept-encoding"]).toBe("identity");
    expect(sent().headers["content-type"]).toBeUndefined();
  });
  test("paths and queries arrive as they were written", async () => {
    for (const [method, target] of [
      ["DELETE", "/kv/n/a%2Fb%20c%3f%23%2B+d?cas=1"],
      ["DELETE", "/kv/n/%E2%82%AC%F0%9F%98%80/..%2E.?cas=%31"],
      ["POST", "/kv/n/x~!$&'()*,;=:@?timeout_ms=5"],
      ["PUT", "/kv/n/a/b;c/d?cas=0"],
      ["DELETE", "/broker/topics/a.b-c_d"],
      ["POST", "/broker/topics/t/produce?key=a%26b%3Dc%00&idempotency_key=%27%22%3C%3E"],
    ] as const) {
      leader.requests.length = 0;
      const length = method === "DELETE" ? [] : ["Content-Length: 0"];
      await raw([`${method} ${target} HTTP/1.1`, ...length]);
      expect(sent().line).toBe(`${method} ${target} HTTP/1.1`);
    }
  });
  test("a body of exactly the limit is carried byte for byte, and one of a byte more is not", async () => {
    const body = Buffer.alloc(REQUEST_BYTES_MAX, "\u0000\u00ff\r\n\r\nx", "latin1");
    const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
    const lines = (length: number) => [
      "POST /broker/topics/t/produce HTTP/1.1",
      `Content-Length: ${length}`,
    ];
    expect((await raw(lines(body.length), body)).status).toBe(200);
    expect(hash(leader.requests[0]?.body ?? Buffer.alloc(0))).toBe(hash(body));
    const chunked = ["POST /broker/topics/t/produce HTTP/1.1", "Transfer-Encoding: chunked"];
    const chunk = (bytes: Buffer) =>
      Buffer.concat([
        Buffer.from(`${bytes.length.toString(16)}\r\n`),
        bytes,
        Buffer.from("\r\n0\r\n\r\n"),
      ]);
    expect((await raw(chunked, chunk(body))).status).toBe(200);
    expect(hash(leader.requests[1]?.body ?? Buffer.alloc(0))).toBe(hash(body));
    const longer = Buffer.concat([body, Buffer.from("x")]);
    // By its length it is refused as the leader would refuse it, by the limit of its route.
    const long = await raw(lines(longer.length), longer);
    expect(long.status).toBe(413);
    expect(long.text).toContain('"error":"message_too_large"');
    expect(long.text).toContain('"limit":100000');
    const chunks = await raw(chunked, chunk(longer));
    expect(chunks.status).toBe(413);
    expect(chunks.text).toContain('"error":"message_too_large"');
    expect(chunks.text).toContain('"limit":100000');
    expect(leader.requests.length).toBe(2);
  });
  test("an upload that breaks off sends nothing to the leader", async () => {
    const head = ["POST /kv/n/k HTTP/1.1", "Content-Length: 10", "Host: x"];
    const text = `${[...head, `Authorization: Bearer ${TOKEN}`].join("\r\n")}\r\n\r\nabc`;
    await exchange(follower.server.url, [Buffer.from(text)], true, true);
    expect((await produce()).status).toBe(200);
    expect(leader.requests.map(({ line }) => line)).toEqual([
      "POST /broker/topics/t/produce HTTP/1.1",
    ]);
  });
});

describe("the answer", () => {
  test("status, body and all headers but those of one connection come back", async () => {
    const body = '{"ok":false,"error":"cas_mismatch","expected":1,"current":2}';
    for (const status of ["200 OK", "202 Accepted", "409 Conflict", "412 Precondition Failed"]) {
      leader.script = answering(status, body, [
        "Content-Type: application/json",
        'ETag: "2"',
        'Link: </docs/kv>; rel="help"',
        "Link: </a>; rel=next",
        "Vary: Accept-Encoding",
        "Retry-After: 7",
        "X-RateLimit-Remaining: 0",
        "RateLimit: limit=1, remaining=0",
        "WWW-Authenticate: Bearer",
        "Allow: GET",
        "Stream-Next-Offset: 1_2",
        "Cache-Control: no-store",
        "Date: Thu, 01 Jan 1970 00:00:00 GMT",
        "Connection: X-Of-This-Hop",
        "X-Of-This-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Authenticate: Basic",
      ]);
      const { text } = await produce();
      const [head = "", received] = text.split("\r\n\r\n");
      const [line, ...lines] = head.split("\r\n");
      expect(line).toBe(`HTTP/1.1 ${status}`);
      expect(received).toBe(body);
      const names = lines.map((each) => each.toLowerCase());
      const dates = names.filter((each) => each.startsWith("date:"));
      expect([dates.length, dates[0]?.includes("1970")]).toEqual([1, false]);
      const own = [...dates, "connection: close"];
      expect(names.filter((each) => !own.includes(each)).sort()).toEqual(
        [
          "content-type: application/json",
          'etag: "2"',
          'link: </docs/kv>; rel="help", </a>; rel=next',
          "vary: accept-encoding",
          "retry-after: 7",
          "x-ratelimit-remaining: 0",
          "ratelimit: limit=1, remaining=0",
          "www-authenticate: bearer",
          "allow: get",
          "stream-next-offset: 1_2",
          "cache-control: no-store",
          `content-length: ${body.length}`,
        ].sort(),
      );
    }
  });
  test("413 and 429 come back byte for byte", async () => {
    for (const [status, body] of [
      ["413 Payload Too Large", '{"ok":false,"error":"message_too_large","limit":100000}'],
      ["429 Too Many Requests", '{"ok":false,"error":"rate_limited","message":"€\\u0000"}\r\n'],
    ] as const) {
      leader.script = answering(status, body, ["Retry-After: 3"]);
      const { status: code, text } = await produce();
      expect(code).toBe(Number(status.slice(0, 3)));
      const received = text.slice(text.indexOf("\r\n\r\n") + 4);
      expect(Buffer.from(received, "latin1").toString()).toBe(body);
      expect(text.toLowerCase()).toContain("retry-after: 3");
    }
  });
  test("a compressed answer comes back as it is", async () => {
    const packed = Buffer.from(Bun.gzipSync(Buffer.from('{"ok":true}')));
    leader.script = {
      act: (socket) => {
        const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}`;
        socket.write(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), packed]));
      },
    };
    const { text } = await produce(["Accept-Encoding: gzip"]);
    expect(text.toLowerCase()).toContain("content-encoding: gzip");
    expect(Buffer.from(text.split("\r\n\r\n").slice(1).join("\r\n\r\n"), "latin1")).toEqual(packed);
  });
  test("a chunked answer, one after 100 Continue, and one without a body", async () => {
    leader.script = {
      act: (socket) =>
        socket.write(
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
        ),
    };
    expect((await produce()).text).toEndWith("\r\n\r\nabcd");
    leader.script = { act: (socket) => socket.write("HTTP/1.1 204 No Content\r\n\r\n") };
    expect((await produce()).text).toStartWith("HTTP/1.1 204 No Content\r\n");
  });
});

describe("a leader that breaks off", () => {
  const reset = (socket: Parameters<Script["act"]>[0]) => socket.resetAndDestroy();
  const cut =
    (text: string, how: "end" | "reset"): Script["act"] =>
    (socket) => {
      socket.write(text, () => (how === "end" ? socket.end() : reset(socket)));
    };
  const halfAnswers = [
    "HTTP/1.1 200 OK\r\nContent-Le",
    'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":',
    'HTTP/1.1 409 Conflict\r\nContent-Length: 11\r\n\r\n{"ok":',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{"ok":\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"ok":',
    `HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${"x".repeat(70_000)}`,
  ];
  const phases: readonly (readonly [string, Script])[] = [
    ["before the request", { after: "connect", act: reset }],
    ["in the body", { after: "head", act: reset }],
    ["in the body, with an end", { after: "head", act: (socket) => socket.end() }],
    ["after the request", { act: reset }],
    ["after the request, with an end", { act: (socket) => socket.end() }],
    ...halfAnswers.flatMap((text): readonly (readonly [string, Script])[] => [
      [`in ${JSON.stringify(text.slice(0, 60))} by an end`, { act: cut(text, "end") }],
      [`in ${JSON.stringify(text.slice(0, 60))} by a reset`, { act: cut(text, "reset") }],
    ]),
    ["in words of another protocol", { act: cut("SSH-2.0-OpenSSH\r\n", "end") }],
  ];
  const requests = [
    ["POST /broker/topics/t/produce HTTP/1.1", "x".repeat(150_000)],
    ["PUT /kv/n/k?cas=1 HTTP/1.1", "x"],
    ["DELETE /kv/n/k?cas=1 HTTP/1.1", ""],
    ["DELETE /broker/topics/t HTTP/1.1", ""],
  ] as const;
  for (const [phase, script] of phases) {
    test(`${phase}: the outcome is unknown, and the request was sent once`, async () => {
      for (const [line, body] of requests) {
        const length = body === "" ? [] : [`Content-Length: ${body.length}`];
        // Connections that were used before are those that runtimes repeat requests on.
        leader.script = answering("200 OK");
        for (let i = 0; i < 3; i++) expect((await produce()).status).toBe(200);
        leader.requests.length = 0;
        const connections = leader.connections();
        leader.script = script;
        const { status, text } = await raw([line, ...length], body);
        expect([line, status]).toEqual([line, 504]);
        expect(text).toContain('"error":"commit_timeout"');
        expect(text).toContain(`The answer of the leader ${leader.url} was lost (`);
        expect(text).toContain("the outcome is unknown");
        expect(leader.requests.length).toBeLessThanOrEqual(1);
        expect(leader.connections() - connections).toBeLessThanOrEqual(1);
      }
    });
  }
});

test("a leader that is slower than timeout_ms and the grace: the outcome is unknown", async () => {
  leader.script = { act: () => undefined };
  for (const [query, waitMs] of [
    ["", 1020],
    ["?timeout_ms=3", 1003],
    ["?timeout_ms=x", 1020],
    ["?timeout_ms=30&timing=1", 1030],
  ] as const) {
    const { status, text } = await raw([
      `POST /broker/topics/t/produce${query} HTTP/1.1`,
      "Content-Length: 0",
    ]);
    expect(status).toBe(504);
    expect(text).toContain(`The leader ${leader.url} did not answer in ${waitMs} ms; the outcome`);
  }
});

test("a timeout_ms beyond every timer waits as long as there can be a wait", async () => {
  for (const timeoutMs of [2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    leader.script = {
      act: (socket) => {
        setTimeout(() => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), 50);
      },
    };
    const line = `POST /kv/n/k?timeout_ms=${timeoutMs} HTTP/1.1`;
    expect((await raw([line, "Content-Length: 0"])).status).toBe(200);
  }
});

test("an answer in pieces may take longer than one of them", async () => {
  leader.script = {
    act: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
      setTimeout(() => socket.write("cd"), 50);
    },
  };
  expect((await produce()).text).toEndWith("\r\n\r\nabcd");
});

test("an answer without end is not read to its end", async () => {
  const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
  leader.script = {
    act: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      // One chunk for each event-loop iteration, so that the reader runs too; far beyond the limit.
      let left = 1_024;
      const more = () => {
        if (!socket.destroyed && left-- > 0) socket.write(chunk, () => setImmediate(more));
      };
      more();
    },
  };
  const { status, text } = await raw([
    "POST /kv/n/k?timeout_ms=60000 HTTP/1.1",
    "Content-Length: 0",
  ]);
  expect(status).toBe(504);
  expect(text).toContain("its answer is longer than 16777216 bytes");
  leader.script = answering("200 OK", "x".repeat(16_777_216));
  expect((await raw(["POST /kv/n/k?timeout_ms=60000 HTTP/1.1", "Content-Length: 0"])).status).toBe(
    200,
  );
});

test("a long answer counts as memory in use; without room the outcome is unknown", async () => {
  const made = fixture({
    memory: { ...DEFAULT_MEMORY, bodyBytesMax: 300_000 },
    forwardWrites: { commitTimeoutMs: 60_000 },
  });
  const { instruments } = made.options;
  made.node.healthNow = { role: "follower", leaderUrl: leader.url };
  const send = (body: string) => made.ask("POST /kv/n/k", { body });
  leader.script = answering("200 OK", "x".repeat(250_000));
  expect((await send("x")).status).toBe(200);
  leader.script = answering("200 OK", "x".repeat(400_000));
  const refused = await send("x");
  expect([refused.status, refused.body["error"]]).toEqual([504, "commit_timeout"]);
  expect(refused.body["message"]).toBe(
    `The answer of the leader ${leader.url} was lost (there is no memory for it at present, RF_BODY_BYTES); the outcome is unknown; a retry with the same idempotency key or cas is safe`,
  );
  expect(instruments.bodyBytesInUse.value).toBe(0);
  leader.script = answering("200 OK", "x".repeat(250_000));
  expect((await send("x".repeat(150_000))).status).toBe(504);
  expect((await send("x")).status).toBe(200);
});

test("requests beyond the limit wait for their turn, and are refused before they are sent", async () => {
  const { node, ask } = fixture({ forwardWrites: { commitTimeoutMs: 60_000, forwardsMax: 2 } });
  node.healthNow = { role: "follower", leaderUrl: leader.url };
  const held: Socket[] = [];
  leader.script = { act: (socket) => held.push(socket) };
  const send = (key: string) => ask(`POST /kv/n/${key}`, { body: "x" });
  const first = [send("a"), send("b")];
  while (held.length < 2) await Bun.sleep(1);
  const waits = send("c");
  const refused = send("d");
  held[0]?.write(rawAnswer("200 OK"));
  expect((await Promise.race(first)).status).toBe(200);
  while (held.length < 3) await Bun.sleep(1);
  expect(leader.requests.map(({ line }) => line.split(" ")[1])).toContain("/kv/n/c");
  expect(await refused).toMatchObject({
    status: 503,
    body: {
      error: "overloaded",
      message:
        "2 forwarded requests are under way, which is the limit (BUN_CONFIG_MAX_HTTP_REQUESTS); nothing was done, try again",
    },
  });
  for (const socket of held.slice(1)) socket.write(rawAnswer("200 OK"));
  for (const answer of [...first, waits]) expect((await answer).status).toBe(200);
  expect(leader.requests.map(({ line }) => line.split(" ")[1])).not.toContain("/kv/n/d");
  // All slots are free again, also those of failures.
  leader.script = { act: (socket) => socket.destroy() };
  for (let i = 0; i < 4; i++) expect((await send("e")).status).toBe(504);
  leader.script = answering("200 OK");
  const last = await Promise.all(Array.from({ length: 5 }, () => send("f")));
  expect(last.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
});

test("as many requests are sent at the same time as the default says", async () => {
  const { node, ask } = fixture({ forwardWrites: { commitTimeoutMs: 60_000 } });
  node.healthNow = { role: "follower", leaderUrl: leader.url };
  const held: Socket[] = [];
  leader.script = { act: (socket) => held.push(socket) };
  const sent = Array.from({ length: 256 }, (_, i) => ask(`POST /kv/n/k${i}`, { body: "x" }));
  while (held.length < 256) await Bun.sleep(1);
  for (const socket of held) socket.write(rawAnswer("200 OK"));
  for (const answer of sent) expect((await answer).status).toBe(200);
});

test("a request that is passed on may take longer than a connection may be idle", async () => {
  const { app, node, ask } = fixture({ forwardWrites: { commitTimeoutMs: 1000 } });
  const calls: string[] = [];
  app.attach({
    ...NO_SOCKET,
    allowLong: () => calls.push(`allowed after ${leader.requests.length} requests`),
    endLong: () => calls.push(`ended after ${leader.requests.length} requests`),
  });
  node.healthNow = { role: "follower", leaderUrl: leader.url };
  expect((await ask("POST /kv/n/k", { body: "x" })).status).toBe(200);
  expect(calls).toEqual(["allowed after 0 requests", "ended after 1 requests"]);
});
