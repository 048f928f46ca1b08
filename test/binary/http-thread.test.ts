/**
 * HTTP is served by one thread or by several, consensus has another to itself. From the source, or
 * the binary of `AYDER_BINARY`.
 */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import {
  cleanEnvironment,
  type Server,
  serverCommand,
  startServer,
  temporaryDirectory,
} from "../tools/process/server.ts";

setDefaultTimeout(60_000); // For busy machines.
/** The setting, and how many threads then serve HTTP. */
const LAYOUTS: readonly (readonly [Readonly<Record<string, string>>, number])[] = [
  [{ RF_WORKERS: "0", RF_HA_DEDICATED_WORKER: "1" }, 1],
  [{ RF_WORKERS: "3" }, 3],
];
const headers = { authorization: "Bearer dev" };
const directory = temporaryDirectory();
const servers: Server[] = [];
let directories = 0;
const freshDirectory = () => join(directory.path, `data-${directories++}`);

afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill();
});
afterAll(directory.remove);

async function start(
  env: Readonly<Record<string, string>>,
  dataDir = freshDirectory(),
): Promise<Server> {
  const server = await startServer({ dataDir, env });
  servers.push(server);
  return server;
}

const produce = (url: string, body: string) =>
  fetch(`${url}/broker/topics/t/produce?partition=0`, { method: "POST", headers, body });

describe.each(LAYOUTS)("%o", (layout, threads) => {
  test("what is written is read, and the metrics of both threads add up", async () => {
    const server = await start(layout);
    for (let i = 0; i < 7; i++) expect((await produce(server.url, `m${i}`)).status).toBe(200);
    const page = await fetch(`${server.url}/broker/consume/t/g/0?offset=2`, { headers });
    const { messages } = (await page.json()) as { messages: { value: string }[] };
    expect(messages.map(({ value }) => value)).toEqual(["m2", "m3", "m4", "m5", "m6"]);

    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const numberOf = (series: string) =>
      Number(
        metrics
          .split("\n")
          .find((line) => line.startsWith(`${series} `))
          ?.split(" ")
          .at(-1),
      );
    expect(numberOf("ayder_http_threads")).toBe(threads);
    // Counted where HTTP is served.
    expect(numberOf("ayder_produced_records_total")).toBe(7);
    expect(numberOf("ayder_consumed_records_total")).toBe(5);
    const route = 'route="POST /broker/topics/:topic/produce"';
    expect(numberOf(`ayder_http_requests_total{${route},status="2xx"}`)).toBe(7);
    // Counted where the journal is written, and on both.
    expect(numberOf("ayder_journal_fsync_seconds_count")).toBeGreaterThan(0);
    expect(numberOf("ayder_disk_size_bytes")).toBeGreaterThan(0);
    expect(numberOf("ayder_process_heap_used_bytes")).toBeGreaterThan(0);
    expect(numberOf('ayder_topic_end_offset{topic="t",partition="0"}')).toBe(7);
    const ha = await (await fetch(`${server.url}/metrics_ha`)).text();
    expect(ha).toContain("\nayder_ha_elections_total 1\n");
  });

  test("SIGTERM loses no answered request and ends with 0", async () => {
    const dataDir = freshDirectory();
    const server = await start(layout, dataDir);
    await produce(server.url, "first");
    // Waits end when the server begins to stop, with an answer.
    const waiting = fetch(`${server.url}/broker/consume/t/g/1?wait_ms=30000`, { headers });
    const answered: number[] = [];
    let stopping = false;
    const writers = Array.from({ length: 16 }, async () => {
      for (;;) {
        // Refused while it stops, or not heard at all once it is gone.
        const answer = await produce(server.url, "x").catch(() => null);
        if (answer?.status !== 200) return;
        answered.push(((await answer.json()) as { offset: number }).offset);
        if (answered.length > 200 && !stopping) {
          stopping = true;
          server.process.kill("SIGTERM");
        }
      }
    });
    await Promise.all(writers);
    expect((await waiting).status).toBe(200);
    expect(await server.process.exited).toBe(0);
    expect(server.log()).not.toContain("level=error");

    const again = await start(layout, dataDir);
    const last = Math.max(...answered);
    const page = await fetch(`${again.url}/broker/consume/t/g/0?offset=${last}`, { headers });
    const { messages } = (await page.json()) as { messages: { offset: number }[] };
    expect(messages[0]?.offset).toBe(last);
  });

  test("an address that is taken stops the start with its reason, as from one thread", async () => {
    const first = await start(layout);
    const port = new URL(first.url).port;
    const child = Bun.spawn([...serverCommand(), "--port", port], {
      env: cleanEnvironment({ ...layout, RF_DATA_DIR: freshDirectory() }),
      stdout: "ignore",
      stderr: "pipe",
    });
    const text = await child.stderr.text();
    expect(await child.exited).toBe(78);
    expect(text).toMatch(/^ayder: .*port.*in use/im);
  });
});

/** Each request on a connection of its own, so that the kernel spreads them over the threads. */
const closing = { connection: "close" };

test("the rate of a token counts over all threads", async () => {
  const env = { RF_WORKERS: "3", RF_BEARER_TOKENS: "slow@1:20:1000" };
  const server = await start(env);
  const statuses = await Promise.all(
    Array.from({ length: 60 }, async () => {
      const bearer = { authorization: "Bearer slow", ...closing };
      return (await fetch(`${server.url}/broker/topics`, { headers: bearer })).status;
    }),
  );
  const passed = statuses.filter((status) => status === 200).length;
  // A burst of 20, and one more for each second that the machine took.
  expect(passed).toBeGreaterThanOrEqual(20);
  expect(passed).toBeLessThan(40);
  expect(statuses.filter((status) => status === 429)).toHaveLength(60 - passed);
});

test("the queue of writes is bounded over all threads", async () => {
  const server = await start({ RF_WORKERS: "3", RF_QUEUE_REQUESTS: "4" });
  await produce(server.url, "creates the topic");
  const write = async () => {
    const answer = await fetch(`${server.url}/broker/topics/t/produce?partition=0`, {
      method: "POST",
      headers: { ...headers, ...closing },
      body: "x",
    });
    return answer.status;
  };
  const statuses = await Promise.all(Array.from({ length: 200 }, write));
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
  const page = await fetch(`${server.url}/broker/topics/t`, { headers });
  const { partitions } = (await page.json()) as { partitions: { end_offset: number }[] };
  // No refused write is stored, and no answered one is missing.
  expect(partitions[0]?.end_offset).toBe(1 + statuses.filter((status) => status === 200).length);
});

test("waits on all threads end with a record", async () => {
  const server = await start({ RF_WORKERS: "3" });
  await produce(server.url, "creates the topic");
  const waits = Array.from({ length: 30 }, async () => {
    const url = `${server.url}/broker/consume/t/g/0?offset=1&wait_ms=60000`;
    const answer = await fetch(url, { headers: { ...headers, ...closing } });
    return ((await answer.json()) as { next_offset: number }).next_offset;
  });
  await produce(server.url, "second");
  expect(await Promise.all(waits)).toEqual(Array(30).fill(2));
});
