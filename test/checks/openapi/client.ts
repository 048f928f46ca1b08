/** `bun client.ts URL`: produces, consumes and more through a client that the document typed. */
import createClient from "openapi-fetch";
import type { paths } from "./openapi.ts";

const [baseUrl = ""] = Bun.argv.slice(2);
const client = createClient<paths, "application/json">({
  baseUrl,
  headers: { authorization: "Bearer dev" },
});

function must<T>(wanted: T, got: T): void {
  if (Bun.deepEquals(got, wanted)) return;
  throw new Error(`${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
}
const bytes = { bodySerializer: (body: unknown) => body as BodyInit };

const created = await client.POST("/broker/topics", { body: { name: "orders", partitions: 1 } });
must({ ok: true, topic: "orders", partitions: 1 }, created.data);

const topic = "orders";
const produced = await client.POST("/broker/topics/{topic}/produce", {
  params: { path: { topic }, query: { partition: 0, key: "a/ä" } },
  body: "one",
  headers: { "Idempotency-Key": "k1", "content-type": "application/octet-stream" },
  ...bytes,
});
// The route also takes batches of CloudEvents, and messages for later.
const single = produced.data !== undefined && "offset" in produced.data ? produced.data : undefined;
must([0, true, false], [single?.offset, single?.durable, single?.duplicate]);
const batch = await client.POST("/broker/topics/{topic}/produce-ndjson", {
  params: { path: { topic }, query: { partition: 0 } },
  body: '"two"\nthree\n',
  headers: { "content-type": "application/x-ndjson" },
  ...bytes,
});
const stored = batch.data !== undefined && "first_offset" in batch.data ? batch.data : undefined;
must([1, 2], [stored?.first_offset, stored?.count]);

const page = await client.GET("/broker/consume/{topic}/{group}/{partition}", {
  params: { path: { topic, group: "g", partition: 0 }, query: { offset: 0 } },
});
must(
  ["one", "two", "three"],
  page.data?.messages.map(({ value }) => value),
);
must("a/ä", page.data?.messages[0]?.key);
const committed = await client.POST("/broker/commit", {
  body: { topic, group: "g", partition: 0, offset: page.data?.next_offset ?? 0 },
});
must(3, committed.data?.committed_offset);

const stream = await client.GET("/broker/consume/{topic}/{group}/{partition}", {
  params: { path: { topic, group: "g", partition: 0 }, query: { offset: 0, follow: "1" } },
  headers: { accept: "application/x-ndjson" },
  parseAs: "stream",
});
const reader = (stream.data as ReadableStream<Uint8Array> | undefined)?.getReader();
const first = new TextDecoder().decode((await reader?.read())?.value).split("\n")[0] ?? "";
must("one", JSON.parse(first).value);
await reader?.cancel();

const path = { namespace: "n", key: "k" };
const put = await client.POST("/kv/{namespace}/{key}", {
  params: { path, query: { cas: 0 } },
  body: "v",
  ...bytes,
});
must(1, put.data?.cas);
const meta = await client.GET("/kv/{namespace}/{key}/meta", { params: { path } });
must({ cas: 1, ttl_ms: 0, bytes: 1 }, meta.data);
const raw = await client.GET("/kv/{namespace}/{key}", {
  params: { path },
  headers: { accept: "application/octet-stream" },
  parseAs: "text",
});
must(["v", '"1"'], [raw.data as unknown, raw.response.headers.get("etag")]);
const conflict = await client.DELETE("/kv/{namespace}/{key}", {
  params: { path, query: { cas: 7 } },
});
must(["cas_mismatch", 409], [conflict.error?.error, conflict.response.status]);
process.stdout.write("produced and consumed\n");
