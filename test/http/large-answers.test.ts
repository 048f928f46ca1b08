// Goal: the bytes of answers are bounded, and no client that still reads is cut off.
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { MemoryBudget } from "../../src/http/memory-budget.ts";
import { DEFAULT_MEMORY, type HttpOptions } from "../../src/http/options.ts";
import type { RunningServer } from "../../src/http/server.ts";
import { Cell } from "../../src/metrics/histogram.ts";
import { startFixture, TOKEN } from "../tools/http/fixture.ts";

setDefaultTimeout(120_000);
const MIB = 1024 * 1024;
const headers = { authorization: `Bearer ${TOKEN}` };
const running: RunningServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(running.splice(0).map((server) => server.stop(0)));
});

function start(memory: Partial<typeof DEFAULT_MEMORY>, idleTimeoutSeconds = 30) {
  const changes: Partial<HttpOptions> = { memory: { ...DEFAULT_MEMORY, ...memory } };
  const made = startFixture(changes, idleTimeoutSeconds);
  running.push(made.server);
  return made;
}

const until = async (holds: () => boolean) => {
  for (let i = 0; i < 10_000 && !holds(); i++) await Bun.sleep(5);
  expect(holds()).toBe(true);
};

/** Sends a request and reads nothing until it is told to. */
function paused(port: number, path: string, more = ""): Socket {
  const socket = connect(port, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => undefined);
  socket.pause();
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${TOKEN}\r\n${more}\r\n`,
  );
  return socket;
}

/** Everything that comes until the end, without the head and the chunk sizes. */
async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  const ended = Promise.withResolvers<void>();
  socket.on("data", (chunk) => chunks.push(Buffer.from(chunk)));
  socket.on("close", () => ended.resolve());
  socket.resume();
  await ended.promise;
  const bytes = Buffer.concat(chunks);
  let at = bytes.indexOf("\r\n\r\n") + 4;
  const pieces: Buffer[] = [];
  for (;;) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) throw new Error("the answer was cut off");
    const length = Number.parseInt(bytes.toString("latin1", at, line), 16);
    if (length === 0) return Buffer.concat(pieces).toString();
    pieces.push(bytes.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
}

async function fill(server: RunningServer, count: number, value: string): Promise<void> {
  for (let i = 0; i < count; i++) {
    const url = `${server.url}/broker/topics/t/produce?partition=0`;
    expect((await fetch(url, { method: "POST", headers, body: value })).status).toBe(200);
  }
}

test("a reader that pauses for longer than the idle timeout gets all of its page", async () => {
  const { server, options } = start({}, 1);
  await fill(server, 40, "\u0001".repeat(MIB));
  const path = "/broker/consume/t/g/0?offset=0&limit=1000&max_bytes=67108864";
  const socket = paused(server.port, path);
  // Longer than Bun's shortest timeout, which has a resolution of four seconds.
  await Bun.sleep(9_000);
  const page = JSON.parse(await readAll(socket));
  expect(page).toMatchObject({ count: 10, next_offset: 10, truncated: true, end_offset: 40 });
  expect(page.messages[9].value).toBe("\u0001".repeat(MIB));
  const { answerBytesInUse, stalledAnswers, consumedRecords } = options.instruments;
  await until(() => answerBytesInUse.value === 0);
  expect(stalledAnswers.value).toBe(0);
  expect(consumedRecords.value).toBe(10);
});

test("pages, values and streams that nobody reads are bounded, then refused, then cut off", async () => {
  const { server, options } = start({ answerBytesMax: 8 * MIB, stalledAnswerMs: 2_000 });
  const { instruments } = options;
  await fill(server, 30, "\u0001".repeat(MIB));
  const value = "v".repeat(MIB);
  await fetch(`${server.url}/kv/n/k`, { method: "POST", headers, body: value });
  const large = "/broker/consume/t/g/0?offset=0&limit=1000&max_bytes=67108864";
  for (let i = 0; i < 5; i++) {
    paused(server.port, large);
    paused(server.port, large, "Accept: text/event-stream\r\n");
    paused(server.port, "/kv/n/k");
  }
  await until(() => instruments.answersRefused.value > 0);
  const refused = await fetch(`${server.url}/kv/n/k`, { headers });
  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(await refused.json()).toMatchObject({
    ok: false,
    error: "overloaded",
    message: "Too many bytes of answers are on their way to clients (RF_ANSWER_BYTES); try again",
  });
  const page = await fetch(`${server.url}${large}`, { headers });
  expect(page.status).toBe(503);
  // Small answers are still given.
  await fill(server, 1, "small");
  const small = await fetch(`${server.url}/broker/consume/t/g/0?offset=30`, { headers });
  expect(await small.json()).toMatchObject({ count: 1, next_offset: 31 });
  await until(() => instruments.answerBytesInUse.value === 0);
  expect(instruments.stalledAnswers.value).toBeGreaterThan(0);
  expect(instruments.followStreams.value).toBe(0);
  const after = await fetch(`${server.url}/kv/n/k`, { headers });
  expect(await after.json()).toMatchObject({ value: Buffer.from(value).toString("base64") });
});

test("an answer that was cut off does not look like a whole one", async () => {
  const { server, options } = start({ stalledAnswerMs: 400 });
  await fill(server, 12, "\u0001".repeat(MIB));
  const path = "/broker/consume/t/g/0?offset=0&limit=1000&max_bytes=67108864";
  const socket = paused(server.port, path);
  await until(() => options.instruments.stalledAnswers.value === 1);
  await expect(readAll(socket)).rejects.toThrow("the answer was cut off");
});

test("clients without a token get only a part of the budget", () => {
  const used = new Cell();
  const refused = new Cell();
  const budget = new MemoryBudget(100, used, refused);
  expect([budget.takePublic(20), budget.takePublic(6), budget.takePublic(5)]).toEqual([
    true,
    false,
    true,
  ]);
  expect([budget.take(75), budget.take(1)]).toEqual([true, false]);
  expect([used.value, refused.value]).toEqual([100, 2]);
  budget.givePublic(25);
  expect(budget.takePublic(25)).toBe(true);
  budget.give(75);
  budget.givePublic(25);
  // One that is larger than all of it is sent alone.
  expect([budget.take(1_000), budget.take(1)]).toEqual([true, false]);
});

test("what needs no token is sent in counted pieces too", async () => {
  const { server, options } = start({});
  for (let i = 0; i < 60; i++) {
    const path = `/broker/topics/${"x".repeat(200)}${i}/produce?partition=0`;
    await fetch(server.url + path, { method: "POST", headers, body: "x" });
  }
  const plain = { "accept-encoding": "identity" };
  const scraped = await fetch(`${server.url}/metrics`, { headers: plain });
  expect(scraped.headers.get("transfer-encoding")).toBe("chunked");
  expect((await scraped.text()).length).toBeGreaterThan(64 * 1024);
  const head = await fetch(`${server.url}/metrics`, { method: "HEAD", headers: plain });
  expect(Number(head.headers.get("content-length"))).toBeGreaterThan(64 * 1024);
  await until(() => options.instruments.answerBytesInUse.value === 0);
});

test("bodies in flight are bounded: what finds no room is refused, and nothing is stored", async () => {
  const { server, options, node } = start({ bodyBytesMax: 4 * MIB });
  const { instruments } = options;
  const path = "/broker/topics/t/produce-ndjson?partition=0";
  const uploads = Array.from({ length: 6 }, () => {
    const socket = connect(server.port, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: ${2 * MIB}\r\n\r\n`,
    );
    socket.write(Buffer.alloc(MIB, "x"));
    return socket;
  });
  await until(() => instruments.bodiesRefused.value > 0);
  expect(instruments.bodyBytesInUse.value).toBeLessThanOrEqual(4 * MIB);
  await until(() => instruments.bodyBytesInUse.value > 2 * MIB);
  const refused = await fetch(`${server.url}${path}`, {
    method: "POST",
    headers,
    body: "y".repeat(4 * MIB - 1),
  });
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({ error: "overloaded" });
  const small = await fetch(`${server.url}${path}`, { method: "POST", headers, body: "z" });
  expect(small.status).toBe(200);
  for (const socket of uploads) socket.destroy();
  await until(() => instruments.bodyBytesInUse.value === 0);
  const page = await node.consume({
    topic: "t",
    partition: 0,
    group: "g",
    offset: 0,
    limit: 10,
    maxBytes: MIB,
    linearizable: false,
  });
  expect(page).toMatchObject({ ok: true, endOffset: 1 });
});

test("a large body that ends before its announced length stores nothing", async () => {
  const { server, options, node } = start({});
  const stored = node.produce.bind(node);
  let produced = 0;
  node.produce = (...given) => {
    produced++;
    stored(...given);
  };
  for (const ending of ["end", "destroy"] as const) {
    const socket = connect(server.port, "127.0.0.1");
    sockets.push(socket);
    socket.on("error", () => undefined);
    socket.write(
      `POST /broker/topics/t/produce-ndjson?partition=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: ${2 * MIB}\r\n\r\n`,
    );
    socket.write(Buffer.alloc(MIB, "x"));
    await until(() => options.instruments.bodyBytesInUse.value > MIB / 2);
    socket[ending]();
    await until(() => options.instruments.bodyBytesInUse.value === 0);
  }
  expect(produced).toBe(0);
});
