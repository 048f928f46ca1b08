/** CONTRACT 4: batches of lines. */
import { describe, expect, test } from "bun:test";
import { anInteger, expectError, SEALED } from "../tools/conformance/expectations.ts";
import { Client, messagesOf, type TargetOf, valueBytes } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const send = (topic: string, body: string | Uint8Array<ArrayBuffer>, query = "partition=0") =>
    client.ask(`POST /broker/topics/${topic}/produce-ndjson?${query}`, { body });

  describe("produce-ndjson", () => {
    test("lines become messages at contiguous offsets", async () => {
      const topic = await client.topic("lines");
      await client.produce(topic, "zero");
      const { status, body } = await send(
        topic,
        'plain\r\n\n{"a": 1.0}\n\r\n"json \\u00e9\\n"\nlast',
      );
      expect(status).toBe(200);
      expect(body).toEqual({
        ...SEALED,
        first_offset: 1,
        count: 4,
        partition: 0,
        batch_id: anInteger,
        acked_by: anInteger,
      });
      expect(await client.values(topic)).toEqual([
        "zero",
        "plain",
        '{"a": 1.0}',
        "json é\n",
        "last",
      ]);
    });
    for (const [what, line] of [
      ["half a string", '"abc'],
      ["a string and more", '"a" "b"'],
      ["an unknown escape", '"\\x"'],
      ["a string with half a surrogate pair", '"\\ud800"'],
      ["a string behind a space", ' "a"'],
      ["a number", "1.0"],
      ["null", "null"],
    ] as const) {
      test(`${what} is stored as it is`, async () => {
        const topic = await client.topic("raw");
        await send(topic, `a\n${line}\nb`);
        expect(await client.values(topic)).toEqual(["a", line, "b"]);
      });
    }
    test("bytes that are no UTF-8 are stored as they are, quoted or not", async () => {
      const topic = await client.topic("bytes");
      await send(topic, Uint8Array.from([0xff, 0x00, 0x0a, 0x22, 0xfe, 0x22]));
      const messages = messagesOf((await client.consume(topic)).body);
      expect(messages.map((message) => [...valueBytes(message)])).toEqual([
        [0xff, 0x00],
        [0x22, 0xfe, 0x22],
      ]);
    });
    test('a line "" is an empty message', async () => {
      const topic = await client.topic("empty");
      await send(topic, '""\n');
      expect(await client.values(topic)).toEqual([""]);
    });
    for (const [what, body] of [
      ["nothing", ""],
      ["line ends", "\n\n\r\n\n"],
    ] as const) {
      test(`${what} is 400 empty_batch`, async () => {
        const topic = await client.topic("none");
        expectError(await send(topic, body), 400, "empty_batch");
      });
    }
    test("a duplicate has the first batch's offsets", async () => {
      const topic = await client.topic("again");
      const query = "partition=1&idempotency_key=b";
      expect((await send(topic, "a\nb\nc", query)).body).toMatchObject({
        first_offset: 0,
        count: 3,
        duplicate: false,
      });
      const again = await send(topic, "a\nb\nc", query);
      expect(again.body).toEqual({
        ok: true,
        first_offset: 0,
        count: 3,
        partition: 1,
        sealed: true,
        synced: null,
        duplicate: true,
      });
      expect((await send(topic, "a\nb", query)).body).toMatchObject({
        count: 3,
        payload_matches: false,
      });
    });
    test("all or nothing: one line too long and no offset is used", async () => {
      const topic = await client.topic("atomic");
      const answer = await send(topic, `a\n${"x".repeat(1024 * 1024 + 1)}\nb`);
      expectError(answer, 413, "message_too_large", ["limit"]);
      expect((await client.produce(topic, "first")).body["offset"]).toBe(0);
    });
    test("a line of exactly the limit is stored, plain and as a JSON string", async () => {
      const topic = await client.topic("exact");
      const MiB = 1024 * 1024;
      const plain = "x".repeat(MiB);
      // The text counts, not the line: with its quotes and escapes that one is longer.
      const text = JSON.stringify(`\n"${"y".repeat(MiB - 2)}`);
      const umlauts = JSON.stringify("ä".repeat(MiB / 2)).replace("ä", "\\u00e4");
      for (const line of [plain, `${plain}\r`, text, umlauts]) {
        const { status, body } = await send(topic, line);
        expect({ status, count: body["count"] }).toEqual({ status: 200, count: 1 });
      }
      const { body } = await client.consume(topic, "offset=0&max_bytes=67108864");
      expect(messagesOf(body).map(({ value }) => Buffer.byteLength(String(value)))).toEqual(
        Array(4).fill(MiB),
      );
      const tooLong = [
        `${plain}x`,
        JSON.stringify(`${plain}x`),
        JSON.stringify("ä".repeat(MiB / 2 + 1)),
      ];
      for (const [i, line] of tooLong.entries()) {
        const answer = await send(topic, `first\n${line}`);
        expectError(answer, 413, "message_too_large", ["limit"]);
        expect(answer.body["message"]).toContain(`Message 2 has ${MiB + (i < 2 ? 1 : 2)} bytes`);
      }
    });
    test("100,000 lines pass and one more does not", async () => {
      const topic = await client.topic("many");
      const answer = await send(topic, "x\n".repeat(100_001));
      expectError(answer, 413, "too_many_lines", ["limit"]);
      expect(answer.body["limit"]).toBe(100_000);
      const { body } = await send(topic, "x\n".repeat(100_000));
      expect(body).toMatchObject({ first_offset: 0, count: 100_000 });
      const { body: page } = await client.consume(topic, "offset=99999");
      expect(page).toMatchObject({ count: 1, next_offset: 100_000, end_offset: 100_000 });
    });
    test("a request above 16 MiB is 413 with the limit", async () => {
      const topic = await client.topic("large");
      const limit = 16 * 1024 * 1024;
      const answer = await send(
        topic,
        `${"x".repeat(1000)}\n`.repeat(Math.ceil((limit + 1) / 1001)),
      );
      expectError(answer, 413, "request_too_large", ["limit"]);
      expect(answer.body["limit"]).toBe(limit);
    });
    test("rocket and key work for batches too", async () => {
      const topic = await client.topic("rocket");
      const { body } = await send(topic, "a\nb", "partition=0&mode=rocket&key=k");
      expect(body).toMatchObject({
        first_offset: 0,
        count: 2,
        batch_id: 0,
        mode: "rocket",
        synced: null,
      });
      const { body: page } = await client.consume(topic, "offset=0&wait_ms=5000");
      expect(messagesOf(page).map(({ key }) => key)).toEqual(["k", "k"]);
    });
  });
}
