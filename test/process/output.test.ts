/** A node whose standard output or error cannot be written: it goes on, and tells what was lost. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { freePorts } from "../tools/process/ports.ts";
import { cleanEnvironment, serverCommand, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000); // For busy machines.
const directory = temporaryDirectory();
afterAll(directory.remove);
const children: Subprocess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});
let count = 0;

/** Starts a node with these files as its output, and waits until it serves. */
async function start(output: { stdout?: number; stderr?: number }, env = {}) {
  const [port = 0] = freePorts(1);
  const dataDir = join(directory.path, `data-${count++}`);
  const child = Bun.spawn([...serverCommand(), "--port", String(port), "--data-dir", dataDir], {
    env: cleanEnvironment(env),
    stdin: "ignore",
    stdout: output.stdout ?? "ignore",
    stderr: output.stderr ?? "ignore",
  });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    const answer = await fetch(`${url}/ready`).catch(() => null);
    if (answer?.status === 200) break;
    await Bun.sleep(20);
  }
  const stop = async () => {
    child.kill("SIGTERM");
    return await child.exited;
  };
  const lost = async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(/^ayder_log_lines_lost_total (\d+)$/m.exec(text)?.[1]);
  };
  return { url, child, stop, lost };
}

/** Each makes the node write a line. */
async function signal(child: Subprocess, url: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    child.kill("SIGUSR1");
    expect((await fetch(`${url}/health`)).status).toBe(200);
  }
}

/** A named pipe with both of its ends. */
function pipe() {
  const path = join(directory.path, `pipe-${count++}`);
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  const reader = () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const first = reader();
  const writer = openSync(path, constants.O_WRONLY);
  return { first, reader, writer };
}

function readAll(fd: number): string {
  const chunk = Buffer.alloc(1 << 20);
  try {
    return chunk.toString("utf8", 0, readSync(fd, chunk));
  } catch {
    return ""; // EAGAIN: nothing there.
  }
}

async function until(fd: number, wanted: RegExp): Promise<string> {
  let text = "";
  while (!wanted.test(text)) {
    text += readAll(fd);
    await Bun.sleep(5);
  }
  return text;
}

for (const env of [{}, { RF_HA_DEDICATED_WORKER: "1" }]) {
  const where = "RF_HA_DEDICATED_WORKER" in env ? ", with two threads" : "";

  test(`a node outlives the reader of its log, and tells the next one what is missing${where}`, async () => {
    const { first, reader, writer } = pipe();
    const { child, url, stop, lost } = await start({ stderr: writer }, env);
    closeSync(writer);
    await until(first, /msg="listening"/);
    closeSync(first);
    await signal(child, url, 3);
    const missing = await lost();
    expect(missing).toBeGreaterThan(0);
    const second = reader();
    child.kill("SIGUSR2");
    const text = await until(second, /SIGUSR2\n/);
    expect(text).toContain(`level=warn msg="log lines lost" n=${missing}\n`);
    expect(await lost()).toBe(missing);
    expect(await stop()).toBe(0);
    closeSync(second);
  });
}

test("a node does not wait for a reader that takes nothing", async () => {
  const { first, writer } = pipe();
  const { child, url, stop, lost } = await start({ stderr: writer });
  closeSync(writer);
  await until(first, /msg="listening"/);
  // Some more than a pipe holds.
  await signal(child, url, 1500);
  expect(await lost()).toBe(0);
  child.kill("SIGUSR2");
  const text = await until(first, /SIGUSR2\n/);
  expect(text).not.toContain("lost");
  expect(await stop()).toBe(0);
  closeSync(first);
});

test("a node starts, serves and stops on a full disk for its log, and for its first words", async () => {
  for (const which of ["stderr", "stdout"] as const) {
    const full = openSync("/dev/full", "w");
    const { child, url, stop, lost } = await start({ [which]: full });
    closeSync(full);
    await signal(child, url, 2);
    if (which === "stderr") expect(await lost()).toBeGreaterThan(2);
    expect([which, await stop()]).toEqual([which, 0]);
  }
});

test("a node whose stdout has no reader serves on", async () => {
  const { first, writer } = pipe();
  closeSync(first);
  const { child, url, stop } = await start({ stdout: writer });
  closeSync(writer);
  await signal(child, url, 1);
  expect(await stop()).toBe(0);
});

test("a refused start has its code, also when nobody can read why", async () => {
  for (const target of ["/dev/full", "/dev/null"]) {
    const file = openSync(target, "w");
    const child = Bun.spawn([...serverCommand(), "--port", "70000"], {
      env: cleanEnvironment(),
      stdout: "ignore",
      stderr: file,
    });
    expect([target, await child.exited]).toEqual([target, 78]);
    closeSync(file);
  }
});

test("a command whose output cannot be written says so, without a stack", async () => {
  const full = openSync("/dev/full", "w");
  const child = Bun.spawn([...serverCommand(), "settings"], {
    env: cleanEnvironment(),
    stdout: full,
    stderr: "pipe",
  });
  const text = await child.stderr.text();
  expect(await child.exited).toBe(70);
  expect(text).toMatch(/^ayder: cannot write to stdout: ENOSPC.*\n$/);
  closeSync(full);
});
