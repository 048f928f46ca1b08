/** Batches over HTTP: pages of stored batches, and bodies of batches that a client encoded. */
import { describe, expect, test } from "bun:test";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import {
  batchCount,
  batchLength,
  checkBatch,
  partitionSeed,
} from "../../src/record/batch-header.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { decodeHeaders, encodeHeaders } from "../../src/record/headers.ts";
import { anInteger, expectError, SEALED } from "../tools/conformance/expectations.ts";
import { type Answer, Client, messagesOf, type TargetOf } from "../tools/conformance/target.ts";

const PAGE_TYPE = "application/vnd.ayder.batches";
const BODY_TYPE = "application/vnd.ayder.batch";

/** The records of a page that belong to it, as a client trims them. */
function recordsOf({ bytes, headers }: Answer) {
  const number = (name: string) => Number(headers.get(name));
  const seed = partitionSeed(number("ayder-topic-id"), 0);
  for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
    expect(checkBatch(bytes, at, seed)).toBeNull();
  }
  const records: { offset: number; key: string | null; value: string; headers: object }[] = [];
  const cursor = new RecordCursor(bytes);
  const text = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString();
  while (cursor.next()) {
    const { offset } = cursor;
    if (offset < number("ayder-start-offset") || offset >= number("ayder-next-offset")) continue;
    records.push({
      offset,
      key: cursor.keyStart < 0 ? null : text(cursor.keyStart, cursor.keyEnd),
      value: text(cursor.valueStart, cursor.valueEnd),
      headers: Object.fromEntries(
        decodeHeaders(bytes, cursor.headersStart, cursor.headersEnd).map((h) => [h.name, h.value]),
      ),
    });
  }
  return records;
}

function batchesOf(values: readonly string[], key: string | null = null): Uint8Array<ArrayBuffer> {
  const builder = new BatchBuilder(64);
  for (const value of values) {
    builder.add(
      key === null ? null : Buffer.from(key),
      Buffer.from(value),
      encodeHeaders(value === "with" ? [{ name: "origin", value: "ü" }] : []),
    );
  }
  return builder.finish().bytes.slice();
}

