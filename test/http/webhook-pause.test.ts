/** Goal: a pause and a purge of a webhook count from their answer on, and lose no later record. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Receiver } from "../tools/webhook/receiver.ts";

setDefaultTimeout(60_000);

const directory = temporaryDirectory();
let server: Server;

beforeAll(async () => {
  const env = { RF_WEBHOOK_ALLOW: "127.0.0.1" };
  server = await startServer({ dataDir: directory.path, env });
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

const client = () => createClient({ url: server.url, token: "dev" });

async function hooked(
  name: string,
  receiver: Receiver,
  definition: Partial<Parameters<ReturnType<typeof client>["webhooks"]["put"]>[1]> = {},
) {
  await client().topics.create(name, { partitions: 1 });
  const { webhooks } = client();
  await webhooks.put(name, { topic: name, url: receiver.url, ...definition });
  const until = async (
    isSo: (state: Awaited<ReturnType<typeof webhooks.get>>) => boolean,
  ): Promise<Awaited<ReturnType<typeof webhooks.get>>> => {
    for (;;) {
      const state = await webhooks.get(name);
      if (isSo(state)) return state;
      await Bun.sleep(10);
    }
  };
  const produce = (value: object) => client().produce(name, value, { partition: 0 });
  return { webhooks, until, produce };
}

test("a purge skips the backlog, also records that wait, and later ones are delivered", async () => {
  const receiver = new Receiver(() => new Response("no", { status: 500 }));
  const { webhooks, until, produce } = await hooked("purged", receiver, {
    backoffMs: [600_000],
    order: "partition",
    filter: [{ field: "n", op: "gt", value: 0 }],
  });
  for (const n of [0, 1, 2]) await produce({ n });
  await until(({ delayed, filtered }) => delayed === 1 && filtered === 1);
  expect(await webhooks.purge("purged")).toBe(2);
  expect(await webhooks.get("purged")).toMatchObject({
    ...{ ready: 0, delayed: 0, inFlight: 0, dead: 0, delivered: 0, filtered: 1, purged: 2 },
  });
  receiver.answer = () => new Response("ok");
  await produce({ n: 3 });
  await until(({ delivered }) => delivered === 1);
  const attempts = receiver.requests.map(
    ({ headers }) => `${headers["ayder-offset"]}:${headers["ayder-attempt"]}`,
  );
  expect(attempts).toEqual(["1:1", "3:1"]);
  await receiver.stop();
});

test("no delivery begins after the answer to a pause", async () => {
  const receiver = new Receiver();
  const { webhooks, until, produce } = await hooked("paused", receiver, { maxInFlight: 4 });
  for (let round = 0; round < 20; round++) {
    const writes = Promise.all(Array.from({ length: 8 }, (_, i) => produce({ round, i })));
    await Bun.sleep(round % 4);
    expect(await webhooks.pause("paused")).toBe(true);
    await writes;
    // Requests under way arrive, and the receiver answers at once.
    await until(({ inFlight }) => inFlight === 0);
    const { length } = receiver.requests;
    await Bun.sleep(5);
    expect(receiver.requests.length).toBe(length);
    await webhooks.resume("paused");
  }
  await until(({ delivered }) => delivered === 160);
  expect(receiver.requests.length).toBe(160);
  await receiver.stop();
});

test("a definition that changes during a delivery: the node goes on, and so does the webhook", async () => {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const receiver = new Receiver(async (_request, at) => {
    if (at === 0) await released;
    return new Response("ok");
  });
  const definition = { maxInFlight: 1 };
  const { webhooks, until, produce } = await hooked("changed", receiver, definition);
  await produce({ n: 1 });
  await receiver.request(0);
  await webhooks.put("changed", {
    topic: "changed",
    url: receiver.url,
    ...definition,
    timeoutMs: 9_000,
  });
  await produce({ n: 2 });
  release();
  await until(({ delivered }) => delivered === 2);
  expect(receiver.mostAtWork).toBe(1);
  await receiver.stop();
});
