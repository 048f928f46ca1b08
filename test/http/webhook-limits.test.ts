/** Goal: webhooks are for those who may administer their topic, and take nothing from a produce. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Receiver } from "../tools/webhook/receiver.ts";

setDefaultTimeout(60_000);

const directory = temporaryDirectory();
let server: Server;

beforeAll(async () => {
  server = await startServer({
    dataDir: directory.path,
    env: {
      RF_WEBHOOK_ALLOW: "127.0.0.1",
      RF_MAX_WEBHOOKS: "3",
      RF_BEARER_TOKENS: "root,reader@read+write,owner@admin=own.*+write=own.*",
    },
  });
});
afterAll(async () => {
  await server.kill();
  directory.remove();
});

// biome-ignore lint/suspicious/noExplicitAny: bodies of answers, whose fields the tests compare.
type Body = any;

async function call(token: string, line: string, body?: unknown) {
  const [method = "", path = ""] = line.split(" ");
  const answer = await fetch(`${server.url}/broker/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as Body };
}
const root = (line: string, body?: unknown) => call("root", line, body);
const URL_OF_NOBODY = "https://nobody.invalid/";

test("everything about a webhook needs admin for its topic", async () => {
  for (const name of ["own.a", "other"]) await root("POST topics", { name, partitions: 1 });
  const put = (token: string, name: string, body: object) =>
    call(token, `PUT webhooks/${name}`, { url: URL_OF_NOBODY, ...body });
  expect((await put("owner", "mine", { topic: "own.a", dead_letter: "own.dead" })).status).toBe(
    200,
  );
  expect((await put("root", "theirs", { topic: "other" })).status).toBe(200);
  for (const [token, name, body] of [
    ["owner", "more", { topic: "other" }],
    // Another topic, a webhook of another topic, and a dead-letter topic of others.
    ["owner", "theirs", { topic: "own.a" }],
    ["owner", "mine", { topic: "own.a", dead_letter: "other" }],
    ["reader", "more", { topic: "other" }],
  ] as const) {
    expect((await put(token, name, body)).body.error).toBe("forbidden");
  }
  for (const token of ["owner", "reader"]) {
    for (const line of [
      "GET webhooks/theirs",
      "GET webhooks/theirs/deliveries",
      ...["pause", "resume", "rotate", "test", "redrive", "purge"].map(
        (verb) => `POST webhooks/theirs/${verb}`,
      ),
      "DELETE webhooks/theirs",
    ]) {
      expect((await call(token, line)).body.error, `${token} ${line}`).toBe("forbidden");
    }
  }
  const listed = async (token: string) =>
    (await call(token, "GET webhooks")).body.webhooks?.map(({ webhook }: Body) => webhook);
  expect(await listed("root")).toEqual(["mine", "theirs"]);
  expect(await listed("owner")).toEqual(["mine"]);
  expect((await call("reader", "GET webhooks")).body.error).toBe("forbidden");
  expect((await put("root", "third", { topic: "other" })).status).toBe(200);
  const full = await put("root", "fourth", { topic: "other" });
  expect(full).toMatchObject({
    status: 409,
    body: { error: "too_many_webhooks", webhooks_max: 3 },
  });
  // One that exists can be changed also then.
  expect((await put("root", "third", { topic: "other", timeout_ms: 9 })).status).toBe(200);
  for (const name of ["mine", "theirs", "third"]) await root(`DELETE webhooks/${name}`);
});

test("while receivers hang, each produce is the one entry that it would be without webhooks", async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const receiver = new Receiver(async () => {
    await held;
    return new Response("ok");
  });
  await root("POST topics", { name: "busy", partitions: 1 });
  const hook = { topic: "busy", url: receiver.url, max_in_flight: 4, timeout_ms: 60_000 };
  await root("PUT webhooks/hook", hook);
  const produce = async (i: number): Promise<number> =>
    (await root("POST topics/busy/produce?partition=0", `${i}`)).body.batch_id;
  for (let i = 0; i < 4; i++) await produce(i);
  await receiver.request(3);
  const indexes: number[] = [];
  for (let i = 4; i < 104; i++) indexes.push(await produce(i));
  // The log holds nothing else than these records, and maintenance of the leader.
  const first = indexes[0] ?? 0;
  const others = (indexes.at(-1) ?? 0) - first - 99;
  expect(others).toBeLessThanOrEqual(5);
  expect(receiver.requests.length).toBe(4);
  expect((await root("GET webhooks/hook")).body).toMatchObject({ in_flight: 4, ready: 100 });
  release();
  while ((await root("GET webhooks/hook")).body.delivered < 104) await Bun.sleep(20);
  expect(receiver.mostAtWork).toBe(4);
  await receiver.stop();
});
