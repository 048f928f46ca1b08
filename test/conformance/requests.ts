/** CONTRACT 1: what holds for all requests. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import {
  Client,
  freshName,
  messagesOf,
  type TargetOf,
  valueBytes,
} from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  describe("routes", () => routes(client));
  describe("bodies", () => bodies(client));
  describe("numbers and parameters", () => parameters(client));
  describe("percent escapes", () => escapes(client));
  describe("names", () => names(client));
}

function routes(client: Client): void {
  test("an unknown route is 404 and says which", async () => {
    const answer = await client.ask("GET /nope");
    expectError(answer, 404, "route_not_found");
    expect(answer.body["message"]).toContain("/nope");
  });

  for (const path of [
    "/broker//topics",
    "/broker/topics/",
    "/BROKER/topics",
    "/broker/consume/t/g",
  ]) {
    test(`${path} is 404`, async () => expectError(await client.ask(`GET ${path}`), 404, /./));
  }

  for (const [line, allow] of [
    ["PUT /broker/topics", ["GET", "HEAD", "POST"]],
    ["GET /broker/commit", ["POST"]],
    ["DELETE /broker/retention", ["GET", "HEAD", "POST"]],
    ["POST /health", ["GET", "HEAD"]],
    ["PATCH /kv/a/b", ["DELETE", "GET", "HEAD", "POST", "PUT"]],
    ["OPTIONS /broker/topics/t/produce", ["POST"]],
    ["GET /broker/topics/t/produce", ["POST"]],
    ["POST /broker/consume/t/g/0", ["GET", "HEAD"]],
  ] as const) {
    test(`${line} is 405 with Allow`, async () => {
      const answer = await client.ask(line);
      expectError(answer, 405, "method_not_allowed");
      const named = (answer.headers.get("allow") ?? "").split(", ").sort();
      expect(named).toEqual([...allow]);
    });
  }

  test("HEAD has the head of GET and no body", async () => {
    const topic = await client.topic("head");
    for (const path of ["/health", "/broker/topics", `/broker/consume/${topic}/g/0`]) {
      const [head, get] = await Promise.all([
        client.ask(`HEAD ${path}`),
        client.ask(`GET ${path}`),
      ]);
      expect(head.status).toBe(get.status);
      expect(head.bytes.length).toBe(0);
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
    }
  });
}

function bodies(client: Client): void {
  for (const encoding of ["gzip", "br", "gzip, gzip", "x-unknown"]) {
    test(`Content-Encoding ${encoding} is 415 and nothing is stored`, async () => {
      const topic = await client.topic("encoding");
      const headers = { "content-encoding": encoding };
      expectError(
        await client.produce(topic, "x", "partition=0", { headers }),
        415,
        "unsupported_content_encoding",
      );
      expect(await client.values(topic)).toEqual([]);
    });
  }
  test("Content-Encoding identity is nothing", async () => {
    const topic = await client.topic("identity");
    const headers = { "content-encoding": "identity" };
    expect((await client.produce(topic, "x", "partition=0", { headers })).status).toBe(200);
  });

  const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  for (const [what, type] of [
    ["a form", "application/x-www-form-urlencoded"],
    ["JSON", "application/json"],
    ["text", "text/plain"],
    ["multipart", "multipart/form-data; boundary=x"],
    ["nonsense", "no/such; thing"],
  ] as const) {
    test(`bodies stay byte for byte, announced as ${what}`, async () => {
      const topic = await client.topic("bytes");
      const bodies = [
        every,
        Buffer.from("a=b&c=%41+d"),
        Buffer.from('{"a":1.0}'),
        Buffer.from("--x\r\n\r\n"),
      ];
      const headers = { "content-type": type };
      for (const body of bodies) {
        const { status } = await client.produce(topic, Uint8Array.from(body), "partition=0", {
          headers,
        });
        expect(status).toBe(200);
      }
      const { body } = await client.consume(topic, "offset=0&encoding=b64");
      expect(
        messagesOf(body).map((message) => Buffer.from(valueBytes(message)).toString("hex")),
      ).toEqual(bodies.map((each) => Buffer.from(each).toString("hex")));
      const key = `/kv/${freshName("bytes")}/k`;
      await client.ask(`POST ${key}`, { body: every, headers });
      expect((await client.ask(`GET ${key}`)).body["value"]).toBe(
        Buffer.from(every).toString("base64"),
      );
    });
  }
}

function parameters(client: Client): void {
  for (const value of [
    "",
    "-1",
    "%2B1",
    "+1",
    "1.0",
    "1e3",
    "0x1",
    "01",
    "%201",
    "1%20",
    "NaN",
    "null",
    "9007199254740992",
    "18446744073709551616",
    "%D9%A1",
    "1_000",
    "true",
  ]) {
    test(`offset=${value} is 400, never rounded`, async () => {
      const topic = await client.topic("numbers");
      expectError(await client.consume(topic, `offset=${value}`), 400, "invalid_parameter");
    });
  }
  test("2^53-1 is a number like others", async () => {
    const topic = await client.topic("numbers");
    const answer = await client.consume(topic, "offset=9007199254740991");
    expectError(answer, 416, "offset_out_of_range", ["end_offset"]);
  });
  test("a repeated or unknown parameter is 400", async () => {
    const topic = await client.topic("repeated");
    expectError(
      await client.produce(topic, "x", "partition=0&partition=1"),
      400,
      "repeated_parameter",
    );
    expectError(
      await client.produce(topic, "x", "partition=0&%70artition=0"),
      400,
      "repeated_parameter",
    );
    const misspelt = await client.produce(topic, "x", "partition=0&idempotency_kye=1");
    expectError(misspelt, 400, "unknown_parameter");
    expect(misspelt.body["message"]).toContain('did you mean "idempotency_key"?');
    expect(await client.values(topic)).toEqual([]);
    for (const path of [
      "/health",
      "/ready",
      "/metrics",
      "/ui",
      "/openapi.json",
      "/broker/topics",
    ]) {
      expectError(await client.ask(`GET ${path}?x`), 400, "unknown_parameter");
    }
  });
}

function escapes(client: Client): void {
  for (const key of ["%zz", "%", "%4", "%ff%fe", "%c0%ae", "%ed%a0%80", "a%80"]) {
    test(`key=${key} is 400 and nothing is stored`, async () => {
      const topic = await client.topic("escapes");
      expectError(
        await client.produce(topic, "x", `partition=0&key=${key}`),
        400,
        "invalid_percent_encoding",
      );
      expectError(
        await client.ask(`POST /kv/ns/${key}`, { body: "x" }),
        400,
        "invalid_percent_encoding",
      );
      expect(await client.values(topic)).toEqual([]);
    });
  }
  test("percent escapes are decoded once", async () => {
    const topic = await client.topic("once");
    await client.produce(topic, "x", "partition=0&key=%252e%26%3D");
    const { body } = await client.consume(topic);
    expect(messagesOf(body)[0]?.["key"]).toBe("%2e&=");
  });
}

function names(client: Client): void {
  for (const name of [
    "a%2Fb",
    "a%5Cb",
    "%2e%2e%2fetc%2fpasswd",
    "x%00y",
    "x%0ay",
    "a".repeat(250),
    "%F0%9F%98%80",
    "a%20b",
    "a:b",
    "%61%2F",
  ]) {
    test(`topic ${name.slice(0, 30)} is 400`, async () => {
      expectError(await client.produce(name, "x", ""), 400, "invalid_topic");
    });
  }
  for (const name of [
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "CON",
    "-rf",
    "aux.",
  ]) {
    test(`${name} is a plain topic, group, namespace and key`, async () => {
      const topic = `${name}${freshName("x")}`.slice(0, 200);
      expect((await client.produce(topic, "x")).status).toBe(200);
      expect((await client.consume(topic, "offset=0", name)).body["count"]).toBe(1);
      const space = freshName("plain");
      expect((await client.ask(`POST /kv/${space}/${name}`, { body: "v" })).status).toBe(200);
      expect((await client.ask(`GET /kv/${space}/${name}`)).body["value"]).toBe("dg==");
      expect((await client.ask(`GET /kv/${name}/no-such-key-at-all`)).status).toBe(404);
    });
  }
  test("names that differ only by case are different topics", async () => {
    const lower = await client.topic("case");
    await client.topic("other");
    expect((await client.produce(lower, "x")).status).toBe(200);
    expectError(await client.consume(lower.replace("case", "CASE")), 404, "topic_not_found");
  });

  test("/openapi.json needs no token and describes the routes", async () => {
    const { status, body } = await client.ask("GET /openapi.json", { token: null });
    expect(status).toBe(200);
    expect(Object.keys(body["paths"] as object)).toContain("/broker/topics/{topic}/produce");
  });
}
