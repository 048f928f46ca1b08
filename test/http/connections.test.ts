// Goal: what is answered and what is stored when a connection ends before its answer is ready.
import { afterEach, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import type { RunningServer } from "../../src/http/server.ts";
import { startFixture, TOKEN } from "../tools/http/fixture.ts";

const running: RunningServer[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(running.splice(0).map((server) => server.stop(0)));
});

const until = async (holds: () => boolean) => {
  for (let i = 0; i < 4000 && !holds(); i++) await Bun.sleep(2);
  expect(holds()).toBe(true);
};

/** A node that stores at once and tells about it when `answer` is called. */
function start() {
  const made = startFixture();
  running.push(made.server);
  const { node, server, options, ask } = made;
  const waiting: (() => void)[] = [];
  let deferred = true;
  const { produce } = node;
  node.produce = (request, done) =>
    produce.call(node, request, (outcome) => {
      if (deferred) waiting.push(() => done(outcome));
      else done(outcome);
    });
  const { unansweredRequests, unansweredWrites, requestsInFlight } = options.instruments;
  return {
    server,
    waiting,
    answer: () => {
      for (const done of waiting.splice(0)) done();
    },
    answerAtOnce: (atOnce = true) => {
      deferred = !atOnce;
    },
    stored: async () => (await ask("GET /broker/consume/t/g/0?offset=0")).body["count"] ?? 0,
    counts: () => [unansweredRequests.value, unansweredWrites.value],
    requestsInFlight,
  };
}

/** A connection whose received bytes are gathered. */
function open({ server }: Pick<ReturnType<typeof start>, "server">) {
  const socket = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.setNoDelay(true);
  sockets.push(socket);
  const seen = { text: "", ended: false };
  socket.on("data", (bytes) => {
    seen.text += bytes.toString("latin1");
  });
  socket.on("end", () => {
    seen.ended = true;
  });
  socket.on("error", () => undefined);
  return { socket, seen };
}

const head = (target: string, rest: string, method = "POST") =>
  `${method} ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n${rest}`;
const PRODUCE = head("/broker/topics/t/produce?partition=0", "Content-Length: 4\r\n\r\npaid");
const CHUNKED = head(
  "/broker/topics/t/produce?partition=0",
  "Transfer-Encoding: chunked\r\n\r\n4\r\npaid\r\n0\r\n",
);
const statusesIn = (text: string) =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));

describe("a write whose connection ends before its answer is stored, not answered, and counted", () => {
  const cases: Record<string, { first: string; next: (socket: Socket) => void }> = {
    "a second write in the same packet": { first: PRODUCE + PRODUCE, next: () => undefined },
    "a read in the same packet": {
      first: PRODUCE + head("/health", "\r\n", "GET"),
      next: () => undefined,
    },
    "a second write in a later packet": { first: PRODUCE, next: (socket) => socket.write(PRODUCE) },
    "the client closes its sending side": { first: PRODUCE, next: (socket) => socket.end() },
    "the client leaves": { first: PRODUCE, next: (socket) => socket.destroy() },
  };
  for (const [name, { first, next }] of Object.entries(cases)) {
    test(name, async () => {
      const made = start();
      const { socket, seen } = open(made);
      socket.write(first);
      await until(() => made.waiting.length > 0);
      next(socket);
      await until(() => seen.ended || socket.destroyed);
      // When these are answered, the server has read everything that the kernel knew before.
      for (let i = 0; i < 3; i++) await (await fetch(`${made.server.url}/health`)).text();
      made.answer();
      await until(() => made.requestsInFlight.value === 0);
      expect(seen.text).toBe("");
      expect(await made.stored()).toBe(1);
      expect(made.counts()).toEqual([1, 1]);
    });
  }

  test("trailers in a later packet", async () => {
    const made = start();
    const { socket, seen } = open(made);
    socket.write(CHUNKED);
    await until(() => made.waiting.length === 1);
    socket.write("X-Sum: 1\r\n\r\n");
    await until(() => seen.ended);
    made.answer();
    await until(() => made.requestsInFlight.value === 0);
    expect(statusesIn(seen.text)).toEqual([400]);
    expect(await made.stored()).toBe(1);
    expect(made.counts()).toEqual([1, 1]);
  });
});

test("a write that is answered before trailers arrive has a true answer; the 400 comes after it", async () => {
  const made = start();
  made.answerAtOnce();
  const { socket, seen } = open(made);
  socket.write(CHUNKED);
  await until(() => seen.text.includes('"durable":true'));
  socket.write("X-Sum: 1\r\n\r\n");
  await until(() => seen.ended);
  expect(statusesIn(seen.text)).toEqual([200, 400]);
  expect(await made.stored()).toBe(1);
  expect(made.counts()).toEqual([0, 0]);
});

test("what is refused when it arrives stores nothing and is not counted as a write", async () => {
  const made = start();
  const { socket, seen } = open(made);
  socket.write(`${CHUNKED}X-Sum: 1\r\n\r\n`);
  await until(() => seen.ended);
  await until(() => made.requestsInFlight.value === 0);
  expect(statusesIn(seen.text)).toEqual([400]);
  expect(await made.stored()).toBe(0);
  expect(made.counts()).toEqual([1, 0]);
});

test("requests whose answers are ready at once may follow each other in one packet", async () => {
  const made = start();
  made.answerAtOnce();
  const { socket, seen } = open(made);
  socket.write(PRODUCE + PRODUCE + head("/health", "\r\n", "GET"));
  await until(() => statusesIn(seen.text).length === 3);
  expect(statusesIn(seen.text)).toEqual([200, 200, 200]);
  expect(await made.stored()).toBe(2);
  expect(made.counts()).toEqual([0, 0]);
});

test("an abandoned long poll is a request, not a write; answered ones are neither", async () => {
  const made = start();
  made.answerAtOnce();
  const other = open(made);
  other.socket.write(PRODUCE);
  await until(() => statusesIn(other.seen.text).length === 1);
  const { socket } = open(made);
  socket.write(head("/broker/consume/t/g/0?offset=1&wait_ms=60000", "\r\n", "GET"));
  await until(() => made.requestsInFlight.value === 1);
  socket.destroy();
  await until(() => made.requestsInFlight.value === 0);
  expect(made.counts()).toEqual([1, 0]);
});

test("many writes in flight: exactly the lost ones are counted, beside open streams", async () => {
  const made = start();
  made.answerAtOnce();
  const first = open(made);
  first.socket.write(PRODUCE);
  await until(() => statusesIn(first.seen.text).length === 1);
  for (let i = 0; i < 3; i++) {
    const stream = open(made);
    stream.socket.write(head("/broker/consume/t/g/0?follow=1&offset=0", "\r\n", "GET"));
    await until(() => stream.seen.text.includes("paid"));
  }
  made.answerAtOnce(false);
  const clients = Array.from({ length: 20 }, () => open(made));
  for (const { socket } of clients) socket.write(PRODUCE);
  await until(() => made.waiting.length === 20);
  for (const { socket } of clients.slice(0, 7)) socket.end();
  await until(() => clients.slice(0, 7).every(({ seen }) => seen.ended));
  made.answer();
  await until(() => clients.slice(7).every(({ seen }) => seen.text.includes('"durable":true')));
  expect(made.counts()).toEqual([7, 7]);
  expect(made.requestsInFlight.value).toBe(0);
});
