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

/** The command line under the same limit on open files. @returns its exit code and output. */
async function command(files: number, ...args: readonly string[]): Promise<[number, string]> {
  const shell = `ulimit -n ${files}; exec "$0" "$@" 2>&1`;
  const child = Bun.spawn(["sh", "-c", shell, process.execPath, MAIN, ...args], {
    env: { ...process.env, AYDER_TOKEN: "dev" },
    stdout: "pipe",
  });
  const output = await new Response(child.stdout).text();
  return [await child.exited, output];
}

test(
  "hundreds of partitions work under a small limit: writes, restarts, retention, backup, verify",
  async () => {
    const FILES = 128;
    const COUNT = 600;
    // Each value fills a segment, so that every write needs another file.
    const settings = { RF_SEGMENT_BYTES: "4096" };
    const directory = newDirectory();
    const all = Array.from({ length: COUNT }, (_, partition) => partition);
    const some = all.filter((partition) => partition % 37 === 0);
    const textOf = (partition: number, round: number) =>
      `${partition} in round ${round} `.padEnd(3_000, "x");
    const produceAll = async (url: string, round: number) => {
      for (let from = 0; from < COUNT; from += 20) {
        const answers = all.slice(from, from + 20).map(async (partition) => {
          const path = `/broker/topics/p/produce?partition=${partition}`;
          return (await ask(url, path, textOf(partition, round))).status;
        });
        expect(await Promise.all(answers)).toEqual(Array(20).fill(200));
      }
    };
    const expectRounds = async (url: string, ...rounds: readonly number[]) => {
      for (const partition of some) {
        expect(await valuesAt(url, "p", partition)).toEqual(
          rounds.map((round) => textOf(partition, round)),
        );
      }
    };
    const first = await start(directory, FILES, settings);
    const topic = `{"name":"p","partitions":${COUNT}}`;
    expect((await ask(first.url, "/broker/topics", topic)).status).toBe(200);
    for (const round of [0, 1, 2]) await produceAll(first.url, round);
    expect((await ask(first.url, "/admin/compact", "")).status).toBe(200);
    expect(await metric(first.url, "ayder_open_files")).toBeLessThanOrEqual(FILES);
    expect(await first.stop()).toBe(0);

    const second = await start(directory, FILES, settings);
    await expectRounds(second.url, 0, 1, 2);
    const archive = join(directory, "archive");
    expect(await command(FILES, "backup", "--url", second.url, archive)).toEqual([
      0,
      expect.stringContaining("archive"),
    ]);
    // The newest record of each partition stays.
    const policy = '{"topic":"p","max_bytes":3500}';
    expect((await ask(second.url, "/broker/retention", policy)).status).toBe(200);
    const rounds = async () => (await valuesAt(second.url, "p", COUNT - 1)).length;
    for (let tries = 0; tries < 500 && (await rounds()) > 1; tries++) await Bun.sleep(50);
    expect((await ask(second.url, "/admin/compact", "")).status).toBe(200);
    await expectRounds(second.url, 2);
    expect(second.log()).not.toContain("level=error");
    expect(await second.stop()).toBe(0);

    const data = join(directory, "data");
    for (const path of [data, archive]) {
      const [code, output] = await command(FILES, "verify", path);
      expect([code, output]).toEqual([0, expect.stringContaining("intact")]);
    }
    const restored = join(directory, "restored");
    const [code] = await command(FILES, "restore", "--data-dir", join(restored, "data"), archive);
    expect(code).toBe(0);
    const third = await start(restored, FILES, settings);
    await expectRounds(third.url, 0, 1, 2);
    expect(await third.stop()).toBe(0);
  },
  TIMEOUT_MS,
);
