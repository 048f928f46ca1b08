/** The client reads pages of batches, and believes none of their bytes. */
import { expect, test } from "bun:test";
import { AyderError, createClient, type FetchLike } from "../../src/client/index.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { partitionSeed, stampBatch } from "../../src/record/batch-header.ts";
import { encodeHeaders } from "../../src/record/headers.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

const TYPE = "application/vnd.ayder.batches";
const PLACE = { topicId: 7, partition: 3 };

function pageBytes(): Uint8Array<ArrayBuffer> {
  const builder = new BatchBuilder(64);
  builder.add(Buffer.from("k"), Buffer.from("one"));
  builder.add(null, Buffer.from(""));
  builder.add(Buffer.from(""), Buffer.from("ü"), encodeHeaders([{ name: "a", value: "b" }]));
  const bytes = builder.finish().bytes.slice();
  const seed = partitionSeed(PLACE.topicId, PLACE.partition);
  const first = new DataView(bytes.buffer).getUint32(0, true);
  stampBatch(bytes, 0, 10, 1_700_000_000_000, seed);
  stampBatch(bytes, first, 12, 1_700_000_000_001, seed);
  return bytes;
}

const HEADERS = {
  "content-type": TYPE,
  "ayder-start-offset": "11",
  "ayder-next-offset": "13",
  "ayder-end-offset": "20",
  "ayder-low-watermark": "2",
  "ayder-truncated": "true",
  "ayder-topic-id": String(PLACE.topicId),
};

function reading(bytes: Uint8Array<ArrayBuffer>, headers: Record<string, string> = HEADERS) {
  const fetch: FetchLike = async () => new Response(bytes, { headers });
  const client = createClient({ url: "http://node", retryMs: 0, fetch });
  return client.read("t", PLACE.partition, { offset: 11 });
}

const shown = ({ messages, ...rest }: Awaited<ReturnType<typeof reading>>) => ({
  ...rest,
  messages: messages.map(({ topic, partition, offset, timestampMs, key, text, headers }) =>
    JSON.stringify([topic, partition, offset, timestampMs, key, text, headers]),
  ),
});

const PAGE = {
  count: 2,
  nextOffset: 13,
  committedOffset: null,
  truncated: true,
  lowWatermark: 2,
  endOffset: 20,
  topicId: 7,
  messages: [
    JSON.stringify(["t", 3, 11, 1_700_000_000_000, null, "", {}]),
    JSON.stringify(["t", 3, 12, 1_700_000_000_001, "", "ü", { a: "b" }]),
  ],
};

test("a page has its records only, with all their fields", async () => {
  expect(shown(await reading(pageBytes()))).toEqual(PAGE);
  const committed = { ...HEADERS, "ayder-committed-offset": "12" };
  expect((await reading(pageBytes(), committed)).committedOffset).toBe(12);
});

test("with any byte changed, or cut off anywhere, it is not believed", async () => {
  const good = pageBytes();
  const attempts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < good.length; at++) {
    for (const bit of [0, 3, 7]) {
      const changed = good.slice();
      changed[at] = (good[at] as number) ^ (1 << bit);
      attempts.push(changed);
    }
    attempts.push(good.slice(0, at));
  }
  for (const bytes of attempts) {
    const error: unknown = await reading(bytes).then(shown, (reason: unknown) => reason);
    expect(error).toBeInstanceOf(AyderError);
    expect(error).toMatchObject({ code: "bad_answer", outcome: "refused", isRetriable: false });
  }
});

test("a batch of another partition, and headers that are missing or wrong, are not believed", async () => {
  for (const [name, value, message] of [
    ["ayder-topic-id", "8", "a header checksum differs"],
    ["ayder-start-offset", "9", "there are 3 messages from offset 9 to 13"],
    ["ayder-next-offset", "14", "there are 2 messages from offset 11 to 14"],
    ["ayder-next-offset", "x", 'the header ayder-next-offset is "x"'],
    ["ayder-end-offset", "", 'the header ayder-end-offset is ""'],
  ] as const) {
    const error: unknown = await reading(pageBytes(), { ...HEADERS, [name]: value }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      code: "bad_answer",
      message: `http://node answered with batches that are not right: ${message}`,
    });
  }
});

test("a server of this version is read in batches, of an older one in JSON, with the same messages", async () => {
  const directory = temporaryDirectory();
  const server = await startServer({ dataDir: directory.path });
  try {
    const types: (string | null)[] = [];
    const seen: FetchLike = async (url, init) => {
      const { accept: _, ...older } = init.headers;
      const isOld = types.length > 0;
      const answer = await fetch(url, { ...init, headers: isOld ? older : init.headers } as never);
      types.push(answer.headers.get("content-type"));
      return answer;
    };
    const writer = createClient({ url: server.url, token: "dev" });
    await writer.produce("t", "text", { partition: 0, key: "k", headers: { a: "ü" } });
    await writer.produce("t", Uint8Array.of(255, 0), { partition: 0 });
    await writer.produceBatch("t", ["1", "2", { n: 3 }], { partition: 0 });
    const client = createClient({ url: server.url, token: "dev", fetch: seen });
    const options = { offset: 0, limit: 4 };
    const inBatches = shown(await client.read("t", 0, options));
    const inJson = shown(await client.read("t", 0, options));
    expect(types).toEqual([TYPE, "application/json"]);
    expect(inBatches).toEqual(inJson);
    expect(inBatches.messages.length).toBe(4);
  } finally {
    await server.kill();
    directory.remove();
  }
});
