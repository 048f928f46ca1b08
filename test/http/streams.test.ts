import { expect, test } from "bun:test";
import type { HttpOptions } from "../../src/http/options.ts";
import { STREAM_BODY_BYTES_MAX } from "../../src/http/stream-body.ts";
import { FakeStreams } from "../tools/http/fake-streams.ts";
import { type Answer, fixture } from "../tools/http/fixture.ts";

const TOKENS = "every,reader@read=orders.*,chief@admin=orders.*+read=orders.*,onlyadmin@admin";

function setUp(changes: Partial<HttpOptions> = {}) {
  const streams = new FakeStreams();
  const made = fixture({ auth: { tokens: TOKENS, skipPrefixes: [] }, streams, ...changes });
  const ask = (line: string, token: string, body?: unknown): Promise<Answer> =>
    made.ask(line, {
      token,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  return { ...made, streams, ask };
}
const source = (topic: string) => ({ topic, partition: 0 });
const join = (left: string, right: string) => ({ left: source(left), right: source(right) });

test("what is read needs the scope for each topic; a token without it does not reach the node", async () => {
  const { ask, streams } = setUp();
  const status = async (line: string, body: unknown) => (await ask(line, "reader", body)).status;
  expect(await status("POST /broker/query", { source: source("orders.eu") })).toBe(200);
  expect(await status("POST /broker/join", join("orders.eu", "orders.us"))).toBe(200);
  expect(streams.asked).toEqual(["query", "join value any"]);
  expect(await status("POST /broker/query", { source: source("payments.eu") })).toBe(403);
  expect(await status("POST /broker/join", join("orders.eu", "payments.eu"))).toBe(403);
  expect(await status("POST /broker/join", join("payments.eu", "orders.eu"))).toBe(403);
  expect(streams.asked.length).toBe(2);
});

test("a view is put with admin and read for its topic, and for the topic of the one it replaces", async () => {
  const { ask, streams } = setUp();
  const put = async (view: string, topic: string, token: string) =>
    (await ask(`PUT /broker/views/${view}`, token, { source: source(topic) })).status;
  expect(await put("mine", "orders.eu", "chief")).toBe(200);
  expect(await put("orders-view", "orders.us", "chief")).toBe(200);
  expect(streams.asked).toEqual(["put mine", "put orders-view"]);
  expect(await put("payments-view", "orders.eu", "chief")).toBe(403);
  expect(await put("mine", "payments.eu", "chief")).toBe(403);
  expect(await put("mine", "orders.eu", "reader")).toBe(403);
  expect(await put("mine", "orders.eu", "onlyadmin")).toBe(403);
  expect(streams.asked.length).toBe(2);
});

test("a view is read with read and deleted with admin for its topic; lists show what may be read", async () => {
  const { ask, streams } = setUp();
  const status = async (line: string, token: string) => (await ask(line, token)).status;
  expect(await status("GET /broker/views/orders-view", "reader")).toBe(200);
  expect(await status("GET /broker/views/payments-view", "reader")).toBe(403);
  expect(await status("DELETE /broker/views/orders-view", "reader")).toBe(403);
  expect(await status("DELETE /broker/views/payments-view", "chief")).toBe(403);
  expect(await status("DELETE /broker/views/orders-view", "chief")).toBe(200);
  expect(streams.asked).toEqual(["get orders-view", "delete orders-view"]);
  expect((await ask("GET /broker/views", "reader")).body["views"]).toHaveLength(1);
  expect((await ask("GET /broker/views", "every")).body["views"]).toHaveLength(2);
  expect(await status("GET /broker/views", "onlyadmin")).toBe(403);
});

test("an answer comes as the node made it, a rejection with its message", async () => {
  const { ask, app, streams } = setUp();
  const request = new Request("http://localhost/broker/query", {
    method: "POST",
    body: "{}",
    headers: { authorization: "Bearer every" },
  });
  const response = await app.fetch(request);
  expect(await response.text()).toBe(
    '{"ok":true,"rows":[9007199254740993],' +
      '"aggregates":[{"key":"","group":{},"count":1,"sum_n":9007199254740993}],"truncated":false,' +
      '"source":{"topic":"orders","group":null,"partition":0,"next_offset":1,"truncated":false,' +
      '"rows_next_offset":null,"consumed":1,"undecodable":0,"untimed":0,"out_of_range":0}}',
  );
  const joined = await app.fetch(
    new Request("http://localhost/broker/join", {
      method: "POST",
      body: "{}",
      headers: { authorization: "Bearer every" },
    }),
  );
  expect(await joined.text()).toBe(
    '{"ok":true,"rows":[],"truncated":false,"next_offsets":{"left":1,"right":2},' +
      '"stats":{"left_scanned":1,"right_scanned":2,"rows":0,"late":0,' +
      '"watermark_ms":-9007199254740993,"outer_left":0,"outer_right":0,"dedupe_once":false,' +
      '"undecodable":0,"untimed":0,"truncated":false}}',
  );
  expect(response.headers.get("content-type")).toBe("application/json");
  streams.outcome = { ok: false, code: "query_too_large", message: "more than 3 groups" };
  const answer = await ask("POST /broker/query", "every", {});
  expect(answer).toMatchObject({ status: 413, body: { message: "more than 3 groups" } });
});

test("the work is told when the client leaves, and when the server stops", async () => {
  const { app, streams, ask } = setUp();
  let open = () => {};
  streams.gate = new Promise((resolve) => {
    open = resolve;
  });
  const client = new AbortController();
  const request = new Request("http://localhost/broker/query", {
    method: "POST",
    body: "{}",
    headers: { authorization: "Bearer every" },
    signal: client.signal,
  });
  const left = app.fetch(request);
  while (streams.asked.length < 1) await Bun.sleep(1);
  client.abort();
  expect(streams.signal?.aborted).toBe(true);
  const stopped = ask("GET /broker/views/orders-view", "every");
  while (streams.asked.length < 2) await Bun.sleep(1);
  expect(streams.signal?.aborted).toBe(false);
  app.beginStop();
  expect(streams.signal?.aborted).toBe(true);
  open();
  await Promise.all([left, stopped]);
});

test("RF_COMPAT=ayder reaches the join", async () => {
  const { ask, streams } = setUp({ compat: "ayder" });
  await ask("POST /broker/join", "every", join("a", "b"));
  expect(streams.asked).toEqual(["join text in_order"]);
});

test("RF_COMPAT=ayder: offset -1 is the start, and joins without lists of fields have empty sides", async () => {
  const lists = { emit: { left_fields: [], right_fields: [] } };
  const on = { left_key: "a", right_key: "b" };
  const cases = [
    ["POST /broker/query", { source: { topic: "a", offset: -1 }, x: 1 }, { offset: 0 }],
    ["POST /broker/query", { source: { topic: "a", offset: 5 } }, { offset: 5 }],
    ["POST /broker/query", { source: { topic: "a", offset: -2 } }, { offset: -2 }],
    ["POST /broker/query", { source: { topic: "a", offset: "-1" } }, { offset: "-1" }],
    ["PUT /broker/views/v", { source: { topic: "a", offset: -1 } }, { offset: 0 }],
  ] as const;
  for (const [line, body, { offset }] of cases) {
    const { ask, streams } = setUp({ compat: "ayder" });
    expect((await ask(line, "every", body)).status).toBe(200);
    expect(JSON.parse(streams.body)).toEqual({ ...body, source: { topic: "a", offset } });
  }
  const joins = [
    [{}, lists],
    [{ emit: null }, lists],
    [{ emit: { max_rows: 1 } }, { emit: { max_rows: 1, left_fields: [], right_fields: [] } }],
    [{ emit: { left_fields: ["v"] } }, { emit: { left_fields: ["v"], right_fields: [] } }],
    [
      { emit: { left_fields: null, right_fields: ["a.b"] } },
      { emit: { left_fields: [], right_fields: ["a.b"] } },
    ],
    [{ emit: "x" }, { emit: "x" }],
  ] as const;
  for (const [given, sent] of joins) {
    const { ask, streams } = setUp({ compat: "ayder" });
    const left = { topic: "a", offset: -1 };
    const body = { left, right: { ...left, topic: "b" }, on, ...given };
    expect((await ask("POST /broker/join", "every", body)).status).toBe(200);
    expect(JSON.parse(streams.body)).toEqual({
      left: { topic: "a", offset: 0 },
      right: { topic: "b", offset: 0 },
      on,
      ...sent,
    });
  }
  // Any other text arrives as it was: long integers, fractions, escapes.
  const { ask, streams } = setUp({ compat: "ayder" });
  const text =
    '{"source":{"topic":"a","offset":-1},"filter":[{"field":"\\"\\u0000ü","op":"in","value":[12345678901234567890,1.50,-0,1e3,true,null]}]}';
  expect((await ask("POST /broker/query", "every", text)).status).toBe(200);
  expect(streams.body).toBe(text.replace('"offset":-1', '"offset":0'));
});

test("without RF_COMPAT bodies of queries and joins reach the node as they came", async () => {
  for (const [line, text] of [
    ["POST /broker/query", ' { "source" : {"topic":"a","offset":-1} }'],
    ["POST /broker/join", '{"left":{"topic":"a","offset":-1}, "right":{"topic":"b"}, "emit":{}}'],
    ["PUT /broker/views/v", '{"source":{"topic":"a","offset":-1}} '],
  ] as const) {
    const { ask, streams } = setUp();
    expect((await ask(line, "every", text)).status).toBe(200);
    expect(streams.body).toBe(text);
  }
});

test("a body may be as long as two schemas, not longer; names of views are names", async () => {
  const { ask } = setUp();
  const query = (length: number) =>
    ask("POST /broker/query", "every", {
      filter: "y".repeat(length - '{"filter":""}'.length),
    });
  expect((await query(STREAM_BODY_BYTES_MAX)).status).toBe(200);
  expect(await query(STREAM_BODY_BYTES_MAX + 1)).toMatchObject({
    status: 413,
    body: { error: "request_too_large", limit: STREAM_BODY_BYTES_MAX },
  });
  for (const name of ["a%20b", "a%2Fb", "x".repeat(250)]) {
    expect((await ask(`GET /broker/views/${name}`, "every")).body["error"]).toBe("invalid_view");
  }
});

test("the routes are there only where there is stream processing, and then documented", async () => {
  const without = fixture();
  expect((await without.ask("POST /broker/query", { body: "{}" })).status).toBe(404);
  const { body } = await setUp().ask("GET /openapi.json", "every");
  const paths = Object.keys(body["paths"] as object);
  for (const path of ["/broker/query", "/broker/join", "/broker/views", "/broker/views/{name}"]) {
    expect(paths).toContain(path);
  }
});
