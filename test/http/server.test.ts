/** Behaviour that only a socket shows: stopping, streams, timeouts, TLS. */
import { afterEach, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { NO_SOCKET } from "../../src/http/app.ts";
import { type RunningServer, startServer } from "../../src/http/server.ts";
import { fixture, startFixture, TOKEN } from "../tools/http/fixture.ts";

const running: RunningServer[] = [];
const start = (...options: Parameters<typeof startFixture>) => {
  const made = startFixture(...options);
  running.push(made.server);
  return made;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop(0)));
});
const headers = { authorization: `Bearer ${TOKEN}` };
const until = async (holds: () => boolean) => {
  for (let i = 0; i < 500 && !holds(); i++) await Bun.sleep(2);
  expect(holds()).toBe(true);
};
const produce = (url: string, body: string) =>
  fetch(`${url}/broker/topics/t/produce?partition=0`, { method: "POST", body, headers });

describe("stopping", () => {
  test("waits and streams end, requests under way are answered, then the port is closed", async () => {
    const { server, options } = start();
    const { url } = server;
    await produce(url, "a");
    const { requestsInFlight, followStreams } = options.instruments;
    const stream = await fetch(`${url}/broker/consume/t/g/0`, {
      headers: { ...headers, accept: "text/event-stream" },
    });
    const waiting = fetch(`${url}/broker/consume/t/g/0?offset=1&wait_ms=60000`, { headers });
    await until(() => requestsInFlight.value === 1 && followStreams.value === 1);
    const stopped = server.stop(10_000);
    const page = await waiting;
    expect(page.status).toBe(200);
    expect(await page.json()).toMatchObject({ count: 0, next_offset: 1 });
    expect(await stream.text()).toContain("id: 0");
    await stopped;
    expect(followStreams.value).toBe(0);
    expect(requestsInFlight.value).toBe(0);
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });
  test("new requests get 503 shutting_down, /health still answers, /ready says no", async () => {
    const { app, ask } = start();
    app.beginStop();
    const refused = await ask("POST /broker/topics/t/produce", { body: "x" });
    expect(refused.status).toBe(503);
    expect(refused.body["error"]).toBe("shutting_down");
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await ask("GET /health")).status).toBe(200);
    expect((await ask("GET /ready")).body).toEqual({ ready: false, reason: "shutting down" });
    expect((await ask("GET /nope", { token: null })).status).toBe(401);
  });
});

describe("streams", () => {
  test("a client that goes away frees its stream", async () => {
    const { server, options } = start();
    await produce(server.url, "a");
    const stop = new AbortController();
    const response = await fetch(`${server.url}/broker/consume/t/g/0?follow=1`, {
      headers: { ...headers, accept: "application/x-ndjson" },
      signal: stop.signal,
    });
    expect(response.status).toBe(200);
    await until(() => options.instruments.followStreams.value === 1);
    stop.abort();
    await until(() => options.instruments.followStreams.value === 0);
  });
  test("a client that does not read does not fill the memory", async () => {
    const { server, node } = start();
    const body = "x".repeat(1024 * 1024);
    for (let i = 0; i < 8; i++) await produce(server.url, body);
    let pages = 0;
    const { consume } = node;
    node.consume = (request) => {
      pages++;
      return consume.call(node, { ...request, offset: (request.offset ?? 0) % 8 });
    };
    const socket = connect(server.port, "127.0.0.1");
    socket.pause();
    socket.write(
      `GET /broker/consume/t/g/0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n` +
        "Accept: text/event-stream\r\n\r\n",
    );
    await until(() => pages > 2);
    await Bun.sleep(100);
    const before = pages;
    await Bun.sleep(100);
    expect(pages - before).toBeLessThanOrEqual(1);
    expect(pages).toBeLessThan(50);
    socket.destroy();
  });
  test("a topic that is deleted ends its streams with an event", async () => {
    const { server, ask } = start();
    await produce(server.url, "a");
    const response = await fetch(`${server.url}/broker/consume/t/g/0`, {
      headers: { ...headers, accept: "text/event-stream" },
    });
    const reader = response.body?.getReader();
    await reader?.read();
    await ask("DELETE /broker/topics/t");
    expect(response.status).toBe(200);
    await reader?.cancel();
  });
});

