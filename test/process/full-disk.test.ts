// Goal: a node starts on a full disk, so that its data can be read and deleted, or says what to do; and
// nothing is lost. Method: each data directory is a small file system of its own, filled to its last
// byte while the node is down.
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { SmallDisks } from "../tools/cluster/small-disks.ts";
import {
  cleanEnvironment,
  type Server,
  ServerEnded,
  serverCommand,
  startServer,
  temporaryDirectory,
} from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const WHY_NOT = SmallDisks.whyNot();
if (WHY_NOT !== null) console.log(`skipped: ${WHY_NOT}`);

const directory = temporaryDirectory();
const disks = new SmallDisks();
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill();
});
afterAll(() => {
  disks.close();
  directory.remove();
});

const JSON_HEADERS = { authorization: "Bearer dev", "content-type": "application/json" };
const RECORD = "x".repeat(500_000);
const PRODUCE = "/broker/topics/t/produce?partition=0";

async function start(dataDir: string, env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const server = await startServer({ dataDir, env });
  servers.push(server);
  return server;
}

async function ask(server: Server, method: string, target: string, body?: string) {
  const init = { method, headers: JSON_HEADERS, ...(body === undefined ? {} : { body }) };
  const answer = await fetch(server.url + target, init);
  const json = (await answer.json()) as Record<string, unknown>;
  return { status: answer.status, body: json };
}

const post = (server: Server, target: string, fields: object) =>
  ask(server, "POST", target, JSON.stringify(fields));

/** A directory of its own with a topic of `records` records. */
async function filledServer(
  name: string,
  records: number,
  env: Record<string, string> = {},
  record = RECORD,
) {
  const path = join(directory.path, name);
  disks.mount(path);
  const server = await start(path, env);
  expect((await post(server, "/broker/topics", { name: "t", partitions: 1 })).status).toBe(200);
  for (let i = 0; i < records; i++) {
    expect((await ask(server, "POST", PRODUCE, `${i} ${record}`)).status).toBe(200);
  }
  return { path, server };
}

async function endOf(server: Server): Promise<unknown> {
  const { status, body } = await ask(server, "GET", "/broker/consume/t/g/0?offset=0&limit=1");
  expect(status).toBe(200);
  return body["end_offset"];
}

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await Bun.sleep(100)) {
    if (await look()) return;
  }
  throw new Error(`not in time: ${what}`);
}

for (const ending of ["stop", "kill"] as const) {
  test.skipIf(WHY_NOT !== null)(`a node starts on a full disk after a ${ending}`, async () => {
    const { path, server: first } = await filledServer(ending, 10);
    await first[ending]();
    disks.fill(path, 0);
    const server = await start(path);
    expect(await ask(server, "GET", "/ready")).toEqual({ status: 200, body: { ready: true } });
    expect(await endOf(server)).toBe(10);
    const refused = { status: 507, body: { ok: false, error: "disk_full" } };
    expect(await ask(server, "POST", PRODUCE, "more")).toMatchObject(refused);
    expect(await ask(server, "POST", "/kv/n/k", "value")).toMatchObject(refused);
    const cut = await post(server, "/broker/delete-before", {
      topic: "t",
      partition: 0,
      before_offset: 2,
    });
    expect(cut).toMatchObject({ status: 200, body: { deleted_count: 2 } });
    expect(await server.stop()).toBe(0);
    const again = await start(path);
    expect(await endOf(again)).toBe(10);
    disks.free(path);
    await until("writes", async () => (await ask(again, "POST", PRODUCE, "more")).status === 200);
    expect(await endOf(again)).toBe(11);
  });
}

test.skipIf(WHY_NOT !== null)(
  "what is deleted after a start on a full disk makes room by itself",
  async () => {
    const { path, server: first } = await filledServer("deleted", 40, {
      RF_SEGMENT_BYTES: String(2 ** 20),
      RF_CHECKPOINT_BYTES: String(2 ** 20),
    });
    expect(await first.stop()).toBe(0);
    disks.fill(path, 0);
    const server = await start(path);
    expect((await ask(server, "POST", PRODUCE, "more")).status).toBe(507);
    expect((await ask(server, "DELETE", "/broker/topics/t")).status).toBe(200);
    expect((await post(server, "/broker/topics", { name: "u", partitions: 1 })).status).toBe(200);
    const produce = "/broker/topics/u/produce?partition=0";
    await until("room", async () => (await ask(server, "POST", produce, "more")).status === 200);
    expect(await server.stop()).toBe(0);
  },
);

