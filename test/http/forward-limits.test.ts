/** A body over the limits is refused by a follower that forwards as by the leader, chunked or not. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createConnection } from "node:net";
import { FakeStreams } from "../tools/http/fake-streams.ts";
import { startFixture, TOKEN } from "../tools/http/fixture.ts";
import { type RawLeader, startRawLeader } from "../tools/http/raw-leader.ts";

const limits = {
  messageBytesMax: 100_000,
  requestBytesMax: 600_000,
  ndjsonLinesMax: 10,
  topicPartitionsMax: 10,
};
const leader = startFixture({ limits, streams: new FakeStreams() });
const follower = startFixture({
  limits,
  streams: new FakeStreams(),
  forwardWrites: { commitTimeoutMs: 20 },
});
let peer: RawLeader;

beforeAll(async () => {
  peer = await startRawLeader();
  follower.node.healthNow = { role: "follower", leaderUrl: peer.url };
});
afterAll(async () => {
  await leader.server.stop(0);
  await follower.server.stop(0);
  await peer.stop();
});

const TOO_LONG = Buffer.alloc(limits.requestBytesMax + 1, "x");

async function answer(url: string, head: readonly string[], isChunked: boolean) {
  const length = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${TOO_LONG.length}`;
  const lines = [...head, length, "Host: x", `Authorization: Bearer ${TOKEN}`, "Connection: close"];
  const size = Buffer.from(`${TOO_LONG.length.toString(16)}\r\n`);
  const body = isChunked ? Buffer.concat([size, TOO_LONG, Buffer.from("\r\n0\r\n\r\n")]) : TOO_LONG;
  const bytes = Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), body]);
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve) => {
    const { hostname: host, port } = new URL(url);
    const socket = createConnection({ host, port: Number(port) }, () => socket.write(bytes));
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
  });
  const text = Buffer.concat(chunks).toString();
  return { status: text.split("\r\n")[0], body: text.split("\r\n\r\n")[1] ?? "" };
}

const JSON_TYPE = "Content-Type: application/json";
const EVENT = "Content-Type: application/cloudevents+json";
const NDJSON_TYPE = "Content-Type: application/x-ndjson";

for (const [head, code, limit] of [
  [["POST /broker/topics/t/produce HTTP/1.1"], "message_too_large", limits.messageBytesMax],
  [["POST /broker/topics/t/produce HTTP/1.1", EVENT], "request_too_large", limits.requestBytesMax],
  [
    ["POST /broker/topics/t/produce-ndjson HTTP/1.1", NDJSON_TYPE],
    "request_too_large",
    limits.requestBytesMax,
  ],
  [
    ["POST /broker/topics/t/produce-json HTTP/1.1", JSON_TYPE],
    "request_too_large",
    limits.requestBytesMax,
  ],
  [["PUT /kv/n/k HTTP/1.1"], "message_too_large", limits.messageBytesMax],
  [["POST /broker/commit HTTP/1.1", JSON_TYPE], "request_too_large", 65_536],
  [["POST /broker/retention HTTP/1.1", JSON_TYPE], "request_too_large", 65_536],
  [["PUT /broker/views/v HTTP/1.1", JSON_TYPE], "request_too_large", 524_288],
] as const) {
  for (const isChunked of [false, true]) {
    test(`${head.join(", ")}, ${isChunked ? "chunked" : "by its length"}`, async () => {
      const here = await answer(leader.server.url, head, isChunked);
      expect(here.status).toBe("HTTP/1.1 413 Payload Too Large");
      expect(JSON.parse(here.body)).toMatchObject({ ok: false, error: code, limit });
      expect(await answer(follower.server.url, head, isChunked)).toEqual(here);
      expect(peer.requests).toEqual([]);
    });
  }
}
