/**
 * `bun run example:workers`: a producer and three workers that share a topic, in one terminal. One
 * worker is killed. The others get its partitions when its lease is over, and nothing is lost.
 */
import type { Subprocess } from "bun";
import { createClient } from "../../../src/client/index.ts";
import { CommandLine } from "../arguments.ts";
import { cleanEnvironment, startServer, temporaryDirectory } from "../process/server.ts";

const TOPIC = "orders";
const GROUP = "billing";
const PARTITIONS = 6;
const ORDERS = 120;
const LEASE_MS = 2_000;
const COLORS = [36, 33, 35];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A worker: the whole of what a process needs to take part. It prints a line for each order. */
async function work(url: string, member: string): Promise<void> {
  const client = createClient({ url, token: "dev" });
  const stop = new AbortController();
  process.once("SIGTERM", () => stop.abort());
  const orders = client.group(GROUP, {
    topics: [TOPIC],
    member,
    leaseMs: LEASE_MS,
    limit: 5,
    signal: stop.signal,
    onAssigned: (got) => console.log(`got ${got.map(({ partition }) => partition).join(", ")}`),
    onRevoked: (lost) => console.log(`lost ${lost.map(({ partition }) => partition).join(", ")}`),
  });
  for await (const order of orders) {
    await pause(40);
    console.log(`worked ${order.text}`);
  }
}

/** Starts a worker as a process and passes its lines on. */
function start(url: string, member: string, color: number, line: (text: string) => void) {
  const child = Bun.spawn([process.execPath, import.meta.path], {
    env: cleanEnvironment({ WORKER_URL: url, WORKER_NAME: member }),
    stdout: "pipe",
    stderr: "inherit",
    stdin: "ignore",
  });
  void (async () => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const text of lines) {
        console.log(`\u001b[${color}m${member}\u001b[0m ${text}`);
        line(text);
      }
    }
  })();
  return child;
}

async function main(): Promise<void> {
  const directory = temporaryDirectory();
  const server = await startServer({ dataDir: directory.path });
  const workers: Subprocess[] = [];
  const end = async () => {
    for (const worker of workers) worker.kill("SIGTERM");
    await Promise.all(workers.map(({ exited }) => exited));
    await server.stop();
    directory.remove();
  };
  process.once("SIGINT", () => void end().then(() => process.exit(0)));
  const client = createClient({ url: server.url, token: "dev" });
  await client.topics.create(TOPIC, { partitions: PARTITIONS });
  const worked = new Map<string, number>();
  const note = (text: string) => {
    const order = /^worked (.+)$/.exec(text)?.[1];
    if (order !== undefined) worked.set(order, (worked.get(order) ?? 0) + 1);
  };
  for (const [i, color] of COLORS.entries()) {
    workers.push(start(server.url, `worker-${i + 1}`, color, note));
  }
  const producer = client.producer(TOPIC);
  const sent = (async () => {
    for (let i = 1; i <= ORDERS; i++) {
      await producer.send(`order-${i}`);
      await pause(10);
    }
  })();
  while (worked.size < ORDERS / 4) await pause(20);
  workers[1]?.kill("SIGKILL");
  console.log(`worker-2 is killed; its lease ends in at most ${LEASE_MS} ms`);
  await sent;
  while (worked.size < ORDERS) await pause(20);
  await end();
  const twice = [...worked.values()].filter((count) => count > 1).length;
  console.log(`${ORDERS} orders: ${worked.size} worked, ${twice} of them twice, none lost`);
}

new CommandLine("usage: bun run example:workers").read({});
const { WORKER_URL: url, WORKER_NAME: member } = process.env;
if (url === undefined || member === undefined) await main();
else await work(url, member);