export function register(target: TargetOf): void {
  const client = new Client(target);
  const page = (topic: string, query: string, headers = {}) =>
    client.ask(`GET /broker/consume/${topic}/g/0?${query}`, {
      headers: { accept: PAGE_TYPE, ...headers },
    });
  const send = (
    topic: string,
    body: Uint8Array<ArrayBuffer>,
    query = "partition=0",
    headers = {},
  ) =>
    client.ask(`POST /broker/topics/${topic}/produce?${query}`, {
      headers: { "content-type": BODY_TYPE, ...headers },
      body,
    });
  const filled = async (counts: readonly number[]) => {
    const topic = await client.topic("batches");
    let next = 0;
    for (const count of counts) {
      const lines = Array.from({ length: count }, () => `m${next++}`).join("\n");
      await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=0`, { body: lines });
    }
    return topic;
  };

  describe("a page of batches", () => {
    test("has whole batches, and headers that say what of them belongs to the page", async () => {
      const topic = await filled([5, 5, 5]);
      const answer = await page(topic, "offset=3&limit=4");
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe(PAGE_TYPE);
      const said = Object.fromEntries(
        [...answer.headers].filter(([name]) => name.startsWith("ayder-")),
      );
      expect(said).toEqual({
        "ayder-start-offset": "3",
        "ayder-next-offset": "7",
        "ayder-end-offset": "15",
        "ayder-low-watermark": "0",
        "ayder-committed-offset": "0",
        "ayder-truncated": "false",
        "ayder-topic-id": expect.stringMatching(/^[0-9]+$/),
      });
      expect(recordsOf(answer).map(({ offset, value }) => [offset, value])).toEqual([
        [3, "m3"],
        [4, "m4"],
        [5, "m5"],
        [6, "m6"],
      ]);
      expect(batchCount(answer.bytes, 0)).toBe(5);
    });
    test("has the records of the page in JSON, wherever it begins and ends", async () => {
      const topic = await filled([1, 7, 2, 1, 1, 9]);
      for (let offset = 0; offset <= 21; offset++) {
        for (const limit of [1, 2, 5, 100]) {
          const answer = await page(topic, `offset=${offset}&limit=${limit}`);
          const { body } = await client.consume(topic, `offset=${offset}&limit=${limit}`);
          const values = messagesOf(body).map((message) => [message["offset"], message["value"]]);
          const records: unknown[] = recordsOf(answer).map(({ offset: at, value }) => [at, value]);
          expect(records).toEqual(values);
          expect(answer.headers.get("ayder-next-offset")).toBe(String(body["next_offset"]));
        }
      }
    });
    test("ends early by max_bytes, and says so", async () => {
      const topic = await client.topic("large");
      for (let i = 0; i < 3; i++) await client.produce(topic, "x".repeat(1000), "partition=0");
      const answer = await page(topic, "offset=0&max_bytes=1500");
      expect(recordsOf(answer).length).toBe(1);
      expect(answer.headers.get("ayder-truncated")).toBe("true");
      expect(answer.headers.get("ayder-next-offset")).toBe("1");
      expect(recordsOf(await page(topic, "offset=0&max_bytes=2000")).length).toBe(2);
      // At least one, however long it is.
      expect(recordsOf(await page(topic, "offset=1&max_bytes=1")).length).toBe(1);
      expect((await page(topic, "offset=1")).headers.get("ayder-truncated")).toBe("false");
    });
    test("is empty at the end, waits, and skips deleted records", async () => {
      const topic = await filled([4, 4]);
      const empty = await page(topic, "offset=8&wait_ms=1");
      expect([empty.status, empty.bytes.length]).toEqual([200, 0]);
      expect(empty.headers.get("ayder-next-offset")).toBe("8");
      const body = { topic, partition: 0, before_offset: 6 };
      await client.ask("POST /broker/delete-before", { body });
      const answer = await page(topic, "offset=1");
      expect(answer.headers.get("ayder-start-offset")).toBe("6");
      expect(answer.headers.get("ayder-low-watermark")).toBe("6");
      expect(recordsOf(answer).map(({ value }) => value)).toEqual(["m6", "m7"]);
    });
    test("of errors is JSON", async () => {
      const topic = await filled([1]);
      const wrong = await page(topic, "offset=2");
      expectError(wrong, 416, "offset_out_of_range", ["end_offset"]);
    });
  });

  describe("a body of batches", () => {
    test("is stored as it is: keys, headers, values", async () => {
      const topic = await client.topic("sent");
      const { status, body } = await send(topic, batchesOf(["one", "with", ""], "k"));
      expect(status).toBe(200);
      expect(body).toEqual({
        ...SEALED,
        first_offset: 0,
        count: 3,
        partition: 0,
        batch_id: anInteger,
        acked_by: anInteger,
      });
      const answer = await page(topic, "offset=0");
      expect(recordsOf(answer)).toEqual([
        { offset: 0, key: "k", value: "one", headers: {} },
        { offset: 1, key: "k", value: "with", headers: { origin: "ü" } },
        { offset: 2, key: "k", value: "", headers: {} },
      ]);
    });
    test("may be a page of another topic", async () => {
      const from = await filled([3, 4]);
      const to = await client.topic("copy");
      const copied = await page(from, "offset=0");
      const { body } = await send(to, copied.bytes.slice());
      expect(body).toMatchObject({ first_offset: 0, count: 7 });
      const records = recordsOf(await page(to, "offset=0"));
      expect(records).toEqual(recordsOf(copied));
    });
    test("goes to the partition of the first key, and once by its idempotency key", async () => {
      const topic = await client.topic("keyed", 8);
      const single = await client.produce(topic, "x", "key=customer");
      const { partition } = single.body;
      const first = await send(topic, batchesOf(["a", "b"], "customer"), "idempotency_key=i");
      expect(first.body).toMatchObject({ partition, count: 2, duplicate: false });
      const again = await send(topic, batchesOf(["a", "b"], "customer"), "idempotency_key=i");
      expect(again.body).toMatchObject({ partition, duplicate: true });
      expect(again.body["first_offset"]).toBe(first.body["first_offset"]);
    });
    test("is refused with the place that is wrong, and nothing of it is stored", async () => {
      const topic = await client.topic("wrong");
      const good = batchesOf(["one", "two"]);
      const bad = good.slice();
      bad[bad.length - 1] = 0;
      const both = new Uint8Array(Buffer.concat([good, bad]));
      const answer = await send(topic, both);
      expectError(answer, 400, "invalid_batch");
      expect(answer.body["message"]).toBe(
        `Malformed batch: the batch at byte ${good.length}: payload checksum differs`,
      );
      expectError(await send(topic, new Uint8Array(0)), 400, "empty_batch");
      expectError(await send(topic, new Uint8Array(39)), 400, "invalid_batch");
      expectError(await send(topic, Uint8Array.of(...good, 1)), 400, "invalid_batch");
      expectError(await send(topic, good, "partition=0&key=k"), 400, "invalid_parameter");
      const named = { "ayder-header-a": "b" };
      expectError(await send(topic, good, "partition=0", named), 400, "invalid_header");
      expect((await page(topic, "")).bytes.length).toBe(0);
      const trace = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
      expect((await send(topic, good.slice(), "partition=0", trace)).status).toBe(200);
    });
    test("with any byte changed is refused, or stores the same records", async () => {
      const topic = await client.topic("flipped");
      const good = batchesOf(["a", "with"], "k");
      let stored = 0;
      for (let at = 0; at < good.length; at++) {
        const changed = good.slice();
        changed[at] = (good[at] as number) ^ (1 << (at & 7));
        const answer = await send(topic, changed);
        if (answer.status === 200) stored++;
        else expectError(answer, 400, "invalid_batch");
      }
      const records = recordsOf(await page(topic, "offset=0&limit=1000"));
      expect(records.length).toBe(2 * stored);
      const plain = records.map(({ offset: _, ...rest }) => JSON.stringify(rest));
      expect(new Set(plain).size).toBe(2);
    });
  });

  describe("POST /broker/topics/{topic}/produce-batches", () => {
    const only = (topic: string, body: Uint8Array<ArrayBuffer>, headers = {}) =>
      client.ask(`POST /broker/topics/${topic}/produce-batches?partition=0`, { body, headers });

    test("takes batches, whatever the content type says", async () => {
      const topic = await client.topic("batches");
      for (const [at, headers] of [{}, { "content-type": "text/plain" }].entries()) {
        const answer = await only(topic, batchesOf(["a", "b"], "k"), headers);
        const sealed = { batch_id: anInteger, ...SEALED };
        expect(answer.body).toMatchObject({ first_offset: 2 * at, count: 2, ...sealed });
      }
      expect(await client.values(topic)).toEqual(["a", "b", "a", "b"]);
    });

    test("stores nothing else", async () => {
      const topic = await client.topic("batches");
      expectError(await only(topic, new TextEncoder().encode("text")), 400, "invalid_batch");
      expectError(await only(topic, new Uint8Array(0)), 400, "empty_batch");
      expect(await client.values(topic)).toEqual([]);
    });
  });
}
