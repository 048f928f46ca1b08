// Goal: connections without a token cannot take a node's descriptors away. A real process under a
// small limit on open files, as `ulimit -n` sets it.
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const AUTH = { authorization: "Bearer dev" };
const ANSWER_MS = 20_000;
const TIMEOUT_MS = 120_000;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

type Limited = { readonly url: string; readonly log: () => string; stop(): Promise<number> };

async function start(directory: string, files: number, settings = {}): Promise<Limited> {
  const log = join(directory, `log-${crypto.randomUUID()}`);
  const command = `ulimit -n ${files}; exec "$0" "$@" 2>"${log}"`;
  const args = [process.execPath, MAIN, "--port", "0", "--data-dir", join(directory, "data")];
  const child = Bun.spawn(["sh", "-c", command, ...args], {
    env: { ...process.env, RF_LOG_LEVEL: "info", ...settings },
    stdout: "ignore",
    stderr: "ignore",
  });
  cleanups.push(() => child.kill("SIGKILL"));
  let url = "";
  for (let tries = 0; url === "" && tries < 400; tries++) {
    await Bun.sleep(50);
    url = /listening.*?(http:\/\/[^\s"]+)/.exec(readSoon(log))?.[1] ?? "";
  }
  expect(url).not.toBe("");
  return {
    url,
    log: () => readSoon(log),
    stop: async () => {
      child.kill("SIGTERM");
      return await child.exited;
    },
  };
}

function readSoon(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "ayder-descriptors-"));
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

type Idle = { closed: number; readonly sockets: { end(): void }[] };

async function connectIdle(url: string, count: number, idle: Idle, first = ""): Promise<void> {
  const { hostname, port } = new URL(url);
  for (let i = 0; i < count; i++) {
    const socket = await Bun.connect({
      hostname,
      port: Number(port),
      socket: {
        open: (opened) => {
          if (first !== "") opened.write(first);
        },
        data: () => undefined,
        close: () => {
          idle.closed++;
        },
        error: () => undefined,
      },
    }).catch(() => null);
    if (socket !== null) idle.sockets.push(socket);
  }
}

/** Asks until it is answered: a connection that was refused or ended did nothing. */
async function ask(url: string, path: string, body?: string): Promise<Response> {
  const until = performance.now() + ANSWER_MS;
  for (;;) {
    try {
      const answer = await fetch(url + path, {
        headers: { ...AUTH, connection: "close" },
        ...(body === undefined ? {} : { method: "POST", body }),
        signal: AbortSignal.timeout(5_000),
      });
      if (answer.status !== 503 || performance.now() > until) return answer;
    } catch (error) {
      if (performance.now() > until) throw error;
    }
    await Bun.sleep(20);
  }
}

async function until(reached: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1_000 && !reached(); tries++) await Bun.sleep(20);
  expect(reached()).toBeTrue();
}

async function valuesAt(url: string, topic: string, partition: number): Promise<string[]> {
  const answer = await ask(url, `/broker/consume/${topic}/g/${partition}?offset=0&limit=1000`);
  const { messages } = (await answer.json()) as { messages: { value: string }[] };
  return messages.map(({ value }) => value);
}

const metric = async (url: string, name: string): Promise<number> => {
  const text = await (await ask(url, "/metrics")).text();
  return Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1]);
};

test(
  "silent connections and halves of requests beyond the limit are closed, and everything goes on",
  async () => {
    const directory = newDirectory();
    const settings = { RF_SEGMENT_BYTES: "4096", RF_JOURNAL_SEGMENT_BYTES: "65536" };
    const server = await start(directory, 120, settings);
    expect(server.log()).toContain("open_files_limit");
    const idle: Idle = { closed: 0, sockets: [] };
    cleanups.push(() => {
      for (const socket of idle.sockets) socket.end();
    });
    const written: string[] = [];
    const produce = async () => {
      const value = `${written.length} `.padEnd(900, "x");
      const answer = await ask(server.url, "/broker/topics/t/produce?partition=0", value);
      expect(answer.status).toBe(200);
      written.push(value);
    };
    await produce();
    // One that waits for an answer stays.
    expect((await ask(server.url, "/broker/topics", '{"name":"empty"}')).status).toBe(200);
    const longPoll = fetch(`${server.url}/broker/consume/empty/g/0?wait_ms=60000`, {
      headers: AUTH,
    }).then(
      ({ status }) => status,
      (error: unknown) => String(error),
    );
    await connectIdle(server.url, 150, idle);
    for (let round = 0; round < 20; round++) await produce();
    // The kernel hands over a connection that says nothing after a second or so.
    await until(() => idle.closed >= 50);
    for (let round = 0; round < 20; round++) await produce();
    expect((await ask(server.url, "/admin/compact", "")).status).toBe(200);
    await connectIdle(server.url, 60, idle, "GET /health HTTP/1.1\r\nHost:");
    for (let round = 0; round < 20; round++) await produce();
    expect((await ask(server.url, "/admin/compact", "")).status).toBe(200);
    await until(() => idle.closed >= 110);
    expect(await metric(server.url, "ayder_open_files_limit")).toBe(120);
    expect(await metric(server.url, "ayder_open_files")).toBeLessThanOrEqual(120);
    expect(await metric(server.url, "ayder_http_connections_closed_total")).toBeGreaterThan(50);
    await ask(server.url, "/broker/topics/empty/produce?partition=0", "woken");
    expect(await longPoll).toBe(200);
    await connectIdle(server.url, 150, idle);
    expect(await server.stop()).toBe(0);

    const again = await start(directory, 120, settings);
    expect(await valuesAt(again.url, "t", 0)).toEqual(written);
    expect(await again.stop()).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "hundreds of partitions work under a small limit, and a stop takes its checkpoint",
  async () => {
    const directory = newDirectory();
    const server = await start(directory, 128);
    expect((await ask(server.url, "/broker/topics", '{"name":"p","partitions":400}')).status).toBe(
      200,
    );
    const lines = Array.from({ length: 400 }, (_, partition) => partition);
    for (const partition of lines) {
      const path = `/broker/topics/p/produce?partition=${partition}`;
      expect((await ask(server.url, path, `value ${partition}`)).status).toBe(200);
    }
    expect((await ask(server.url, "/admin/compact", "")).status).toBe(200);
    expect(await metric(server.url, "ayder_open_files")).toBeLessThan(128);
    expect(await server.stop()).toBe(0);
    const again = await start(directory, 128);
    for (const partition of lines.filter((each) => each % 37 === 0)) {
      expect(await valuesAt(again.url, "p", partition)).toEqual([`value ${partition}`]);
    }
    expect(await again.stop()).toBe(0);
  },
  TIMEOUT_MS,
);
