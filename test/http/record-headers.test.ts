import { describe, expect, test } from "bun:test";
import { DEFAULT_LIMITS } from "../../src/http/options.ts";
import { proxyHeaderOf } from "../../src/http/proxied.ts";
import { kindOfHeaders } from "../../src/http/record-headers.ts";
import { fixture, startFixture, TOKEN } from "../tools/http/fixture.ts";

type Message = { readonly value: string; readonly headers?: Readonly<Record<string, string>> };

async function world() {
  const { ask, node } = fixture();
  await node.createTopic("t", 1);
  const messages = async (query = "offset=0"): Promise<readonly Message[]> =>
    (await ask(`GET /broker/consume/t/g/0?${query}`)).body["messages"] as Message[];
  const produce = (query: string, headers: Record<string, string> = {}, body = "v") =>
    ask(`POST /broker/topics/t/produce?partition=0${query}`, { body, headers });
  const produceLines = (query: string, headers: Record<string, string> = {}, body = "1\n2\n") =>
    ask(`POST /broker/topics/t/produce-ndjson?partition=0${query}`, { body, headers });
  return { ask, messages, produce, produceLines };
}

test("headers of requests and parameters come back with the record, by name", async () => {
  const { produce, messages } = await world();
  const sent = { "Ayder-Header-Order-Id": "7", "AYDER-HEADER-a.b_c": "x,y", traceparent: "00-1" };
  expect((await produce("&header.Note=%C3%BC+1&header.empty=", sent)).status).toBe(200);
  expect((await produce("")).status).toBe(200);
  const [first, second] = await messages();
  expect(Object.entries(first?.headers ?? {})).toEqual([
    ["a.b_c", "x,y"],
    ["empty", ""],
    ["note", "ü 1"],
    ["order-id", "7"],
    ["traceparent", "00-1"],
  ]);
  expect(second).not.toHaveProperty("headers");
  const [encoded] = await messages("offset=0&encoding=b64");
  expect(encoded?.headers).toEqual(first?.headers ?? {});
});

test("all lines of a batch get the headers of the request", async () => {
  const { produceLines, messages } = await world();
  expect((await produceLines("&header.a=1", { "ayder-header-b": "2" })).body["count"]).toBe(2);
  expect(await messages()).toMatchObject([
    { value: "1", headers: { a: "1", b: "2" } },
    { value: "2", headers: { a: "1", b: "2" } },
  ]);
});

test("values are escaped as JSON wants it", async () => {
  const { produce, messages } = await world();
  await produce("&header.a=%22%5C%0A%00%E2%80%A8%F0%9F%98%80");
  expect((await messages())[0]?.headers).toEqual({ a: '"\\\n\0\u2028\u{1f600}' });
});

