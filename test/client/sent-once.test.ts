/** A runtime may repeat a request on its own; the client must not let it repeat a write. */
import { expect, test } from "bun:test";
import { AyderError, createClient } from "../../src/client/index.ts";
import { answering, startRawLeader } from "../tools/http/raw-leader.ts";

test("a write whose reused connection breaks was sent once, and its outcome is unknown", async () => {
  const server = await startRawLeader();
  const client = createClient({ url: server.url, token: "t", retryMs: 0 });
  const json = (body: string) => answering("200 OK", body, ["Content-Type: application/json"]);
  const writes = [
    ["DELETE", () => client.kv("n").delete("k")],
    ["DELETE", () => client.topics.delete("t")],
    ["DELETE", () => client.deleteGroup("g")],
    ["DELETE", () => client.views.delete("v")],
    ["PUT", () => client.views.put("v", { source: { topic: "t" }, aggregate: { group_by: [] } })],
    ["POST", () => client.kv("n").put("k", "v", { cas: 1 })],
  ] as const;
  try {
    for (const [method, write] of writes) {
      server.script = json('{"ok":true,"topics":[]}');
      await client.topics.list();
      server.requests.length = 0;
      server.script = { act: (socket) => socket.resetAndDestroy() };
      const error: unknown = await write().then(
        () => null,
        (reason: unknown) => reason,
      );
      if (!(error instanceof AyderError)) throw new Error(`${method}: not an AyderError: ${error}`);
      expect([method, error.outcome]).toEqual([method, "unknown"]);
      expect(server.requests.map(({ line }) => line.split(" ")[0])).toEqual([method]);
    }
  } finally {
    await server.stop();
  }
});
