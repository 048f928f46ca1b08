/** CONTRACT 5: pages and committed offsets. */
import { describe, expect, test } from "bun:test";
import { anInteger, expectError } from "../tools/conformance/expectations.ts";
import {
  Client,
  type Json,
  messagesOf,
  type TargetOf,
  valueBytes,
} from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const filled = async (count: number, hint = "page") => {
    const topic = await client.topic(hint);
    const lines = Array.from({ length: count }, (_, i) => `m${i}`).join("\n");
    await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=0`, { body: lines });
    return topic;
  };
  const commit = (body: Json) => client.ask("POST /broker/commit", { body });

  describe("consume", () => {
    test("a page has messages and everything around them", async () => {
      const topic = await client.topic("whole");
      const before = Date.now();
      await client.produce(topic, "hello", "partition=0&key=key");
      const { status, body } = await client.consume(topic, "offset=0&encoding=b64");
      expect(status).toBe(200);
      expect(body).toEqual({
        messages: [
          {
            offset: 0,
            partition: 0,
            timestamp_ms: anInteger,
            value_b64: "aGVsbG8=",
            key_b64: "a2V5",
          },
        ],
        count: 1,
        next_offset: 1,
        committed_offset: 0,
        truncated: false,
        low_watermark: 0,
        end_offset: 1,
      });
      const timestamp = Number(messagesOf(body)[0]?.["timestamp_ms"]);
      expect(Math.abs(timestamp - before)).toBeLessThan(60_000);
    });
    test("text stays text, whatever is in it; other bytes come in base64", async () => {
      const topic = await client.topic("text");
      const texts = [
        'q"\\/',
        "\u0000\u0001\b\t\n\v\f\r\u001f\u007f",
        "é€😀\u2028\ufeff\uffff",
        "{}",
        "",
      ];
      const others = [
        "ff",
        "c0ae",
        "eda080",
        "f4908080",
        "e08080",
        "e09fbf",
        "e28280ff",
        "c3",
        "f0808080",
      ].map((hex) => Buffer.from(hex, "hex"));
      for (const text of texts) await client.produce(topic, text);
      for (const bytes of others) await client.produce(topic, Uint8Array.from(bytes));
      const messages = messagesOf((await client.consume(topic)).body);
      expect(messages.map(({ value }) => value)).toEqual([
        ...texts,
        ...others.map(() => undefined),
      ]);
      expect(messages.slice(texts.length).map(({ value_b64: value }) => value)).toEqual(
        others.map((bytes) => bytes.toString("base64")),
      );
    });
    test("base64 is right for every length", async () => {
      const topic = await client.topic("base64");
      const values = [0, 1, 2, 3, 4, 5, 511, 512, 513, 1500].map((length) =>
        Uint8Array.from({ length }, (_, i) => (i * 37) & 255),
      );
      for (const value of values) await client.produce(topic, value);
      const messages = messagesOf((await client.consume(topic, "offset=0&encoding=b64")).body);
      expect(messages.map((message) => Buffer.from(valueBytes(message)).toString("hex"))).toEqual(
        values.map((value) => Buffer.from(value).toString("hex")),
      );
    });
    test("limit bounds a page; 100 by default, 1000 at most, 0 is 400", async () => {
      const topic = await filled(1200, "limit");
      const count = async (query: string) =>
        (await client.consume(topic, `offset=0&${query}`)).body["count"];
      expect(await count("")).toBe(100);
      expect(await count("limit=7")).toBe(7);
      expect(await count("limit=1000")).toBe(1000);
      expect(await count("limit=1001")).toBe(1000);
      expect(await count("limit=9007199254740991")).toBe(1000);
      expectError(await client.consume(topic, "limit=0"), 400, "invalid_parameter");
    });
    test("next_offset leads through all records exactly once", async () => {
      const topic = await filled(250, "walk");
      const seen: unknown[] = [];
      let offset = 0;
      for (let page = 0; page < 10; page++) {
        const { body } = await client.consume(topic, `offset=${offset}&limit=33`);
        seen.push(...messagesOf(body).map(({ offset: at }) => at));
        offset = Number(body["next_offset"]);
      }
      expect(seen).toEqual(Array.from({ length: 250 }, (_, i) => i));
      expect(offset).toBe(250);
    });
    test("max_bytes counts the answer as it is written and truncates the page, never a record", async () => {
      const topic = await client.topic("bytes");
      for (const value of ["aaaa", "bbbb", "\u0001".repeat(50)])
        await client.produce(topic, value, "partition=0&key=k");
      const page = async (query: string) => (await client.consume(topic, query)).body;
      for (const bytes of [0, 1, 4, 61])
        expect(await page(`offset=0&max_bytes=${bytes}`)).toMatchObject({
          count: 1,
          truncated: true,
          next_offset: 1,
        });
      expect(await page("offset=2&max_bytes=5")).toMatchObject({
        count: 1,
        truncated: false,
        next_offset: 3,
      });
      expect(await page("offset=0&max_bytes=1&limit=1")).toMatchObject({
        count: 1,
        truncated: false,
      });
      const all = await page("offset=0&max_bytes=2000");
      expect(all).toMatchObject({ count: 3, truncated: false });
      let before = 0;
      for (let bytes = 200; bytes < 1_000; bytes += 7) {
        const body = await page(`offset=0&max_bytes=${bytes}`);
        const count = Number(body["count"]);
        expect(count).toBeGreaterThanOrEqual(before);
        if (count > 1) expect(JSON.stringify(body).length).toBeLessThanOrEqual(bytes);
        expect(body).toMatchObject({ next_offset: count, truncated: count < 3 });
        before = count;
      }
      expect(before).toBe(3);
    });
    test("a page of many pieces is one page: complete, in order, within max_bytes", async () => {
      const topic = await client.topic("pieces");
      const value = "\u0002".repeat(2_000);
      const lines = Array.from({ length: 300 }, (_, i) => `${i} ${value}`).join("\n");
      await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=0`, { body: lines });
      const whole = (await client.consume(topic, "offset=0&limit=1000")).body;
      expect(whole).toMatchObject({ count: 300, next_offset: 300, truncated: false });
      expect(messagesOf(whole).map(({ value: text }) => text)).toEqual(lines.split("\n"));
      const limited = (await client.consume(topic, "offset=3&limit=123")).body;
      expect(limited).toMatchObject({ count: 123, next_offset: 126, truncated: false });
      const truncated = (await client.consume(topic, "offset=0&limit=1000&max_bytes=1000000")).body;
      expect(truncated).toMatchObject({ count: 82, next_offset: 82, truncated: true });
      expect(JSON.stringify(truncated).length).toBeLessThanOrEqual(1_000_000);
    });
    test("reading commits nothing", async () => {
      const topic = await filled(3, "reading");
      await client.consume(topic, "");
      const { body } = await client.consume(topic, "");
      expect(body).toMatchObject({ count: 3, committed_offset: 0 });
    });
    test("at the end the page is empty, beyond it the offset is refused", async () => {
      const topic = await filled(3, "beyond");
      const { status, body } = await client.consume(topic, "offset=3");
      expect(status).toBe(200);
      expect(body).toMatchObject({
        messages: [],
        count: 0,
        next_offset: 3,
        truncated: false,
        end_offset: 3,
      });
      for (const query of ["offset=4", "offset=1000", "offset=4&wait_ms=60000"]) {
        const answer = await client.consume(topic, query);
        expectError(answer, 416, "offset_out_of_range", ["end_offset"]);
        expect(answer.body["end_offset"]).toBe(3);
        expect(answer.body["message"]).toContain(/=(\d+)/.exec(query)?.[1] ?? "");
      }
    });
    test("an offset of a topic that was deleted since is refused", async () => {
      const topic = await filled(3, "again");
      await client.ask(`DELETE /broker/topics/${topic}`);
      await client.ask("POST /broker/topics", { body: { name: topic, partitions: 8 } });
      const answer = await client.consume(topic, "offset=3");
      expectError(answer, 416, "offset_out_of_range", ["end_offset"]);
      expect(answer.body["end_offset"]).toBe(0);
    });
    test("Ayder-Topic-Id: a later topic of the same name is refused, also if it is longer", async () => {
      const topic = await filled(2);
      const path = `GET /broker/consume/${topic}/g/0?offset=1`;
      const read = (id: string) => client.ask(path, { headers: { "ayder-topic-id": id } });
      const first = await read("0");
      const id = first.headers.get("ayder-topic-id") ?? "";
      expect(Number(id)).toBeGreaterThan(0);
      expect((await read(id)).body).toEqual(first.body);
      // Nobody else gets the header.
      expect((await client.ask(path)).headers.get("ayder-topic-id")).toBeNull();
      await client.ask(`DELETE /broker/topics/${topic}`);
      expectError(await read(id), 404, "topic_not_found");
      await client.ask("POST /broker/topics", { body: { name: topic, partitions: 2 } });
      await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=0`, {
        body: "a\nb\nc",
      });
      const refused = await read(id);
      expectError(refused, 416, "offset_out_of_range", ["end_offset"]);
      expect(await client.values(topic, "offset=1")).toEqual(["b", "c"]);
      const again = await read("0");
      expect(again.status).toBe(200);
      expect(Number(again.headers.get("ayder-topic-id"))).toBeGreaterThan(Number(id));
    });
    test("Ayder-Topic-Id that is not a number is 400", async () => {
      const topic = await filled(1);
      for (const id of ["x", "-1", "1.5", ""]) {
        const headers = { "ayder-topic-id": id };
        const answer = await client.ask(`GET /broker/consume/${topic}/g/0`, { headers });
        expectError(answer, 400, "invalid_parameter");
      }
    });
    test("an empty partition has an empty page", async () => {
      const topic = await client.topic("nothing");
      const { body } = await client.consume(topic, "");
      expect(body).toMatchObject({
        messages: [],
        count: 0,
        next_offset: 0,
        committed_offset: 0,
        end_offset: 0,
      });
    });
    test("unknown topic and partition are 404", async () => {
      const topic = await client.topic("unknown", 2);
      expectError(await client.consume(`${topic}x`), 404, "topic_not_found");
      const beyond = await client.consume(topic, "", "g", 2);
      expectError(beyond, 404, "partition_not_found");
      expect(beyond.body["message"]).toContain("2 does not exist: the topic has partitions 0 to 1");
      expectError(await client.ask(`GET /broker/consume/${topic}/g/x`), 400, "invalid_parameter");
      expectError(await client.ask(`GET /broker/consume/${topic}/g/-1`), 400, "invalid_parameter");
      expectError(await client.ask(`GET /broker/consume/${topic}/a%2Fb/0`), 400, "invalid_group");
    });
    for (const query of [
      "encoding=base32",
      "encoding=",
      "consistency=strong",
      "wait_ms=60001",
      "max_bytes=-1",
      "follow=yes",
      "limit=NaN",
    ]) {
      test(`${query} is 400`, async () => {
        const topic = await client.topic("query");
        expectError(await client.consume(topic, query), 400, "invalid_parameter");
      });
    }
    test("consistency=linearizable answers the same on a leader", async () => {
      const topic = await filled(2, "linear");
      expect((await client.consume(topic, "offset=0&consistency=linearizable")).body["count"]).toBe(
        2,
      );
    });
    test("wait_ms answers as soon as a record comes", async () => {
      const topic = await client.topic("waits");
      const waiting = client.consume(topic, "wait_ms=60000");
      await client.produce(topic, "at last");
      expect((await waiting).body).toMatchObject({ count: 1, next_offset: 1 });
    });
    test("wait_ms answers an empty page when the time is over", async () => {
      const topic = await client.topic("waits");
      expect((await client.consume(topic, "wait_ms=20")).body).toMatchObject({
        count: 0,
        next_offset: 0,
      });
    });
  });

  describe("commit", () => {
    test("the committed offset is where a read without offset begins", async () => {
      const topic = await filled(5, "commit");
      const answer = await commit({ topic, group: "g", partition: 0, offset: 2 });
      expect(answer.body).toEqual({ ok: true, committed_offset: 2 });
      const { body } = await client.consume(topic, "");
      expect(body).toMatchObject({ count: 3, committed_offset: 2, next_offset: 5 });
      expect(messagesOf(body)[0]?.["offset"]).toBe(2);
      expect((await client.consume(topic, "", "other")).body["count"]).toBe(5);
    });
    test("it never moves back, and the answer tells the one in force", async () => {
      const topic = await filled(5, "back");
      await commit({ topic, group: "g", partition: 0, offset: 4 });
      expect((await commit({ topic, group: "g", partition: 0, offset: 1 })).body).toEqual({
        ok: true,
        committed_offset: 4,
      });
    });
    test("the end can be committed, and beyond it the end is committed", async () => {
      const topic = await filled(5, "end");
      const place = { topic, group: "g", partition: 0 };
      const clamped = { ok: true, committed_offset: 5, clamped: true };
      expect((await commit({ ...place, offset: 6 })).body).toEqual(clamped);
      expect((await client.consume(topic, "")).body["committed_offset"]).toBe(5);
      const end = { ok: true, committed_offset: 5 };
      expect((await commit({ ...place, offset: 5 })).body).toEqual(end);
      expect((await commit({ ...place, offset: 2 ** 53 - 1 })).body).toEqual(clamped);
    });
    test("wrong requests are refused", async () => {
      const topic = await filled(1, "wrong");
      const good = { topic, group: "g", partition: 0, offset: 0 };
      expectError(await commit({ ...good, topic: `${topic}x` }), 404, "topic_not_found");
      const beyond = await commit({ ...good, partition: 9 });
      expectError(beyond, 404, "partition_not_found");
      expect(beyond.body["message"]).toContain("9 does not exist");
      expectError(await commit({ ...good, offset: -1 }), 400, "invalid_field");
      expectError(await commit({ ...good, offset: "0" }), 400, "invalid_field");
      expectError(await commit({ ...good, group: "a/b" }), 400, "invalid_group");
      expectError(await commit({ topic, group: "g", partition: 0 }), 400, "missing_field");
      expectError(await commit({ group: "g", partition: 0, offset: 0 }), 400, "missing_topic");
      expectError(await commit({ ...good, other: 1 }), 400, "unknown_field");
    });
  });
}
