// Goal: users of the client do not notice leader changes. Method: three real processes; writers, a
// follower of the log and a counter in KV run while leaders are killed and leadership is transferred.
// Afterwards every acknowledged write is at the reported place, exactly once.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Client, createClient } from "../../src/client/index.ts";
import { Cluster, TOKEN } from "../tools/cluster/cluster.ts";
import type { NodeProcess } from "../tools/cluster/node-process.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const TIMEOUT_MS = 300_000;
const directory = temporaryDirectory();
const cluster = new Cluster({ size: 3, directory: directory.path, network: "direct" });

const urlOf = ({ http }: NodeProcess): string => `http://${http.host}:${http.port}`;
const urls = cluster.nodes.map(urlOf);
const connect = (options = {}): Client =>
  createClient({ urls, token: TOKEN, retryMs: 60_000, attemptMs: 5_000, ...options });

beforeAll(async () => {
  cluster.startInitialMembers();
  await connect().topics.create("log", { partitions: 1 });
}, TIMEOUT_MS);
afterAll(async () => {
  await cluster.stop();
  directory.remove();
});

async function leader(): Promise<NodeProcess> {
  for (;;) {
    const status = await cluster.leader();
    if (status !== null) return status.node;
    await Bun.sleep(20);
  }
}

test(
  "a redirect to the leader is followed and remembered",
  async () => {
    const led = urlOf(await leader());
    const follower = urls.find((url) => url !== led) ?? "";
    const asked: string[] = [];
    const client = createClient({
      url: follower,
      token: TOKEN,
      fetch: (url, init) => {
        asked.push(new URL(url).origin);
        return fetch(url, init as RequestInit);
      },
    });
    await client.produce("log", "a");
    await client.produce("log", "b");
    expect(asked).toEqual([follower, led, led]);
    expect(client.url).toBe(led);
  },
  TIMEOUT_MS,
);

test(
  "if redirects are hidden, as in browsers, the leader is read from the membership",
  async () => {
    const led = urlOf(await leader());
    const client = createClient({
      url: urls.find((url) => url !== led) ?? "",
      token: TOKEN,
      fetch: async (url, init) => {
        const response = await fetch(url, init as RequestInit);
        if (response.status !== 307) return response;
        const hidden = Response.error();
        return {
          status: 0,
          headers: hidden.headers,
          arrayBuffer: () => hidden.arrayBuffer(),
        } as Response;
      },
    });
    await client.produce("log", "c");
    expect(client.url).toBe(led);
  },
  TIMEOUT_MS,
);

test(
  "writers and readers survive leader changes, and nothing is lost or stored twice",
  async () => {
    await connect().topics.create("busy", { partitions: 1 });
    const stop = new AbortController();
    const acknowledged = new Map<string, number>();
    const followed: string[] = [];
    let increments = 0;
    let unknown = 0;

    const write = async (name: string) => {
      const client = connect();
      for (let i = 0; !stop.signal.aborted; i++) {
        const { offset } = await client.produce("busy", `${name} ${i}`, { partition: 0 });
        acknowledged.set(`${name} ${i}`, offset);
      }
    };
    const batches = async () => {
      const producer = connect().producer("busy", { partition: 0 });
      for (let i = 0; !stop.signal.aborted; i++) {
        const values = Array.from({ length: 10 }, (_, j) => `batch ${i}.${j}`);
        const sent = await Promise.all(values.map((value) => producer.send(value)));
        for (const [j, { offset }] of sent.entries()) acknowledged.set(values[j] ?? "", offset);
      }
    };
    const follow = async () => {
      const consumer = connect().consume("busy", {
        follow: true,
        partition: 0,
        signal: stop.signal,
      });
      for await (const message of consumer) {
        expect(message.offset).toBe(followed.length);
        followed.push(message.text);
      }
    };
    const count = async () => {
      const kv = connect().kv("counters");
      while (!stop.signal.aborted) {
        // An increment whose outcome is unknown counts once or not at all.
        await kv
          .update("n", (entry) => String(Number(entry?.text ?? "0") + 1))
          .then(
            () => increments++,
            () => unknown++,
          );
      }
    };
    const running = Promise.all([write("a"), write("b"), batches(), follow(), count()]);

    const reached = async () => {
      const begin = acknowledged.size;
      while (acknowledged.size < begin + 60) await Promise.race([running, Bun.sleep(10)]);
    };
    await reached();
    for (let round = 0; round < 3; round++) {
      const led = await leader();
      await led.kill();
      await reached();
      cluster.start(led);
      await reached();
    }
    await connect().cluster.transfer();
    await reached();
    const checked = connect();
    const last = await checked.produce("busy", "last", { partition: 0 });
    while (!followed.includes("last")) await Bun.sleep(10);
    stop.abort();
    await running;

    const stored: string[] = [];
    for await (const { text } of checked.consume("busy", { partition: 0, linearizable: true })) {
      stored.push(text);
    }
    expect(stored[last.offset]).toBe("last");
    expect(new Set(stored).size).toBe(stored.length);
    expect(followed).toEqual(stored.slice(0, followed.length));
    for (const [text, offset] of acknowledged) expect(stored[offset]).toBe(text);
    // A producer keeps the order of the calls across leaders.
    const batched = stored.filter((text) => text.startsWith("batch"));
    expect(batched.length).toBeGreaterThan(60);
    expect(batched).toEqual(batched.map((_, i) => `batch ${Math.floor(i / 10)}.${i % 10}`));
    const counted = await checked.kv("counters").get("n", { linearizable: true });
    expect(Number(counted?.text)).toBeGreaterThanOrEqual(increments);
    expect(Number(counted?.text)).toBeLessThanOrEqual(increments + unknown);
  },
  TIMEOUT_MS,
);
