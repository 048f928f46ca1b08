// Goal: a backup holds durable streams with their producers, forks, closes, lives and subscriptions, and
// a restored node goes on where the backup was taken. Method: real processes, one backup, one restore.
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { errorOf, StreamClient } from "../tools/durable/stream-client.ts";
import { ayder } from "../tools/process/ayder.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(120_000);
const directory = temporaryDirectory();
afterAll(directory.remove);

const JSON_TYPE = "application/json";
const numbered = (id: string, epoch: number, seq: number) => ({
  "producer-id": id,
  "producer-epoch": String(epoch),
  "producer-seq": String(seq),
});
const from = (path: string) => ({ "stream-forked-from": `/v1/stream/${path}` });
const parsed = (text: string) => JSON.parse(text) as Record<string, unknown>;

/** Answers about all streams and the subscription, for the comparison of before and after. */
async function factsOf(client: StreamClient): Promise<unknown> {
  const paths = ["chat", "chat/fork", "chat/fork/2", "closed", "gone", "lives"];
  const reads = await Promise.all(
    paths.map(async (path) => {
      const { status, text, next, headers } = await client.get(path);
      const closed = headers.get("stream-closed");
      return {
        path,
        status,
        text: status === 200 ? text : errorOf({ text } as never),
        next,
        closed,
      };
    }),
  );
  const details = await Promise.all(
    paths.map(async (path) => {
      const {
        last_use_ms: _,
        expires_at_ms: __,
        ...rest
      } = parsed((await client.get(`__ds/streams/${path}`)).text);
      return rest;
    }),
  );
  const subscription = parsed((await client.get("__ds/subscriptions/workers")).text);
  const keys = parsed((await client.get("__ds/jwks.json")).text);
  return { reads, details, subscription, keys };
}

test("streams, producers, forks and subscriptions are in a backup", async () => {
  const old = await startServer({ dataDir: join(directory.path, "old") });
  const client = new StreamClient(old.url);
  await client.put("chat", { type: JSON_TYPE, body: "[1,2]" });
  await client.put("wake", { type: JSON_TYPE });
  const definition = { type: "pull-wake", pattern: "chat", wake_stream: "wake" };
  const body = JSON.stringify(definition);
  const defined = await client.put("__ds/subscriptions/workers", { type: JSON_TYPE, body });
  expect(defined.status).toBe(201);
  const three = { type: JSON_TYPE, body: "3", headers: numbered("p", 4, 0) };
  const token = (await client.post("chat", three)).next;
  await client.put("chat/fork", { headers: from("chat"), type: JSON_TYPE, body: "[10]" });
  await client.put("chat/fork/2", { headers: from("chat/fork"), type: JSON_TYPE });
  await client.delete("chat/fork");
  await client.put("closed", { body: "x", headers: { "stream-closed": "true" } });
  await client.put("gone", { body: "x" });
  await client.delete("gone");
  await client.put("lives", {
    body: "x",
    headers: { "stream-ttl": "86400", "content-type": "text/plain" },
  });
  await client.post("lives", { body: "y", headers: { "stream-seq": "b" } });
  const worker = JSON.stringify({ worker: "w" });
  const claim = await client.post("__ds/subscriptions/workers/claim", {
    type: JSON_TYPE,
    body: worker,
  });
  const claimed = parsed(claim.text);
  expect(claim.status).toBe(200);
  const before = await factsOf(client);

  const place = join(directory.path, "streams.ayder");
  expect(await ayder(["backup", "--url", old.url, place])).toMatchObject({ code: 0, err: "" });
  await client.post("chat", { type: JSON_TYPE, body: "4", headers: numbered("p", 4, 1) });
  await old.kill();

  const dataDir = join(directory.path, "restored");
  expect(await ayder(["restore", place, "--data-dir", dataDir])).toMatchObject({
    code: 0,
    err: "",
  });
  expect((await ayder(["verify", dataDir])).code).toBe(0);
  let restored = await startServer({ dataDir });
  let again = new StreamClient(restored.url);
  expect(await factsOf(again)).toEqual(before as object);

  // The number that was accepted is a duplicate, and the next one is stored once.
  expect((await again.post("chat", three)).status).toBe(204);
  const four = { type: JSON_TYPE, body: "4", headers: numbered("p", 4, 1) };
  expect((await again.post("chat", four)).status).toBe(200);
  expect((await again.post("chat", four)).status).toBe(204);
  expect((await again.get(`chat?offset=${token}`)).text).toBe("[4]");
  expect((await again.post("lives", { body: "z", headers: { "stream-seq": "a" } })).status).toBe(
    409,
  );
  expect((await again.get("chat/fork/2")).text).toBe("[1,2,3,10]");
  expect((await again.get("chat/fork")).status).toBe(410);

  // The lease from before the backup holds, and ends once.
  const { wake_id, generation, token: bearer } = claimed;
  const acks = [{ stream: "chat", offset: token }];
  const settle = JSON.stringify({ wake_id, generation, acks, done: true });
  const ack = () =>
    new StreamClient(restored.url, String(bearer)).post("__ds/subscriptions/workers/ack", {
      type: JSON_TYPE,
      body: settle,
    });
  expect((await ack()).status).toBe(200);
  expect((await ack()).status).toBe(409);

  // After the last fork is deleted, the path is free, also after one more start.
  await again.delete("chat/fork/2");
  await restored.kill();
  restored = await startServer({ dataDir });
  again = new StreamClient(restored.url);
  expect((await again.put("chat/fork", { body: "new" })).status).toBe(201);
  expect((await again.get("chat")).text).toBe("[1,2,3,4]");
  await restored.kill();
});