test.skipIf(WHY_NOT !== null)(
  "without data, a start on a full disk is refused and says what to do",
  async () => {
    const path = join(directory.path, "fresh");
    disks.mount(path);
    disks.fill(path, 0);
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await start(path).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(ServerEnded);
      if (!(error instanceof ServerEnded)) return;
      expect(error.code).toBe(78);
      expect(error.log).toMatch(
        `ayder: the disk of the data directory "${path}" is full, and this start needs space: free at least 1 MiB and start again; nothing was lost (`,
      );
    }
    disks.free(path);
    const server = await start(path);
    expect((await post(server, "/broker/topics", { name: "t", partitions: 1 })).status).toBe(200);
    expect((await ask(server, "POST", PRODUCE, "first")).status).toBe(200);
  },
);

test.skipIf(WHY_NOT !== null)(
  "a node whose journal has no room left starts, refuses every write and goes on by itself",
  async () => {
    const env = {
      RF_JOURNAL_SEGMENT_BYTES: "65536",
      RF_CHECKPOINT_BYTES: String(2 ** 30),
      RF_COMMIT_TIMEOUT_MS: "1000",
    };
    const { path, server: first } = await filledServer("stuck", 4, env, "small");
    disks.fill(path, 0);
    const deleteOne = (server: Server) =>
      post(server, "/broker/delete-before", { topic: "t", partition: 0, before_offset: 1 });
    const statuses = new Set<number>();
    while (!statuses.has(507)) {
      const answers = await Promise.all(Array.from({ length: 32 }, () => deleteOne(first)));
      for (const { status } of answers) statuses.add(status);
    }
    // Those that were accepted before the journal was full wait in vain.
    expect([200, 504, 507]).toEqual(expect.arrayContaining([...statuses]));
    expect(await first.stop()).toBe(0);
    // Other programs take the space that the stop has released.
    disks.fill(path, 0);
    let server = await start(path, env);
    // The entry of a new term is smaller than any other: it may still fit into the last segment.
    for (let i = 0; i < 10 && (await ask(server, "GET", "/ready")).status === 200; i++) {
      while ((await deleteOne(server)).status !== 507);
      expect(await server.stop()).toBe(0);
      disks.fill(path, 0);
      server = await start(path, env);
    }
    const notReady = { status: 503, body: { ready: false, reason: "the disk is full" } };
    expect(await ask(server, "GET", "/ready")).toEqual(notReady);
    const refused = { status: 507, body: { error: "disk_full" } };
    expect(await deleteOne(server)).toMatchObject(refused);
    expect(await ask(server, "DELETE", "/broker/topics/t")).toMatchObject(refused);
    expect(server.log()).toContain("the journal has no space, every write is refused");
    disks.free(path);
    await until("readiness", async () => (await ask(server, "GET", "/ready")).status === 200);
    expect(await endOf(server)).toBe(4);
    await until("writes", async () => (await ask(server, "POST", PRODUCE, "more")).status === 200);
    expect(server.log()).toContain("the journal has space again");
  },
);

test.skipIf(WHY_NOT !== null)(
  "a log on the full disk does not keep a node from starting",
  async () => {
    const { path, server: first } = await filledServer("log", 2);
    expect(await first.stop()).toBe(0);
    const logPath = join(path, "node.log");
    const log = openSync(logPath, "w");
    disks.fill(path, 0);
    const child = Bun.spawn([...serverCommand(), "--port", "0", "--data-dir", path], {
      env: cleanEnvironment(),
      stdin: "ignore",
      stdout: "pipe",
      stderr: log,
    });
    closeSync(log);
    try {
      const { value } = await child.stdout.getReader().read();
      expect(new TextDecoder().decode(value)).toContain("listening on http://");
      expect(statSync(logPath).size).toBe(readFileSync(logPath).length);
    } finally {
      child.kill("SIGTERM");
    }
    expect(await child.exited).toBe(0);
  },
);
