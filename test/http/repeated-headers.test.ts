/**
 * Goal: a header that may be sent once is refused if it is sent twice, with its name, and nothing is
 * stored. Method: raw sockets, because HTTP libraries join the headers themselves.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectory();
let server: Server;

type Answer = { readonly status: number; readonly body: Record<string, unknown> };

function send(line: string, headers: readonly string[], body = ""): Promise<Answer> {
  const { port } = new URL(server.url);
  const lines = [
    `${line} HTTP/1.1`,
    "Host: localhost",
    "Authorization: Bearer dev",
    "Connection: close",
    ...headers,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return new Promise((resolve, reject) => {
    let all = "";
    const socket = connect({ port: Number(port), host: "127.0.0.1" });
    socket.on("data", (bytes) => {
      all += bytes.toString("latin1");
    });
    socket.on("error", reject);
    socket.on("close", () => {
      const status = Number(all.slice(9, 12));
      const text = all.slice(all.indexOf("\r\n\r\n") + 4);
      resolve({ status, body: text.startsWith("{") ? JSON.parse(text) : {} });
    });
    socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`);
  });
}

const PRODUCE = "POST /broker/topics/t/produce?partition=0";
const STREAM = "POST /v1/stream/s";

beforeAll(async () => {
  server = await startServer({ dataDir: directory.path });
  await send("POST /broker/topics", [], '{"name":"t","partitions":1}');
  await send("PUT /v1/stream/s", ["Content-Type: text/plain"]);
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

/** The header that is sent twice comes last. */
const TWICE: readonly (readonly [
  line: string,
  others: readonly string[],
  name: string,
  value: string,
  code: string,
])[] = [
  [PRODUCE, [], "Idempotency-Key", "k", "invalid_idempotency_key"],
  [PRODUCE, ["Producer-Epoch: 0", "Producer-Seq: 0"], "Producer-Id", "p", "invalid_producer"],
  [PRODUCE, ["Producer-Id: p", "Producer-Seq: 0"], "Producer-Epoch", "0", "invalid_producer"],
  [PRODUCE, ["Producer-Id: p", "Producer-Epoch: 0"], "Producer-Seq", "0", "invalid_producer"],
  [PRODUCE, [], "ayder-header-a", "1", "invalid_header"],
  [PRODUCE, [], "ayder-header-a", "", "invalid_header"],
  [PRODUCE, [], "traceparent", "00-1", "invalid_header"],
  [PRODUCE, ["ce-source: s", "ce-type: t", "ce-specversion: 1.0"], "ce-id", "1", "invalid_header"],
  [PRODUCE, [], "Content-Type", "application/cloudevents+json", "invalid_header"],
  [PRODUCE.replace("?", "-ndjson?"), [], "ayder-header-a", "1", "invalid_header"],
  [PRODUCE.replace("?", "-json?"), [], "Idempotency-Key", "k", "invalid_idempotency_key"],
  ["GET /broker/consume/t/g/0", [], "ayder-topic-id", "0", "invalid_parameter"],
  [
    "GET /broker/consume/t/g/0",
    ["Accept: text/event-stream"],
    "Last-Event-ID",
    "0",
    "invalid_parameter",
  ],
  [STREAM, ["Content-Type: text/plain"], "Stream-Seq", "1", "invalid_request"],
  [STREAM, [], "Content-Type", "text/plain", "invalid_request"],
  [STREAM, ["Producer-Epoch: 0", "Producer-Seq: 0"], "Producer-Id", "p", "invalid_producer"],
  [STREAM, ["Producer-Id: p", "Producer-Seq: 0"], "Producer-Epoch", "0", "invalid_producer"],
  [STREAM, ["Producer-Id: p", "Producer-Epoch: 0"], "Producer-Seq", "0", "invalid_producer"],
  ["PUT /v1/stream/n", [], "Content-Type", "text/plain", "invalid_request"],
  ["PUT /v1/stream/n", [], "Stream-TTL", "9", "invalid_request"],
  ["PUT /v1/stream/n", [], "Stream-Expires-At", "2090-01-31T12:00:00Z", "invalid_request"],
  ["PUT /v1/stream/n", [], "Stream-Forked-From", "/v1/stream/s", "invalid_request"],
  [
    "PUT /v1/stream/n",
    ["Stream-Forked-From: /v1/stream/s"],
    "Stream-Fork-Offset",
    "0",
    "invalid_request",
  ],
  [
    "PUT /v1/stream/n",
    ["Stream-Forked-From: /v1/stream/s"],
    "Stream-Fork-Sub-Offset",
    "0",
    "invalid_request",
  ],
];

test.each([...TWICE])("%s with %j, and %s twice", async (line, others, name, value, code) => {
  const body = line.startsWith("GET") ? "" : '{"records":[{"value":1}]}';
  const { status, body: answer } = await send(
    line,
    [...others, `${name}: ${value}`, `${name}: ${value}`],
    body,
  );
  expect({ status, error: answer["error"] }).toEqual({ status: 400, error: code });
  const said = `The request header "${name}" is "${value}, ${value}": it must be sent once`;
  expect(answer["message"]).toStartWith(said);
});

test("nothing was stored by the requests above", async () => {
  const { body } = await send("GET /broker/consume/t/g/0?offset=0", []);
  expect(body["messages"]).toEqual([]);
  expect((await send("GET /v1/stream/n", [])).status).toBe(404);
  expect((await send("GET /v1/stream/__ds/streams/s", [])).body).toMatchObject({
    records: 0,
    closed: false,
  });
});

test("a value with a comma and a space says where else it can be sent", async () => {
  for (const [header, remedy] of [
    ["Idempotency-Key: a, b", "use the parameter idempotency_key for such a key"],
    ["ayder-header-a: a, b", "use the parameter header.<name> for such a value"],
  ] as const) {
    const { body } = await send(PRODUCE, [header], "x");
    expect(body["message"]).toEndWith(
      `it must be sent once, and without a comma and a space: ${remedy}`,
    );
  }
  const query = "&idempotency_key=a%2C%20b&header.a=a%2C%20b";
  expect((await send(PRODUCE + query, [], "x")).status).toBe(200);
  // Another comma is part of the value.
  const commas = [
    "Idempotency-Key: a,b",
    "ayder-header-a: a,b",
    "tracestate: a=1",
    "tracestate: b=2",
  ];
  expect((await send(PRODUCE, commas, "y")).status).toBe(200);
  const { body } = await send("GET /broker/consume/t/g/0?offset=0", []);
  const messages = body["messages"] as { headers: Record<string, string> }[];
  expect(messages.map(({ headers }) => headers)).toEqual([
    { a: "a, b" },
    { a: "a,b", tracestate: "a=1, b=2" },
  ]);
});

test("lists may be sent in several headers, and an unknown content type is opaque", async () => {
  const accepts = [
    "Accept: text/html",
    "Accept: application/json",
    "Accept-Encoding: x",
    "Accept-Encoding: y",
  ];
  expect((await send("GET /broker/topics", accepts)).status).toBe(200);
  const types = ["Content-Type: text/plain", "Content-Type: text/plain"];
  expect((await send(PRODUCE, types, "z")).status).toBe(200);
});