describe("bounds", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => `&header.h${i}=1`).join("");
  const long = (bytes: number) => `&header.a=${"x".repeat(bytes - 1)}`;
  const NAME = "must have 1 to 64 characters of a-z 0-9 . _ -";
  for (const [what, query, headers, message] of [
    ["no name", "&header.=1", {}, `The header name is "": it ${NAME}`],
    ["no name", "", { "ayder-header-": "1" }, `The header name is "": it ${NAME}`],
    ["a space", "&header.a+b=1", {}, `The header name is "a b": it ${NAME}`],
    ["a slash", "&header.a%2Fb=1", {}, `The header name is "a/b": it ${NAME}`],
    ["a letter of another script", "&header.%C3%A4=1", {}, `The header name is "ä": it ${NAME}`],
    [
      "a token that is no name",
      "",
      { "ayder-header-a!": "1" },
      `The header name is "a!": it ${NAME}`,
    ],
    [
      "a long name",
      `&header.${"n".repeat(65)}=1`,
      {},
      `The header name is "${"n".repeat(63)}… (67 characters): it ${NAME}`,
    ],
    ["a parameter twice", "&header.a=1&header.A=2", {}, 'The header "a" was given twice'],
    ["in both places", "&header.a=1", { "ayder-header-a": "1" }, 'The header "a" was given twice'],
    [
      "the request's own twice",
      "&header.traceparent=1",
      { traceparent: "1" },
      'The header "traceparent" was given twice',
    ],
    ["65 headers", many(65), {}, "The record has more than 64 headers, which is the limit"],
    [
      "16 KiB and a byte",
      long(16_385),
      {},
      "Names and values of the headers have more than 16384 bytes, which is the limit",
    ],
    [
      "bytes that are not UTF-8",
      "",
      { "ayder-header-a": "\xff" },
      'The request header "ayder-header-a" is not valid UTF-8: use the parameter header.<name> for values that are not ASCII',
    ],
  ] as const) {
    test(`${what} is refused, and nothing is stored`, async () => {
      const { produce, produceLines, messages } = await world();
      for (const send of [produce, produceLines]) {
        const { status, body } = await send(query, headers);
        expect([status, body["error"], body["message"]]).toEqual([400, "invalid_header", message]);
      }
      expect(await messages()).toEqual([]);
    });
  }
  test("the largest of each is taken", async () => {
    const { produce, messages } = await world();
    for (const query of [many(64), long(16_384), `&header.${"n".repeat(64)}=1`]) {
      expect((await produce(query)).status).toBe(200);
    }
    const taken = (await messages()).map(({ headers = {} }) => Object.keys(headers).length);
    expect(taken).toEqual([64, 1, 1]);
  });
  test("a misspelt parameter is named, with the prefix", async () => {
    const { produce } = await world();
    const { body } = await produce("&headers.a=1");
    expect(body["error"]).toBe("unknown_parameter");
    expect(body["message"]).toMatch(/^Unknown query parameter "headers\.a"; .*header\.<name>$/);
  });
  test("other routes know no headers", async () => {
    const { ask } = await world();
    const { body } = await ask("POST /kv/n/k?header.a=1", { body: "v" });
    expect(body["error"]).toBe("unknown_parameter");
  });
  test("a short batch cannot be stored as a huge one", async () => {
    const limits = { ...DEFAULT_LIMITS, requestBytesMax: 9_950 };
    const { ask, node } = fixture({ limits });
    await node.createTopic("t", 1);
    const lines = (count: number, query: string) =>
      ask(`POST /broker/topics/t/produce-ndjson?partition=0&${query}`, {
        body: "1\n".repeat(count),
      });
    const value = "x".repeat(96);
    expect((await lines(100, `header.a=${value}`)).status).toBe(200);
    expect((await lines(101, `header.a=${value}`)).body).toMatchObject({
      error: "request_too_large",
      message:
        "Key and headers have 99 bytes and are stored with each message: together these are more than 9950 bytes, which is the limit",
      limit: 9_950,
    });
    expect((await lines(101, `key=${"k".repeat(100)}`)).body["error"]).toBe("request_too_large");
  });
});

test("events and lines of a stream have the headers", async () => {
  const { server, node } = startFixture();
  try {
    await node.createTopic("t", 1);
    const base = `http://127.0.0.1:${server.port}/broker`;
    const headers = { authorization: `Bearer ${TOKEN}` };
    await fetch(`${base}/topics/t/produce?partition=0`, {
      method: "POST",
      body: "v",
      headers: { ...headers, "ayder-header-a": "1", traceparent: "00-2" },
    });
    for (const accept of ["text/event-stream", "application/x-ndjson"]) {
      const path = `${base}/consume/t/g/0?offset=0&follow=1`;
      const stream = await fetch(path, { headers: { ...headers, accept } });
      const reader = stream.body?.getReader();
      const text = new TextDecoder().decode((await reader?.read())?.value);
      await reader?.cancel();
      expect(text).toContain(',"value":"v","headers":{"a":"1","traceparent":"00-2"}}\n');
    }
  } finally {
    await server.stop(0);
  }
});

test("a header that the middleware looks for is none of the common ones", () => {
  const common = {
    host: "localhost",
    authorization: "Bearer dev",
    "content-length": "1",
    accept: "*/*",
    "user-agent": "a",
    connection: "keep-alive",
    "accept-encoding": "gzip",
    "transfer-encoding": "chunked",
  };
  expect(kindOfHeaders(new Headers(common))).toBe("plain");
  expect(kindOfHeaders(new Headers({ ...common, "content-type": "a/b" }))).toBe("typed");
  expect(proxyHeaderOf(new Headers({ ...common, "content-type": "a/b" }))).toBe(null);
  for (const name of ["content-encoding", "via", "forwarded", "x-forwarded-for", "cf-ray"]) {
    expect([name, kindOfHeaders(new Headers({ ...common, [name]: "a" }))]).toEqual([name, "more"]);
    expect([name, kindOfHeaders(new Headers({ [name]: "a" }))]).toEqual([name, "more"]);
  }
});
