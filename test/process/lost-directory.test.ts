/** A data directory that is removed, moved or replaced under a running node ends the node. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import {
  cleanEnvironment,
  type Server,
  serverCommand,
  startServer,
  temporaryDirectory,
} from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectory();
afterAll(directory.remove);
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill();
});

async function start(name: string): Promise<Server> {
  const server = await startServer({ dataDir: join(directory.path, name) });
  servers.push(server);
  const created = await fetch(`${server.url}/broker/topics`, {
    method: "POST",
    headers: { authorization: "Bearer dev", "content-type": "application/json" },
    body: JSON.stringify({ name: "t", partitions: 1 }),
  });
  expect(created.ok).toBe(true);
  return server;
}

/** Produces until the server is gone. */
async function load(server: Server): Promise<void> {
  const headers = { authorization: "Bearer dev" };
  try {
    for (;;) {
      const url = `${server.url}/broker/topics/t/produce`;
      await (await fetch(url, { method: "POST", headers, body: "x".repeat(1000) })).text();
    }
  } catch {
    // The server ended.
  }
}

test("a directory that is removed under load", async () => {
  const server = await start("removed");
  const loaded = load(server);
  rmSync(join(directory.path, "removed"), { recursive: true, force: true, maxRetries: 5 });
  expect(await server.process.exited).toBe(70);
  await loaded;
  expect(server.log()).toContain("the data directory is lost");
  expect(server.log()).toContain("was removed or moved");
});

test("a directory that is moved away", async () => {
  const server = await start("moved");
  renameSync(join(directory.path, "moved"), join(directory.path, "elsewhere"));
  expect(await server.process.exited).toBe(70);
  expect(server.log()).toContain("was removed or moved");
});

test("a directory that is replaced by an empty one", async () => {
  const server = await start("replaced");
  renameSync(join(directory.path, "replaced"), join(directory.path, "kept"));
  mkdirSync(join(directory.path, "replaced"));
  expect(await server.process.exited).toBe(70);
  expect(server.log()).toContain("was replaced by another file or directory");
});

test("a second server on the same path keeps an intact directory", async () => {
  const path = join(directory.path, "shared");
  const first = await start("shared");
  const loaded = load(first);
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  const second = await start("shared");
  expect(await first.process.exited).toBe(70);
  await loaded;
  expect(await second.stop()).toBe(0);
  const verify = Bun.spawn([...serverCommand(), "verify", path], {
    env: cleanEnvironment(),
    stdout: "ignore",
    stderr: "ignore",
  });
  expect(await verify.exited).toBe(0);
});
