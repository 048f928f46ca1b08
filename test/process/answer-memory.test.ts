// Goal: a token that may only read cannot take a node's memory. Measured on a real process.
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

const MIB = 1024 * 1024;
const AUTH = { authorization: "Bearer dev" };
const TIMEOUT_MS = 120_000;
/**
 * The heap, the tail, and what the allocator keeps of buffers that come and go. Without a budget the
 * pages alone would take 40 GiB, so a generous bound tells the two apart on a busy machine as well.
 */
const RESIDENT_MAX = 1_500 * MIB;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

const residentBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;

function readNothing(url: string, path: string, more = ""): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  socket.pause();
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n${more}\r\n`,
  );
  cleanups.push(() => socket.destroy());
  return socket;
}

test.skipIf(process.platform !== "linux")(
  "pages of control characters, and followers that read nothing, stay within the budget",
  async () => {
    const { path, remove } = temporaryDirectory();
    cleanups.push(remove);
    const env = { RF_ANSWER_BYTES: String(64 * MIB), RF_LOG_LEVEL: "error" };
    const server = await startServer({ dataDir: path, env });
    cleanups.push(() => server.kill());
    const { url, pid } = server;
    const body = "\u0001".repeat(MIB);
    for (let i = 0; i < 80; i++) {
      const produced = await fetch(`${url}/broker/topics/t/produce?partition=0`, {
        method: "POST",
        headers: AUTH,
        body,
      });
      expect(produced.status).toBe(200);
    }
    const page = "/broker/consume/t/g/0?offset=0&limit=1000&max_bytes=67108864";
    for (let i = 0; i < 100; i++) {
      readNothing(url, page);
      readNothing(url, page, "Accept: text/event-stream\r\n");
    }
    let highest = 0;
    for (let looks = 0; looks < 100; looks++) {
      highest = Math.max(highest, residentBytes(pid));
      const health = await fetch(`${url}/health`);
      expect(health.status).toBe(200);
      await Bun.sleep(50);
    }
    expect(highest).toBeLessThan(RESIDENT_MAX);
    const refused = await fetch(url + page, { headers: AUTH });
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: "overloaded" });
    const produced = await fetch(`${url}/broker/topics/t/produce?partition=0`, {
      method: "POST",
      headers: AUTH,
      body: "goes on",
    });
    expect(produced.status).toBe(200);
    for (const clean of cleanups.splice(2).reverse()) clean();
    let whole = await fetch(url + page, { headers: AUTH });
    for (let tries = 0; tries < 500 && whole.status === 503; tries++) {
      await Bun.sleep(20);
      whole = await fetch(url + page, { headers: AUTH });
    }
    const text = await whole.text();
    expect(text.length).toBeLessThanOrEqual(64 * MIB);
    expect(JSON.parse(text)).toMatchObject({ count: 10, next_offset: 10, truncated: true });
    expect(await server.stop()).toBe(0);
  },
  TIMEOUT_MS,
);
