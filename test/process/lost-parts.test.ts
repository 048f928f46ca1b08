/** A part of the data directory that is removed or replaced under a running node ends the node. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const directory = temporaryDirectory();
afterAll(directory.remove);
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill();
});

const headers = { authorization: "Bearer dev", "content-type": "application/json" };
const SHARD = "shards/0";

async function start(name: string, env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const server = await startServer({ dataDir: join(directory.path, name), env });
  servers.push(server);
  return server;
}

/** A node that has a checkpoint and a partition on its disk. */
async function started(name: string, env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const first = await start(name, env);
  const body = JSON.stringify({ name: "t", partitions: 1 });
  const created = await fetch(`${first.url}/broker/topics`, { method: "POST", headers, body });
  expect(created.ok).toBe(true);
  expect(await produce(first)).toBe(200);
  expect(await first.stop()).toBe(0);
  const second = await start(name, env);
  expect(await produce(second)).toBe(200);
  return second;
}

async function produce(server: Server): Promise<number> {
  const url = `${server.url}/broker/topics/t/produce`;
  return (await fetch(url, { method: "POST", headers, body: "x".repeat(1000) })).status;
}

const PARTS = [
  `${SHARD}/journal`,
  `${SHARD}/partitions`,
  `${SHARD}/partitions/*`,
  `${SHARD}/checkpoints`,
  `${SHARD}/checkpoints/*`,
  `${SHARD}/hard-state`,
  "FORMAT",
  "shards",
] as const;

/** The last name of a part may be any. */
function pathOf(root: string, part: string): string {
  if (!part.endsWith("/*")) return join(root, part);
  const parent = join(root, part.slice(0, -2));
  return join(parent, readdirSync(parent).sort()[0] ?? "");
}

const lostLine = (path: string, how: string) => `the data directory is lost: ${path} ${how}`;

test.each([...PARTS])("%s is removed", async (part) => {
  const name = `removed-${PARTS.indexOf(part)}`;
  const server = await started(name);
  const path = pathOf(join(directory.path, name), part);
  // A move is one step; the files of a removal go one by one.
  renameSync(path, join(directory.path, `${name}.gone`));
  expect(await server.process.exited).toBe(70);
  expect(server.log()).toContain(lostLine(path, "was removed or moved"));
});

test.each([`${SHARD}/journal`, `${SHARD}/partitions/*`, `${SHARD}/hard-state`])(
  "%s is replaced",
  async (part) => {
    const name = `replaced-${part.length}`;
    const server = await started(name);
    const path = pathOf(join(directory.path, name), part);
    renameSync(path, `${path}.gone`);
    mkdirSync(path);
    expect(await server.process.exited).toBe(70);
    expect(server.log()).toContain(lostLine(path, "was replaced by another file or directory"));
    expect(readdirSync(path)).toEqual([]);
  },
);

test("the segments of the journal are removed, and the folder stays", async () => {
  const server = await started("segments");
  const journal = join(directory.path, "segments", SHARD, "journal");
  for (const name of readdirSync(journal)) rmSync(join(journal, name));
  expect(await server.process.exited).toBe(70);
  expect(server.log()).toMatch(/the data directory is lost: \S+\/journal\/\d{16}\.seg was removed/);
});

test("the journal is removed while HTTP has a thread of its own", async () => {
  const server = await started("worker", { RF_HA_DEDICATED_WORKER: "1" });
  const path = join(directory.path, "worker", SHARD, "journal");
  renameSync(path, `${path}.gone`);
  expect(await server.process.exited).toBe(70);
  expect(server.log()).toContain(lostLine(path, "was removed or moved"));
});
