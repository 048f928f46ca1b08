/** CONTRACT 4: single messages. */
import { describe, expect, test } from "bun:test";
import { anInteger, expectError, SEALED } from "../tools/conformance/expectations.ts";
import { Client, messagesOf, type TargetOf } from "../tools/conformance/target.ts";

const MiB = 1024 * 1024;

export function register(target: TargetOf): void {
  const client = new Client(target);

  describe("produce", () => {
    test("a sealed answer says what was proven", async () => {
      const topic = await client.topic("sealed");
      for (let offset = 0; offset < 3; offset++) {
        const { status, body } = await client.produce(topic, `m${offset}`);
        expect(status).toBe(200);
        expect(body).toEqual({
          ...SEALED,
          offset,
          partition: 0,
          batch_id: anInteger,
          acked_by: anInteger,
        });
        expect(body["batch_id"]).toBeGreaterThan(0);
        expect(body["acked_by"]).toBeGreaterThan(0);
      }
      expect(await client.values(topic)).toEqual(["m0", "m1", "m2"]);
    });
    test("an empty message is a message", async () => {
      const topic = await client.topic("empty");
      expect((await client.produce(topic, "")).body["offset"]).toBe(0);
      expect(await client.values(topic)).toEqual([""]);
    });
    test("a partition that is not there is 404", async () => {
      const topic = await client.topic("partition", 2);
      expectError(await client.produce(topic, "x", "partition=2"), 404, "partition_not_found");
      expectError(
        await client.produce(topic, "x", "partition=9007199254740991"),
        404,
        "partition_not_found",
      );
    });
    for (const query of [
      "partition=-1",
      "partition=",
      "partition=1.5",
      "mode=",
      "mode=Rocket",
      "timing=yes",
      "timeout_ms=abc",
      "timeout_ms=1e12",
    ]) {
      test(`${query} is 400 and nothing is stored`, async () => {
        const topic = await client.topic("invalid");
        const base = query.startsWith("partition") ? query : `partition=0&${query}`;
        expectError(await client.produce(topic, "x", base), 400, "invalid_parameter");
        expect(await client.values(topic)).toEqual([]);
      });
    }

    test("one key always goes to one partition; without key they take turns", async () => {
      const topic = await client.topic("spread", 4);
      const at = async (query: string) =>
        (await client.produce(topic, "x", query)).body["partition"];
      const keyed = new Set(await Promise.all([1, 2, 3, 4].map(() => at("key=user%2F1"))));
      expect(keyed.size).toBe(1);
      const turns = new Set([await at(""), await at(""), await at(""), await at("")]);
      expect(turns.size).toBe(4);
      const idempotent = new Set([
        await at("idempotency_key=a-1"),
        await at("idempotency_key=a-1"),
      ]);
      expect(idempotent.size).toBe(1);
    });
    test("the key is stored with the message", async () => {
      const topic = await client.topic("keyed");
      await client.produce(topic, "v", "partition=0&key=%C3%A9+1");
      await client.produce(topic, "v");
      const [keyed, plain] = messagesOf((await client.consume(topic)).body);
      expect(keyed?.["key"]).toBe("é 1");
      expect(plain).not.toHaveProperty("key");
      const [inBase64] = messagesOf((await client.consume(topic, "offset=0&encoding=b64")).body);
      expect(inBase64?.["key_b64"]).toBe(Buffer.from("é 1").toString("base64"));
      expect(inBase64).not.toHaveProperty("key");
    });
    test("timing=1 adds the times", async () => {
      const topic = await client.topic("timing");
      const { body } = await client.produce(topic, "x", "partition=0&timing=1");
      for (const name of ["queue_us", "recv_parse_us", "server_us", "produce_us", "sync_wait_us"]) {
        expect(Number.isInteger(body[name]), name).toBe(true);
      }
    });
    test("rocket answers from memory, and the record arrives", async () => {
      const topic = await client.topic("rocket");
      const { status, body } = await client.produce(topic, "fast", "partition=0&mode=rocket");
      expect(status).toBe(200);
      expect(body).toEqual({
        ok: true,
        offset: 0,
        partition: 0,
        batch_id: 0,
        sealed: false,
        durable: false,
        mode: "rocket",
        synced: null,
      });
      const { body: page } = await client.consume(topic, "offset=0&wait_ms=5000");
      expect(messagesOf(page).map(({ value }) => value)).toEqual(["fast"]);
    });

    test("the limit of a message is 1 MiB, exactly", async () => {
      const topic = await client.topic("limit");
      expect((await client.produce(topic, "a".repeat(MiB))).status).toBe(200);
      const answer = await client.produce(topic, "a".repeat(MiB + 1));
      expectError(answer, 413, "message_too_large", ["limit"]);
      expect(answer.body["limit"]).toBe(MiB);
      const { body } = await client.consume(topic);
      expect(messagesOf(body).map(({ value }) => String(value).length)).toEqual([MiB]);
    });
    test("a chunked body works, and has the same limit", async () => {
      const topic = await client.topic("chunked");
      const chunks = (count: number, size: number) =>
        new ReadableStream({
          start(controller) {
            for (let i = 0; i < count; i++) controller.enqueue(Buffer.from("c".repeat(size)));
            controller.close();
          },
        });
      expect((await client.produce(topic, chunks(3, 5))).status).toBe(200);
      expect((await client.produce(topic, chunks(2, MiB / 2))).status).toBe(200);
      expect(await client.values(topic)).toEqual(["c".repeat(15), "c".repeat(MiB)]);
      expectError(await client.produce(topic, chunks(3, MiB / 2)), 413, "message_too_large", [
        "limit",
      ]);
    });
  });

  describe("idempotency", () => {
    test("the second produce with a key stores nothing and has the first one's offset", async () => {
      const topic = await client.topic("twice");
      await client.produce(topic, "before");
      const first = await client.produce(topic, "x", "partition=0&idempotency_key=k%201");
      expect(first.body).toMatchObject({ ...SEALED, offset: 1, duplicate: false });
      await client.produce(topic, "after");
      const second = await client.produce(topic, "x", "partition=0&idempotency_key=k%201");
      expect({ status: second.status, body: second.body }).toEqual({
        status: 200,
        body: { ok: true, offset: 1, partition: 0, sealed: true, synced: null, duplicate: true },
      });
      expect(await client.values(topic)).toEqual(["before", "x", "after"]);
    });
    test("another payload is told", async () => {
      const topic = await client.topic("payload");
      await client.produce(topic, "x", "partition=0&idempotency_key=k");
      const { body } = await client.produce(topic, "y", "partition=0&idempotency_key=k");
      expect(body).toMatchObject({ offset: 0, duplicate: true, payload_matches: false });
      expect(await client.values(topic)).toEqual(["x"]);
    });
    test("header and query mean the same", async () => {
      const topic = await client.topic("header");
      const headers = { "idempotency-key": "h1" };
      expect((await client.produce(topic, "x", "partition=0", { headers })).body["duplicate"]).toBe(
        false,
      );
      expect((await client.produce(topic, "x", "partition=0", { headers })).body["duplicate"]).toBe(
        true,
      );
      expect(
        (await client.produce(topic, "x", "partition=0&idempotency_key=h1")).body["duplicate"],
      ).toBe(true);
      const both = await client.produce(topic, "x", "partition=0&idempotency_key=h2", { headers });
      expectError(both, 400, "invalid_idempotency_key");
    });
    test("another partition or topic is another write", async () => {
      const topic = await client.topic("scope");
      await client.produce(topic, "x", "partition=0&idempotency_key=k");
      const other = await client.produce(topic, "x", "partition=1&idempotency_key=k");
      expect(other.body["duplicate"]).toBe(false);
    });
    test("many at once store one record", async () => {
      const topic = await client.topic("race");
      const answers = await Promise.all(
        Array.from({ length: 20 }, () =>
          client.produce(topic, "x", "partition=0&idempotency_key=r"),
        ),
      );
      expect(answers.map(({ body }) => body["offset"])).toEqual(new Array(20).fill(0));
      expect(answers.filter(({ body }) => body["duplicate"] === false).length).toBe(1);
      expect(await client.values(topic)).toEqual(["x"]);
    });
    test("a key has 1 to 512 bytes", async () => {
      const topic = await client.topic("key");
      const produce = (key: string) =>
        client.produce(topic, "x", `partition=0&idempotency_key=${key}`);
      expect((await produce("k".repeat(512))).status).toBe(200);
      expectError(await produce("k".repeat(513)), 400, "invalid_idempotency_key");
      // In bytes of UTF-8, and different to the last one.
      const long = "%C3%A9".repeat(255);
      expect((await produce(`${long}%C3%A9`)).body).toMatchObject({ duplicate: false });
      expect((await produce(`${long}%C3%A8`)).body).toMatchObject({ duplicate: false });
      expect((await produce(`${long}%C3%A9`)).body).toMatchObject({ duplicate: true });
      expectError(await produce("%C3%A9".repeat(257)), 400, "invalid_idempotency_key");
      expectError(await produce(""), 400, "invalid_idempotency_key");
    });
  });
}
