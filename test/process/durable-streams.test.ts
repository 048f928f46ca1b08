/** Durable streams on real nodes: kills, leaders that end, followers, backups. */
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { StreamClient } from "../tools/durable/stream-client.ts";
import { startNodes, untilReady } from "../tools/process/nodes.ts";
import {
  cleanEnvironment,
  serverCommand,
  startServer,
  temporaryDirectory,
} from "../tools/process/server.ts";

const TIMEOUT_MS = 180_000;
const JSON_TYPE = "application/json";
const directory = temporaryDirectory();
afterAll(() => directory.remove());

const numbered = (seq: number) => ({
  headers: { "producer-id": "p", "producer-epoch": "1", "producer-seq": String(seq) },
  body: `[${seq}]`,
  type: JSON_TYPE,
});
const upTo = (count: number) => Array.from({ length: count }, (_, seq) => seq);

/** Streams of each kind. @returns the offset behind the first record of `log`. */
async function makeStreams(client: StreamClient): Promise<string> {
  const ttl = { "stream-ttl": "1000" };
  expect((await client.put("log", { type: JSON_TYPE, headers: ttl })).status).toBe(201);
  const { next } = await client.post("log", numbered(0));
  expect((await client.post("log", numbered(1))).status).toBe(200);
  const fork = { "stream-forked-from": "/v1/stream/log", "stream-fork-offset": next };
  expect((await client.put("fork", { type: JSON_TYPE, headers: fork })).status).toBe(201);
  await client.post("fork", { type: JSON_TYPE, body: '["own"]' });
  const closed = { "stream-closed": "true" };
  expect((await client.put("closed", { body: "all of it", headers: closed })).status).toBe(201);
  const definition = JSON.stringify({ type: "pull-wake", streams: ["log"], wake_stream: "wakes" });
  await client.put("wakes", { type: JSON_TYPE });
  const made = await client.put("__ds/subscriptions/work", { type: JSON_TYPE, body: definition });
  expect(made.status).toBe(201);
  return next;
}

async function expectStreams(client: StreamClient, next: string): Promise<void> {
  expect((await client.get("log?offset=-1")).text).toBe("[0,1]");
  expect((await client.get(`log?offset=${next}`)).text).toBe("[1]");
  expect((await client.head("log")).headers.get("stream-ttl")).toBe("1000");
  expect((await client.get("fork?offset=-1")).text).toBe('[0,"own"]');
  const closed = await client.get("closed?offset=-1");
  expect([closed.text, closed.headers.get("stream-closed")]).toEqual(["all of it", "true"]);
  expect((await client.get("__ds/subscriptions/work")).status).toBe(200);
  // A repeated request is recognized, and the next one is accepted.
  expect((await client.post("log", numbered(1))).status).toBe(204);
}

test(
  "a node that was killed, and one made of a backup, have the streams with their producers",
  async () => {
    const dataDir = join(directory.path, "one");
    const env = { RF_BEARER_TOKENS: "dev" };
    const first = await startServer({ dataDir, env });
    const next = await makeStreams(new StreamClient(first.url));
    await first.kill();

    const second = await startServer({ dataDir, env });
    await expectStreams(new StreamClient(second.url), next);
    const answer = await fetch(`${second.url}/admin/backup`, {
      headers: { authorization: "Bearer dev" },
    });
    const archive = join(directory.path, "streams.ayder");
    await Bun.write(archive, answer);
    expect(await second.stop()).toBe(0);

    // From a checkpoint, without the journal of the requests.
    const third = await startServer({ dataDir, env });
    await expectStreams(new StreamClient(third.url), next);
    await third.kill();

    const restoredDir = join(directory.path, "restored");
    const restore = Bun.spawn([...serverCommand(), "restore", archive, "--data-dir", restoredDir], {
      env: cleanEnvironment(),
      stdout: "ignore",
      stderr: "pipe",
    });
    expect([await restore.exited, await new Response(restore.stderr).text()]).toEqual([0, ""]);
    const fourth = await startServer({ dataDir: restoredDir, env });
    const client = new StreamClient(fourth.url);
    await expectStreams(client, next);
    expect((await client.post("log", numbered(2))).status).toBe(200);
    expect((await client.delete("log")).status).toBe(204);
    expect((await client.get("fork?offset=-1")).text).toBe('[0,"own"]');
    await fourth.kill();
  },
  TIMEOUT_MS,
);

test(
  "a producer that repeats what it does not know stores each record once while leaders are killed",
  async () => {
    const { urls, children } = startNodes(join(directory.path, "three"), {
      RF_HA_FOLLOWER_WRITES: "forward",
      RF_HA_ELECTION_TIMEOUT_MS: "600",
      RF_HA_HEARTBEAT_MS: "60",
      RF_BEARER_TOKENS: "dev",
    });
    await untilReady(urls);
    const clients = urls.map((url) => new StreamClient(url));
    const last = clients[2];
    if (last === undefined) throw new Error("there are three nodes");
    expect((await last.put("log", { type: JSON_TYPE })).status).toBe(201);

    const count = 60;
    let killed = false;
    for (let seq = 0; seq < count; seq++) {
      if (seq === count / 2) {
        children[0]?.kill("SIGKILL");
        killed = true;
      }
      const alive = killed ? clients.slice(1) : clients;
      await untilStored(alive, seq);
      // Each node answers at once with everything that was acknowledged by another one.
      if (seq % 10 === 9) {
        for (const client of alive) {
          expect(JSON.parse((await untilRead(client)).text)).toEqual(upTo(seq + 1));
        }
      }
    }
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map((child) => child.exited));
  },
  TIMEOUT_MS,
);

/** Sends the request to one node after another until it is answered. */
async function untilStored(clients: readonly StreamClient[], seq: number): Promise<void> {
  for (let attempt = seq; ; attempt++) {
    const answer = await clients[attempt % clients.length]
      ?.post("log", numbered(seq))
      .catch(() => null);
    if (answer?.status === 200 || answer?.status === 204) return;
    await Bun.sleep(20);
  }
}

/** Reads everything; while a leader is elected, no node can say where the stream ends. */
async function untilRead(client: StreamClient) {
  for (;;) {
    const answer = await client.get("log?offset=-1").catch(() => null);
    if (answer?.status === 200) {
      expect(answer.headers.get("stream-up-to-date")).toBe("true");
      return answer;
    }
    await Bun.sleep(20);
  }
}
