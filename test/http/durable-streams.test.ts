/** Durable streams over a real server: the protocol, and what goes beyond its published suite. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { errorOf, StreamClient } from "../tools/durable/stream-client.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);

const directory = temporaryDirectory();
let server: Server;
let client: StreamClient;

beforeAll(async () => {
  server = await startServer({
    dataDir: join(directory.path, "data"),
    env: {
      RF_BEARER_TOKENS: "dev,reader@read=/room/*,writer@read=/room/*+write=/room/*",
      RF_HTTP_ADDR: "127.0.0.1",
      RF_STREAM_LONG_POLL_MS: "300",
      RF_CORS_ORIGINS: "https://app.example.com",
      RF_MAX_STREAM_PRODUCERS: "2",
      RF_MAX_STREAM_FORK_DEPTH: "2",
    },
  });
  client = new StreamClient(server.url);
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

const JSON_TYPE = "application/json";
const KEEP_OPEN = { "stream-closed": "true" };

test("a JSON stream keeps its values as they were written", async () => {
  const created = await client.put("json", {
    type: JSON_TYPE,
    body: ' [1.0, {"a" : 12345678901234567890}] ',
  });
  expect([created.status, created.headers.get("location")]).toEqual([
    201,
    `${server.url}/v1/stream/json`,
  ]);
  expect((await client.post("json", { type: JSON_TYPE, body: '"x"' })).status).toBe(204);
  const read = await client.get("json");
  expect(read.text).toBe('[1.0,{"a" : 12345678901234567890},"x"]');
  expect(read.headers.get("content-type")).toBe(JSON_TYPE);
  expect(read.headers.get("stream-up-to-date")).toBe("true");
  expect((await client.get(`json?offset=${created.next}`)).text).toBe('["x"]');
  const nested = `${"[".repeat(100)}${"]".repeat(100)}`;
  await client.post("json", { type: JSON_TYPE, body: `[${nested}]` });
  expect((await client.get(`json?offset=${read.next}`)).text).toBe(`[${nested}]`);
});

test("a wrong method is told the methods of streams, OPTIONS too", async () => {
  const headers = { authorization: "Bearer dev" };
  const wrong = await fetch(`${server.url}/v1/stream/any`, { method: "PATCH", headers });
  const methods = (allow: string | null) => allow?.split(", ").sort();
  const options = await fetch(`${server.url}/v1/stream/any`, { method: "OPTIONS" });
  expect(wrong.status).toBe(405);
  expect(methods(wrong.headers.get("allow"))).toEqual(methods(options.headers.get("allow")));
});

const elements = (count: number): string => `[${"1,".repeat(count - 1)}1]`;

test("an array has as many elements as a batch may have lines", async () => {
  const created = await client.put("most", { type: JSON_TYPE, body: elements(100_000) });
  expect([created.status, created.next]).toEqual([201, expect.stringMatching(/_0{10}100000$/)]);
});

test("malformed requests are refused with the value that was wrong, and store nothing", async () => {
  await client.put("bad", { type: JSON_TYPE });
  const cases: readonly (readonly [
    string,
    string,
    Parameters<StreamClient["post"]>[1],
    number,
    string,
  ])[] = [
    ["POST", "bad", { type: JSON_TYPE, body: "{" }, 400, "invalid_json"],
    ["POST", "bad", { type: JSON_TYPE, body: "[1,]" }, 400, "invalid_json"],
    ["POST", "bad", { type: JSON_TYPE, body: "1 2" }, 400, "invalid_json"],
    ["POST", "bad", { type: JSON_TYPE, body: "[]" }, 400, "empty_append"],
    ["POST", "bad", { type: JSON_TYPE, body: elements(100_001) }, 413, "too_many_lines"],
    ["PUT", "many", { type: JSON_TYPE, body: elements(100_001) }, 413, "too_many_lines"],
    ["POST", "bad", { type: JSON_TYPE, body: "" }, 400, "empty_append"],
    [
      "POST",
      "bad",
      { type: JSON_TYPE, body: new Uint8Array([0x22, 0xff, 0x22]) },
      400,
      "invalid_json",
    ],
    ["POST", "bad", { body: "x" }, 409, "content_type_mismatch"],
    ["POST", "none", { type: JSON_TYPE, body: "{" }, 404, "stream_not_found"],
    ["POST", "none", { body: "x" }, 404, "stream_not_found"],
    ["POST", "bad", { body: "1", headers: { "producer-id": "p" } }, 400, "invalid_producer"],
    [
      "POST",
      "bad",
      {
        type: JSON_TYPE,
        body: "1",
        headers: { "producer-id": "p".repeat(257), "producer-epoch": "0", "producer-seq": "0" },
      },
      400,
      "invalid_producer",
    ],
    [
      "POST",
      "bad",
      { type: JSON_TYPE, body: "1", headers: { "stream-seq": "s".repeat(1025) } },
      400,
      "invalid_request",
    ],
    ["GET", "bad?offset=", {}, 400, "invalid_offset"],
    ["GET", "bad?offset=x", {}, 400, "invalid_offset"],
    ["GET", "bad?offset=now&offset=-1", {}, 400, "repeated_parameter"],
    ["GET", "bad?live=sse", {}, 400, "invalid_parameter"],
    ["PUT", "__ds", {}, 404, ""],
    ["PUT", "x".repeat(1025), {}, 400, "invalid_stream"],
    ["PUT", "a//b", {}, 400, "invalid_key"],
    ["PUT", "a%2F%2Fb", {}, 400, "invalid_stream"],
    ["PUT", "bad2", { headers: { "stream-ttl": "01" } }, 400, "invalid_request"],
    [
      "PUT",
      "bad2",
      { headers: { "stream-ttl": "1", "stream-expires-at": "2030-01-01T00:00:00Z" } },
      400,
      "invalid_request",
    ],
    ["PUT", "bad2", { headers: { "stream-expires-at": "tomorrow" } }, 400, "invalid_request"],
    [
      "PUT",
      "bad2",
      { headers: { "stream-expires-at": `2999-01-01T00:00:00.${"9".repeat(4000)}Z` } },
      400,
      "invalid_request",
    ],
    ["PUT", "bad2", { headers: { "stream-forked-from": "/kv/a/b" } }, 400, "invalid_stream"],
    [
      "PUT",
      "bad2",
      { headers: { "stream-forked-from": "/v1/stream/none" } },
      404,
      "fork_source_not_found",
    ],
    ["PUT", "bad2", { body: new Uint8Array(1024 * 1024 + 1) }, 413, "message_too_large"],
    ["DELETE", "none", {}, 404, "stream_not_found"],
  ];
  for (const [method, path, send, status, code] of cases) {
    const answer = await client.send(method, path, send);
    expect([method, path.slice(0, 40), answer.status]).toEqual([method, path.slice(0, 40), status]);
    if (code !== "")
      expect([path.slice(0, 40), errorOf(answer)]).toEqual([path.slice(0, 40), code]);
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("content-security-policy")).toBe("default-src 'none'; sandbox");
  }
  const source = { "stream-forked-from": "/v1/stream/none?x=1" };
  const { message } = JSON.parse((await client.put("bad2", { headers: source })).text);
  expect(message).toBe('The source of the fork does not exist: "none?x=1"');
  expect((await client.get("bad")).text).toBe("[]");
  expect((await client.head("bad2")).status).toBe(404);
  expect((await client.get("bad?colour=red")).status).toBe(200);
});

test("refused producers are told where they stand", async () => {
  await client.put("producers");
  const write = (id: string, epoch: number, seq: number) =>
    client.post("producers", {
      body: `${id}${epoch}.${seq} `,
      headers: {
        "producer-id": id,
        "producer-epoch": String(epoch),
        "producer-seq": String(seq),
      },
    });
  expect((await write("a", 1, 0)).status).toBe(200);
  const again = await write("a", 1, 0);
  expect([again.status, again.headers.get("producer-seq")]).toEqual([204, "0"]);
  const gap = await write("a", 1, 5);
  expect([
    gap.status,
    gap.headers.get("producer-expected-seq"),
    gap.headers.get("producer-received-seq"),
  ]).toEqual([409, "1", "5"]);
  expect(errorOf(gap)).toBe("sequence_gap");
  const stale = await write("a", 0, 1);
  expect([stale.status, stale.headers.get("producer-epoch"), errorOf(stale)]).toEqual([
    403,
    "1",
    "stale_epoch",
  ]);
  const early = await write("a", 2, 1);
  expect([early.status, errorOf(early)]).toEqual([400, "epoch_not_at_zero"]);
  expect((await write("b", 0, 0)).status).toBe(200);
  const third = await write("c", 0, 0);
  expect([third.status, errorOf(third)]).toEqual([409, "too_many_producers"]);
  expect((await client.get("producers")).text).toBe("a1.0 b0.0 ");
});

test("an offset of a stream that was deleted and made again is gone", async () => {
  const first = await client.put("again", { body: "one" });
  await client.delete("again");
  await client.put("again", { body: "two" });
  const gone = await client.get(`again?offset=${first.next}`);
  expect([gone.status, errorOf(gone)]).toEqual([410, "offset_gone"]);
  expect((await client.get("again?offset=-1")).text).toBe("two");
  const beyond = `${first.next.slice(0, 17)}0000000000009999`;
  expect((await client.get(`again?offset=${beyond}`)).status).toBe(410);
});

test("a closed stream tells its end", async () => {
  await client.put("closing", { body: "a" });
  const closed = await client.post("closing", { body: "b", headers: KEEP_OPEN });
  expect([closed.status, closed.headers.get("stream-closed")]).toEqual([204, "true"]);
  const late = await client.post("closing", { body: "c" });
  expect([late.status, errorOf(late), late.next]).toEqual([409, "stream_closed", closed.next]);
  const poll = await client.get(`closing?offset=${closed.next}&live=long-poll`);
  expect([poll.status, poll.headers.get("stream-closed"), poll.next]).toEqual([
    204,
    "true",
    closed.next,
  ]);
  const tag = (await client.get("closing")).headers.get("etag") ?? "";
  const same = await client.get("closing", { headers: { "if-none-match": tag } });
  expect([same.status, same.text]).toEqual([304, ""]);
});

test("Stream-Closed closes in any case of letters, and any other value counts as absent", async () => {
  for (const [i, value] of ["true", "TRUE", "True"].entries()) {
    const made = await client.put(`case${i}`, { headers: { "stream-closed": value } });
    expect([made.status, made.headers.get("stream-closed")]).toEqual([201, "true"]);
    await client.put(`late${i}`);
    const closed = await client.post(`late${i}`, { headers: { "stream-closed": value } });
    expect([closed.status, closed.headers.get("stream-closed")]).toEqual([204, "true"]);
  }
  for (const [i, value] of ["false", "yes", "1", "", "true, true"].entries()) {
    const made = await client.put(`open${i}`, { headers: { "stream-closed": value } });
    expect([made.status, made.headers.get("stream-closed")]).toEqual([201, null]);
    const more = await client.post(`open${i}`, { body: "x", headers: { "stream-closed": value } });
    expect([more.status, more.headers.get("stream-closed")]).toEqual([204, null]);
    const empty = await client.post(`open${i}`, { headers: { "stream-closed": value } });
    expect([empty.status, errorOf(empty)]).toEqual([400, "empty_append"]);
  }
});

test("a subscription with a filter is refused, because it would not be applied", async () => {
  const url = `${server.url}/v1/stream/__ds/subscriptions/filtered`;
  const filter = { language: "cel", expression: "event.type == 'ready'" };
  const body = { type: "webhook", pattern: "a/*", webhook: { url: "https://example.com" }, filter };
  const headers = { authorization: "Bearer dev", "content-type": JSON_TYPE };
  const answer = await fetch(url, { method: "PUT", headers, body: JSON.stringify(body) });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toEqual({
    error: {
      code: "INVALID_REQUEST",
      message: "filter is not supported: the worker must filter what it reads",
    },
  });
});

test("a long poll ends with a record, with the end of the stream, or after its time", async () => {
  const { next } = await client.put("poll", { body: "x" });
  const waiting = client.get(`poll?offset=${next}&live=long-poll`);
  await client.post("poll", { body: "y" });
  const woken = await waiting;
  expect(woken.status === 200 ? woken.text : "").toBe("y");
  const silent = await client.get("poll?offset=now&live=long-poll");
  expect([silent.status, silent.next, silent.headers.get("stream-up-to-date")]).toEqual([
    204,
    woken.next,
    "true",
  ]);
  const deleted = client.get(`poll?offset=${woken.next}&live=long-poll`);
  await client.delete("poll");
  expect([204, 404]).toContain((await deleted).status);
});

test("events keep every character of a text", async () => {
  const text = "\ufeff one\n two\r\nevent: control\rdata:x\n\n";
  await client.put("events", { body: text });
  const received = await client.events("events?offset=-1&live=sse", "upToDate");
  const [data = "", control = ""] = received.split("\n\n");
  const lines = data.split("\n");
  expect(lines[0]).toBe("event: data");
  const payload = lines.slice(1).map((line) => line.replace(/^data: ?/, ""));
  expect(payload.join("\n")).toBe(text.replaceAll(/\r\n|\r/g, "\n"));
  expect(control).toStartWith('event: control\ndata:{"streamNextOffset":"');
});

test("forks have a bounded depth, and keep what their source had", async () => {
  await client.put("f0", { body: "0" });
  const fork = (path: string, from: string) =>
    client.put(path, { headers: { "stream-forked-from": `/v1/stream/${from}` }, body: path });
  expect((await fork("f1", "f0")).status).toBe(201);
  expect((await fork("f2", "f1")).status).toBe(201);
  const deep = await fork("f3", "f2");
  expect([deep.status, errorOf(deep)]).toEqual([400, "fork_too_deep"]);
  // A path that is taken is told before what is wrong with the fork.
  const beyond = { "stream-forked-from": "/v1/stream/f0", "stream-fork-sub-offset": "9" };
  for (const headers of [beyond, { "stream-forked-from": "/v1/stream/f2" }]) {
    const taken = await client.put("f1", { headers });
    expect([taken.status, errorOf(taken)]).toEqual([409, "stream_exists"]);
  }
  const other = await client.put("f9", { type: JSON_TYPE, headers: beyond });
  expect([other.status, errorOf(other)]).toEqual([409, "content_type_mismatch"]);
  for (const path of ["f0", "f1"]) expect((await client.delete(path)).status).toBe(204);
  expect((await client.get("f2")).text).toBe("0f1f2");
  expect((await client.get("f0")).status).toBe(410);
  await client.delete("f2");
  expect((await client.get("f0")).status).toBe(404);
});

test("tokens are limited to paths", async () => {
  const reader = new StreamClient(server.url, "reader");
  const writer = new StreamClient(server.url, "writer");
  expect((await writer.put("room/1", { body: "x" })).status).toBe(201);
  expect((await reader.get("room/1")).text).toBe("x");
  expect((await reader.post("room/1", { body: "y" })).status).toBe(403);
  expect((await reader.get("json")).status).toBe(403);
  expect((await writer.delete("room/1")).status).toBe(403);
  const fork = await writer.put("room/2", { headers: { "stream-forked-from": "/v1/stream/json" } });
  expect([fork.status, errorOf(fork)]).toEqual([403, "forbidden"]);
  expect((await new StreamClient(server.url, "nobody").get("room/1")).status).toBe(401);
  const { streams } = JSON.parse((await reader.get("__ds/streams")).text) as {
    streams: { path: string }[];
  };
  expect(streams.map(({ path }) => path)).toEqual(["room/1"]);
  // The page goes on where the token may not look, and names nothing of it.
  for (const path of ["room/3", "s/1", "s/2"]) await client.put(path, { body: "x" });
  const page = JSON.parse((await reader.get("__ds/streams?limit=1")).text);
  expect(page).toMatchObject({ streams: [{ path: "room/1" }], next: "room/1" });
  const rest = JSON.parse((await reader.get("__ds/streams?limit=1&after=room/1")).text);
  expect(rest).toMatchObject({ streams: [{ path: "room/3" }], next: null });
  expect((await reader.get("__ds/streams/room/3")).status).toBe(200);
  expect((await reader.get("__ds/streams/s/1")).status).toBe(403);
  const body = JSON.stringify({ type: "pull-wake", pattern: "room/*", wake_stream: "room/w" });
  expect((await writer.put("__ds/subscriptions/s", { type: JSON_TYPE, body })).status).toBe(403);
});

test("a stream is described with its fork, its forks and its producers", async () => {
  await client.put("described", {
    type: JSON_TYPE,
    body: "[1,2]",
    headers: { "stream-ttl": "60" },
  });
  const producer = (id: string, seq: number) => ({
    "producer-id": id,
    "producer-epoch": "3",
    "producer-seq": String(seq),
  });
  await client.post("described", { type: JSON_TYPE, body: "3", headers: producer("a", 0) });
  const headers = { ...producer("b", 0), "stream-seq": "s 1" };
  const { next } = await client.post("described", { type: JSON_TYPE, body: "4", headers });
  const forked = { "stream-forked-from": "/v1/stream/described", "stream-fork-sub-offset": "1" };
  const at = { "stream-fork-offset": "0000000000000000_0000000000000000" };
  await client.put("described/fork", { type: JSON_TYPE, headers: { ...forked, ...at } });
  const details = JSON.parse((await client.get("__ds/streams/described")).text);
  const byId = new Map(
    details.producers.map((each: { producer_id: string }) => [each.producer_id, each]),
  );
  expect(byId.get("b")).toEqual({
    producer_id: "b",
    epoch: 3,
    seq: 0,
    last_write_ms: expect.any(Number),
  });
  expect(details).toMatchObject({
    path: "described",
    content_type: JSON_TYPE,
    next_offset: next,
    records: 4,
    forks: 1,
    forked_from: null,
    fork_offset: null,
    last_seq: "s 1",
    ttl_seconds: 60,
    producers_total: 2,
  });
  const fork = JSON.parse((await client.get("__ds/streams/described/fork")).text);
  expect(fork).toMatchObject({
    forked_from: "described",
    fork_offset: `${next.slice(0, 17)}0000000000000000`,
    fork_sub_offset: 1,
    records: 0,
    producers: [],
  });
  await client.delete("described");
  const kept = JSON.parse((await client.get("__ds/streams/described")).text);
  expect(kept).toMatchObject({ deleted: true, forks: 1, producers: [] });
  await client.delete("described/fork");
  const absent = await client.get("__ds/streams/described");
  expect([absent.status, errorOf(absent)]).toEqual([404, "stream_not_found"]);
});

test("browsers of other origins are let in by name only", async () => {
  const ask = (origin: string, method = "GET") =>
    fetch(`${server.url}/v1/stream/room/1`, {
      method,
      headers: { origin, authorization: "Bearer dev", "access-control-request-method": "GET" },
    });
  const allowed = (await ask("https://app.example.com")).headers;
  expect(allowed.get("access-control-allow-origin")).toBe("https://app.example.com");
  expect(allowed.get("access-control-expose-headers")).toContain("stream-next-offset");
  const preflight = await ask("https://app.example.com", "OPTIONS");
  expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([
    204,
    "https://app.example.com",
  ]);
  for (const method of ["GET", "OPTIONS"]) {
    const { headers } = await ask("https://evil.example.com", method);
    expect(headers.get("access-control-allow-origin")).toBeNull();
  }
  const other = await fetch(`${server.url}/health`, {
    headers: { origin: "https://app.example.com" },
  });
  expect(other.headers.get("access-control-allow-origin")).toBeNull();
});

test("hidden topics are not among the topics", async () => {
  const headers = { authorization: "Bearer dev" };
  const { topics } = (await (await fetch(`${server.url}/broker/topics`, { headers })).json()) as {
    topics: unknown[];
  };
  expect(topics).toEqual([]);
  const consume = await fetch(`${server.url}/broker/consume/stream:1/g/0`, { headers });
  expect(consume.status).toBe(400);
});

test("everything is there after a crash", async () => {
  const path = join(directory.path, "crash");
  let own = await startServer({ dataDir: path });
  let streams = new StreamClient(own.url);
  const producer = { "producer-id": "p", "producer-epoch": "0", "producer-seq": "0" };
  await streams.put("a", { body: "1", headers: { "stream-ttl": "3600" } });
  await streams.post("a", { body: "2", headers: { ...producer, "stream-seq": "b" } });
  await streams.put("fork", { headers: { "stream-forked-from": "/v1/stream/a" } });
  await streams.post("fork", { headers: KEEP_OPEN });
  const before = await streams.get("fork");
  await own.kill();
  own = await startServer({ dataDir: path });
  streams = new StreamClient(own.url);
  const after = await streams.get("fork");
  expect([after.text, after.next, after.headers.get("stream-closed")]).toEqual([
    "12",
    before.next,
    "true",
  ]);
  expect(
    (await streams.post("a", { body: "2", headers: { ...producer, "stream-seq": "b" } })).status,
  ).toBe(204);
  expect((await streams.post("a", { body: "x", headers: { "stream-seq": "a" } })).status).toBe(409);
  expect((await streams.get("a")).text).toBe("12");
  expect((await streams.head("a")).headers.get("stream-ttl")).toBe("3600");
  await own.kill();
});
