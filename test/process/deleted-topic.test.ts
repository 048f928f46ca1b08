/** Readers that wait on a topic while it is deleted, on real nodes with one thread and with two. */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

/** Shorter than the waits: a reader that is not woken fails the test. */
setDefaultTimeout(50_000);
const directory = temporaryDirectory();
const headers = { authorization: "Bearer dev" };
let directories = 0;
let server: Server | null = null;

afterEach(async () => {
  await server?.kill();
});
afterAll(directory.remove);

type Call = (line: string, accept?: string, body?: string) => Promise<Response>;

async function start(env: Record<string, string>): Promise<Call> {
  const dataDir = join(directory.path, `data-${directories++}`);
  server = await startServer({ dataDir, env });
  const { url } = server;
  const call: Call = async (line, accept = "*/*", body = "") => {
    const [method = "", path] = line.split(" ");
    const init = { method, headers: { ...headers, accept } };
    return await fetch(url + path, method === "GET" ? init : { ...init, body });
  };
  await create(call);
  return call;
}

const create = async (call: Call) =>
  await call("POST /broker/topics", "*/*", '{"name":"t","partitions":1}');
const produce = async (call: Call, value = "first") =>
  await call("POST /broker/topics/t/produce?partition=0", "*/*", value);

/** Reads on until the stream ends. @param atFirst is done when the first bytes have come. */
async function untilEnd(stream: Response, atFirst: () => Promise<unknown>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream.body ?? []) {
    if (text === "") await atFirst();
    text += decoder.decode(bytes, { stream: true });
  }
  return text;
}

const GONE =
  '{"ok":false,"error":"topic_not_found","message":"No such topic: topic \\"t\\", partition 0"}';

for (const [threads, env] of [
  ["one thread", {}],
  ["a thread for consensus", { RF_HA_DEDICATED_WORKER: "1" }],
] as const) {
  describe(threads, () => {
    for (const [format, accept, error] of [
      ["events", "text/event-stream", `event: error\ndata: ${GONE}`],
      ["lines", "application/x-ndjson", GONE],
    ] as const) {
      test(`${format}: a stream ends with an error when its topic is deleted`, async () => {
        const call = await start(env);
        await produce(call);
        const stream = await call("GET /broker/consume/t/g/0?offset=0&follow=1", accept);
        const text = await untilEnd(stream, async () => await call("DELETE /broker/topics/t"));
        expect(text).toContain('"offset":0');
        expect(text).toContain(error);
      });

      test(`${format}: a stream does not go on in a longer topic of the same name`, async () => {
        const call = await start(env);
        await produce(call);
        const stream = await call("GET /broker/consume/t/g/0?offset=0&follow=1", accept);
        const text = await untilEnd(stream, async () => {
          await call("DELETE /broker/topics/t");
          // The stream may see the deletion, or only the new topic.
          await Promise.all([1, 2, 3].map(() => produce(call, "later")));
        });
        expect(text).toContain("first");
        expect(text).not.toContain("later");
        expect(text).toMatch(/"error":"(topic_not_found|offset_out_of_range)"/);
      });
    }

    test("a long poll is 404 when its topic is deleted", async () => {
      const call = await start(env);
      const polls = ["offset=0&", ""].map((offset) =>
        call(`GET /broker/consume/t/g/0?${offset}wait_ms=60000`),
      );
      // The waits are there once the node has answered what came behind them.
      await call("GET /broker/topics");
      await call("DELETE /broker/topics/t");
      for (const poll of polls) {
        const answer = await poll;
        expect(answer.status).toBe(404);
        expect(await answer.json()).toMatchObject({ ok: false, error: "topic_not_found" });
      }
    });

    test("a long poll with an offset is 416 when the topic is another one by then", async () => {
      const call = await start(env);
      await produce(call);
      const poll = call("GET /broker/consume/t/g/0?offset=1&wait_ms=60000");
      await call("GET /broker/topics");
      await Promise.all([call("DELETE /broker/topics/t"), create(call)]);
      const answer = await poll;
      const { error } = (await answer.json()) as { error: string };
      expect([
        [404, "topic_not_found"],
        [416, "offset_out_of_range"],
      ]).toContainEqual([answer.status, error]);
    });
  });
}