describe("sockets", () => {
  test("only answers that may take long are taken out of the idle timeout", async () => {
    const { app, ask } = start();
    await ask("POST /broker/topics/t/produce?partition=0", { body: "a" });
    const lifted: string[] = [];
    const ended: string[] = [];
    app.attach({
      ...NO_SOCKET,
      allowLong: ({ url }) => lifted.push(url.slice(16)),
      endLong: ({ url }) => ended.push(url.slice(16)),
    });
    await ask("GET /broker/consume/t/g/0?offset=0&wait_ms=100");
    await ask("POST /broker/topics/t/produce?partition=1&timeout_ms=5000", { body: "a" });
    expect(lifted).toEqual([]);
    await ask("GET /broker/consume/t/g/0?offset=1&wait_ms=1");
    await ask("POST /broker/topics/t/produce?timeout_ms=5001", { body: "a" });
    await ask("POST /kv/a/b?timeout_ms=5001", { body: "a" });
    const stream = await app.fetch(
      new Request("http://localhost/broker/consume/t/g/0", {
        headers: { ...headers, accept: "text/event-stream" },
      }),
    );
    await stream.body?.cancel();
    expect(lifted.map((url) => url.replace(/\?.*/, ""))).toEqual([
      "/broker/consume/t/g/0",
      "/broker/topics/t/produce",
      "/kv/a/b",
      "/broker/consume/t/g/0",
    ]);
    // The connection may carry other requests, or none: it is idle like any other then.
    expect(ended).toEqual(lifted);
  });
  test("a host of one letter is the same request to the socket: its client, its timeout, its body", async () => {
    // Bound to all addresses, each request is asked for the client's address.
    const open = start({ auth: { tokens: "", skipPrefixes: [] } }, 30, "0.0.0.0");
    const dev = { authorization: "Bearer dev", host: "x" };
    const { port } = open.server;
    expect((await fetch(`http://127.0.0.1:${port}/broker/topics`, { headers: dev })).status).toBe(
      200,
    );
    const { app } = start();
    const lifted: Request[] = [];
    app.attach({
      ...NO_SOCKET,
      allowLong: (request) => lifted.push(request),
    });
    const remove = new Request("http://x/kv/a/b?timeout_ms=5001", { method: "DELETE", headers });
    expect((await app.fetch(remove)).status).toBe(200);
    expect(lifted[0]).toBe(remove);
    const body = '{"name":"a","partitions":3}';
    const create = new Request("http://x/broker/topics", { method: "POST", body, headers });
    expect(await (await app.fetch(create)).json()).toMatchObject({ topic: "a", partitions: 3 });
  });
  test("a produce whose client goes away in the middle of the body stores nothing", async () => {
    const { server, node, options } = start();
    const socket = connect(server.port, "127.0.0.1");
    socket.write(
      `POST /broker/topics/t/produce HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n` +
        "Content-Length: 10\r\n\r\nabc",
    );
    await until(() => options.instruments.requestsInFlight.value === 1);
    socket.destroy();
    await until(() => options.instruments.requestsInFlight.value === 0);
    expect(node.calls).toBe(0);
  });
  test("after a body that is too large the connection still serves", async () => {
    const { server } = start();
    for (let i = 0; i < 3; i++) {
      const response = await produce(server.url, "x".repeat(1024 * 1024 + 1));
      expect(response.status).toBe(413);
      expect(await response.json()).toMatchObject({ limit: 1024 * 1024 });
    }
    expect((await produce(server.url, "x")).status).toBe(200);
  });
  test("a checkpoint that takes longer than connections may be idle is answered", async () => {
    const { server, node } = start({}, 1);
    // Bun looks at its timeouts every four seconds.
    node.beforeCheckpoint = Bun.sleep(9_000);
    const answer = await fetch(`${server.url}/admin/compact`, { method: "POST", headers });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ ok: true });
  }, 60_000);
  test("an address that is taken is an error", () => {
    const { server, app, options } = start();
    const again = {
      host: "127.0.0.1",
      port: server.port,
      tls: null,
      idleTimeoutSeconds: 5,
      log: options.log,
    };
    expect(() => startServer(app, again)).toThrow();
  });
});

describe("TLS", () => {
  const openssl = Bun.which("openssl");
  test.skipIf(openssl === null)("certificate and key as given", async () => {
    const made = Bun.spawnSync([
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
      ...["-nodes", "-keyout", "-", "-out", "-", "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ]);
    const pem = made.stdout.toString();
    const [key = ""] = /-----BEGIN PRIVATE KEY[\s\S]*?END PRIVATE KEY-----/.exec(pem) ?? [];
    const [cert = ""] = /-----BEGIN CERTIFICATE[\s\S]*?END CERTIFICATE-----/.exec(pem) ?? [];
    const { app, options } = fixture();
    const server = startServer(app, {
      host: "127.0.0.1",
      port: 0,
      tls: { cert, key },
      idleTimeoutSeconds: 5,
      log: options.log,
    });
    running.push(server);
    expect(server.url).toStartWith("https://127.0.0.1:");
    for (const path of ["/health", "/broker/topics", "/kv/ns?limit=1"]) {
      const response = await fetch(server.url + path, { tls: { ca: cert }, headers });
      expect(response.status, path).toBe(200);
    }
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
    await expect(fetch(server.url.replace("https", "http"))).rejects.toThrow();
  });
});
