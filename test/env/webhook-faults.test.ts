/**
 * Goal: a call of a webhook ends within its time and its bytes, whatever the network and the receiver
 * do. Method: receivers on plain sockets, which write what no HTTP server would.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { BunWebhookSender } from "../../src/env/bun-webhook-sender.ts";

setDefaultTimeout(60_000);

const HOST = "receiver.test";
const ANSWER_BYTES_MAX = 100;
const servers: Server[] = [];
const open = new Set<Socket>();
afterAll(() => {
  for (const socket of open) socket.destroy();
  for (const server of servers) server.close();
});

/** A receiver that does this with a connection after its first bytes. @returns its port. */
async function receiver(act: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => open.delete(socket));
    socket.once("data", () => act(socket));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
}

const LOOPBACK = async () => ["127.0.0.1"];

function send(
  port: number,
  { scheme = "http", timeoutMs = 10_000, resolve = LOOPBACK, needsBody = false } = {},
) {
  return new BunWebhookSender([HOST], { resolve }).send({
    url: `${scheme}://${HOST}:${port}/`,
    headers: {},
    body: "x",
    answerBytesMax: ANSWER_BYTES_MAX,
    timeoutMs,
    needsBody,
  });
}

/** Writes for as long as the connection takes it. @returns the bytes that were handed over. */
function flood(socket: Socket): { bytes: number } {
  const sent = { bytes: 0 };
  const chunk = Buffer.alloc(64 * 1024, "y");
  const more = (): void => {
    while (!socket.destroyed && sent.bytes < 1_000_000_000) {
      sent.bytes += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };
  socket.on("drain", more);
  more();
  return sent;
}

/** Writes the text again and again until the connection ends. */
function repeat(socket: Socket, text: string): void {
  const timer = setInterval(() => socket.write(text), 5);
  socket.on("close", () => clearInterval(timer));
}

const HEAD = "HTTP/1.1 200 OK\r\n";

test("a name that does not resolve", async () => {
  const resolve = () => Promise.reject(new Error("getaddrinfo ENOTFOUND receiver.test"));
  await expect(send(1, { resolve })).rejects.toThrow("ENOTFOUND receiver.test");
});

test("nobody listens at any address", async () => {
  const port = await receiver(() => undefined);
  servers.pop()?.close();
  await expect(send(port)).rejects.toThrow("receiver.test: ");
});

test("a receiver that accepts and says nothing, in plain and in TLS", async () => {
  const port = await receiver(() => undefined);
  for (const scheme of ["http", "https"]) {
    await expect(send(port, { scheme, timeoutMs: 50 })).rejects.toThrow("no answer within 50 ms");
  }
});

test("TLS to a receiver that does not speak it", async () => {
  const port = await receiver((socket) => socket.end(`${HEAD}Content-Length: 0\r\n\r\n`));
  await expect(send(port, { scheme: "https" })).rejects.toThrow("receiver.test: ");
});

test("a connection that is reset before the answer, in its head and in its body", async () => {
  const nothing = await receiver((socket) => socket.resetAndDestroy());
  await expect(send(nothing)).rejects.toThrow("receiver.test: ");
  const inHead = await receiver((socket) => {
    socket.write("HTTP/1.1 20", () => socket.resetAndDestroy());
  });
  await expect(send(inHead)).rejects.toThrow("receiver.test: ");
  const inBody = await receiver((socket) => {
    socket.write(`${HEAD}Content-Length: 90\r\n\r\nabc`, () =>
      setTimeout(() => socket.resetAndDestroy(), 50),
    );
  });
  // The status is what counts.
  const { status, body } = await send(inBody);
  expect([status, "abc".startsWith(Buffer.from(body).toString())]).toEqual([200, true]);
  await expect(send(inBody, { needsBody: true })).rejects.toThrow();
});

test("an answer that is none", async () => {
  const port = await receiver((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
  await expect(send(port, { timeoutMs: 500 })).rejects.toThrow();
});

test("a head without end has the time of the call", async () => {
  for (const text of ["X-More: 1\r\n", "HTTP/1.1 100 Continue\r\n\r\n"]) {
    const port = await receiver((socket) => {
      socket.write(text.startsWith("X") ? HEAD : "");
      repeat(socket, text);
    });
    await expect(send(port, { timeoutMs: 200 })).rejects.toThrow();
  }
});

test("a body without end is cut at a length or after a time, and the connection is closed", async () => {
  const slow = await receiver((socket) => {
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`);
    repeat(socket, "1\r\nz\r\n");
  });
  const { status, body } = await send(slow);
  expect([status, body.length <= ANSWER_BYTES_MAX]).toEqual([200, true]);
});

test("of an answer of a gigabyte, the beginning is read", async () => {
  const sent: { bytes: number }[] = [];
  const closed = Promise.withResolvers<void>();
  const port = await receiver((socket) => {
    socket.on("close", () => closed.resolve());
    socket.write(`${HEAD}Content-Length: 1000000000\r\n\r\n`);
    sent.push(flood(socket));
  });
  const { status, body } = await send(port);
  expect([status, Buffer.from(body).toString()]).toEqual([200, "y".repeat(ANSWER_BYTES_MAX)]);
  await closed.promise;
  // Buffers of both ends.
  expect(sent[0]?.bytes).toBeLessThan(100_000_000);
});

test("a redirect is an answer, and its target is not called", async () => {
  let calls = 0;
  const port = await receiver((socket) => {
    calls++;
    socket.end("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
  });
  expect((await send(port)).status).toBe(302);
  expect(calls).toBe(1);
});
