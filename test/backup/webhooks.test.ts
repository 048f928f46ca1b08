// Goal: a webhook that is restored goes on where it was: no record is sent again, waits, filter, pause
// and both secrets are there, and a receiver verifies its requests.
// Method: a server with two webhooks; `ayder backup`, `ayder restore` elsewhere.
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import { createClient } from "../../src/client/index.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";
import { BOTH, type Received, Receiver, verified } from "../tools/webhook/receiver.ts";

const directory = temporaryDirectory();
const receiver = new Receiver(({ text }) => new Response("", { status: text === "2" ? 500 : 200 }));
afterAll(async () => {
  await receiver.stop();
  directory.remove();
});

const env = { RF_WEBHOOK_ALLOW: "127.0.0.1" };
const placeOf = ({ headers }: Received): string =>
  `${headers["ayder-topic"]} ${headers["ayder-offset"]}:${headers["ayder-attempt"]}`;

test("a webhook goes on where it was, with its secrets", async () => {
  const server = await startServer({ dataDir: join(directory.path, "origin"), env });
  const origin = createClient({ url: server.url, token: "dev" });
  const secrets: string[] = [];
  for (const topic of ["goes", "rests"]) {
    await origin.topics.create(topic, { partitions: 1 });
    const { secret } = await origin.webhooks.put(topic, {
      ...{ topic, url: receiver.url, order: "partition", backoffMs: [600_000] },
      filter: [{ field: "$offset", op: "ne", value: 1 }],
    });
    secrets.push(secret ?? "");
  }
  const rotated = await origin.webhooks.rotate("goes");
  await origin.webhooks.pause("rests");
  await origin.produceBatch("goes", [0, 1, 2, 3], { partition: 0 });
  await origin.produceBatch("rests", [0], { partition: 0 });
  // The first record is delivered, the second left out, the third waits for its retry.
  while ((await origin.webhooks.get("goes")).delayed !== 1) await Bun.sleep(5);
  const before = await origin.webhooks.get("goes");
  expect(before).toMatchObject({ delivered: 1, filtered: 1, ready: 1, dead: 0 });
  const place = join(directory.path, "webhooks.ayder");
  expect(await ayder(["backup", "--url", server.url, place])).toMatchObject({ code: 0, err: "" });
  await server.kill();

  const seen = receiver.requests.length;
  receiver.answer = () => new Response("ok");
  const dataDir = join(directory.path, "restored");
  expect(await ayder(["restore", place, "--data-dir", dataDir])).toMatchObject({ code: 0 });
  const second = await startServer({ dataDir, env });
  try {
    const client = createClient({ url: second.url, token: "dev" });
    const restored = await client.webhooks.get("goes");
    expect({ ...restored, oldestAgeMs: 0 }).toEqual({ ...before, oldestAgeMs: 0 });
    expect(restored.previousSecretUntilMs).toBe(rotated.previousSecretUntilMs);
    // The retry and the record behind it are not waited for.
    expect(await client.webhooks.purge("goes")).toBe(2);
    await client.produceBatch("goes", [4], { partition: 0 });
    while ((await client.webhooks.get("goes")).delivered < 2) await Bun.sleep(10);
    const requests = receiver.requests.slice(seen);
    expect(requests.map(placeOf)).toEqual(["goes 4:1"]);
    for (const secret of [secrets[0] ?? "", rotated.secret]) {
      expect(verified(requests[0] as Received, secret)).toEqual(BOTH);
    }
    expect(await client.webhooks.get("rests")).toMatchObject({
      ...{ paused: true, pausedReason: "requested", ready: 1, delivered: 0 },
    });
    await client.webhooks.resume("rests");
    while ((await client.webhooks.get("rests")).delivered < 1) await Bun.sleep(10);
    const last = receiver.requests.at(-1) as Received;
    expect(placeOf(last)).toBe("rests 0:1");
    expect(verified(last, secrets[1] ?? "")).toEqual(BOTH);
  } finally {
    await second.kill();
  }
}, 120_000);

test("a rehearsal with RF_WEBHOOK_CONCURRENCY=0 delivers nothing", async () => {
  const seen = receiver.requests.length;
  const dataDir = join(directory.path, "rehearsal");
  const place = join(directory.path, "webhooks.ayder");
  expect(await ayder(["restore", place, "--data-dir", dataDir])).toMatchObject({ code: 0 });
  const server = await startServer({ dataDir, env: { ...env, RF_WEBHOOK_CONCURRENCY: "0" } });
  try {
    const client = createClient({ url: server.url, token: "dev" });
    await client.webhooks.resume("rests");
    await client.produceBatch("goes", [9], { partition: 0 });
    expect(await client.webhooks.get("rests")).toMatchObject({ ready: 1, inFlight: 0 });
    expect(receiver.requests.length).toBe(seen);
  } finally {
    await server.kill();
  }
}, 120_000);
