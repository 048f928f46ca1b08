import { afterAll, expect, test } from "bun:test";
import { exchange } from "../tools/conformance/raw-socket.ts";
import { startFixture, TOKEN } from "../tools/http/fixture.ts";

const { server, ask } = startFixture();
afterAll(() => server.stop(0));
const send = (method: string, target: string, rest = "Content-Length: 1\r\n\r\nv") =>
  exchange(
    server.url,
    [
      Buffer.from(
        `${method} ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n${rest}`,
        "latin1",
      ),
    ],
    false,
    false,
  );
const keys = async () => {
  const { body } = await ask("GET /kv/n");
  return (body["keys"] as { key: string }[]).map(({ key }) => key);
};

test("a key that the runtime would rewrite is 400 and writes nothing", async () => {
  for (const key of [
    "a/../b",
    "a/%2e%2E/b",
    "a/.%2e/b",
    "./b",
    "%2e/b",
    "a\\b",
    "x\\..\\b",
    "a//b",
    "/b",
    "..",
    "a/..",
    "a/../",
    `${"a/".repeat(97)}b`,
  ]) {
    for (const method of ["POST", "GET", "DELETE"]) {
      const { status, text } = await send(
        method,
        `/kv/n/${key}`,
        method === "POST" ? undefined : "\r\n",
      );
      expect({ method, key, status }).toEqual({ method, key, status: 400 });
      expect(text).toContain('"invalid_key"');
    }
  }
  // A deletion by name deletes the named topic and no other.
  await ask("POST /broker/topics", {
    body: JSON.stringify({ name: "b", partitions: 1 }),
  });
  for (const name of ["a/../b", "a\\..\\b", "%2e/b"]) {
    expect((await send("DELETE", `/broker/topics/${name}`, "\r\n")).status).toBe(404);
  }
  expect((await ask("GET /broker/topics/b")).status).toBe(200);
  expect(await keys()).toEqual([]);
});

test("escaped, the same keys arrive as they were written", async () => {
  const written = ["a/../b", "a\\b", "a//b", "/b", "ä b", "a+b", "a%2Fb", "a\0b", "...", "a?b#c"];
  for (const key of written) {
    expect((await send("POST", `/kv/n/${encodeURIComponent(key)}`)).status).toBe(200);
  }
  for (const target of ["/kv/n/plain/", "/kv/n/\xc3\xbc", "/kv/n/q'\"<>|^`{}"]) {
    expect((await send("POST", target)).status).toBe(200);
  }
  expect((await keys()).sort()).toEqual([...written, "plain/", "ü", "q'\"<>|^`{}"].sort());
  expect((await send("GET", "/kv/n/%zz", "\r\n")).text).toContain("invalid_percent_encoding");
});

test("a chunked body with trailers, or with more behind it, is refused and nothing is stored", async () => {
  const chunked = "Transfer-Encoding: chunked\r\n";
  const bodies = [
    `${chunked}\r\n4\r\npaid\r\n0\r\nX-Sum: 1\r\n\r\n`,
    `${chunked}Trailer: X-Sum\r\n\r\n4\r\npaid\r\n0\r\nX-Sum: 1\r\n\r\n`,
    `${chunked}\r\n4\r\npaid\r\n0\r\n\r\ngarbage\r\n\r\n`,
    `${chunked}\r\n4\r\npaid\r\nzz\r\n`,
  ];
  for (const body of bodies) {
    for (const target of [
      "/broker/topics/t/produce?partition=0",
      "/broker/topics/t/produce-ndjson?partition=0",
      "/kv/n/trailer",
    ]) {
      expect((await send("POST", target, body)).status).toBe(400);
    }
  }
  expect((await ask("GET /broker/topics/t")).status).toBe(404);
  expect(await keys()).not.toContain("trailer");
  const whole = `${chunked}\r\n4\r\npaid\r\n0\r\n\r\n`;
  expect((await send("POST", "/broker/topics/t/produce?partition=0", whole)).status).toBe(200);
});
