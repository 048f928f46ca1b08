/** CONTRACT 12: headers of records. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, messagesOf, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);

  describe("produce-json", () => {
    test("stores values as they are written, all or nothing", async () => {
      const topic = await client.topic("json");
      const path = `POST /broker/topics/${topic}/produce-json?partition=0`;
      const body = `{"records":[{"value":{"n" : 1.0}},{"value":"text","key":"k","headers":{"a":"ü"}},{"value_b64":"AP8="}]}`;
      const answer = await client.ask(path, { body });
      expect(answer.body).toMatchObject({ ok: true, first_offset: 0, count: 3, durable: true });
      expect(messagesOf((await client.consume(topic)).body)).toMatchObject([
        { value: '{"n" : 1.0}' },
        { value: "text", key: "k", headers: { a: "ü" } },
        { value_b64: "AP8=" },
      ]);
      const twice = { body: '{"records":[{"value":1}]}' };
      const first = await client.ask(`${path}&idempotency_key=i`, twice);
      expect(first.body).toMatchObject({ first_offset: 3, duplicate: false });
      const again = await client.ask(`${path}&idempotency_key=i`, twice);
      expect(again.body).toMatchObject({ first_offset: 3, count: 1, duplicate: true });
      for (const [bad, code] of [
        ['{"records":[]}', "empty_batch"],
        ["{}", "missing_field"],
        ['{"records":[{"value":1},{}]}', "missing_field"],
        ['{"records":[{"value":1},{"value":1,"headers":{"a b":"1"}}]}', "invalid_header"],
        ['{"records":[{"value":1},{"value":}]}', "invalid_json"],
        ['{"records":[{"value":1,"valu":2}]}', "unknown_field"],
      ] as const) {
        expectError(await client.ask(path, { body: bad }), 400, code);
      }
      expect((await client.values(topic)).length).toBe(4);
    });
  });

  describe("headers of records", () => {
    test("come back as they were given, in requests and parameters", async () => {
      const topic = await client.topic("headers");
      const headers = { "Ayder-Header-Order-Id": "7", traceparent: "00-a", tracestate: "x=1" };
      const one = await client.produce(topic, "v", "partition=0&header.city=K%C3%B6ln", {
        headers,
      });
      expect(one.status).toBe(200);
      await client.produce(topic, "plain", "partition=0");
      const lines = await client.ask(
        `POST /broker/topics/${topic}/produce-ndjson?partition=0&header.a=1`,
        { body: "1\n2\n" },
      );
      expect(lines.body["count"]).toBe(2);
      const messages = messagesOf((await client.consume(topic)).body);
      expect(messages.map(({ value, headers: given }) => [value, given])).toEqual([
        ["v", { city: "Köln", "order-id": "7", traceparent: "00-a", tracestate: "x=1" }],
        ["plain", undefined],
        ["1", { a: "1" }],
        ["2", { a: "1" }],
      ]);
    });
    test("are part of the payload of an idempotency key, except the trace of the request", async () => {
      const topic = await client.topic("payload");
      const send = (query: string, headers: Record<string, string>) =>
        client.produce(topic, "v", `partition=0&idempotency_key=k${query}`, { headers });
      expect((await send("&header.a=1", { traceparent: "00-1" })).body["duplicate"]).toBe(false);
      const again = await send("&header.a=1", { traceparent: "00-2" });
      expect(again.body).toMatchObject({ duplicate: true, offset: 0 });
      expect(again.body).not.toHaveProperty("payload_matches");
      const other = await send("&header.a=2", {});
      expect(other.body).toMatchObject({ duplicate: true, payload_matches: false });
      const [stored] = messagesOf((await client.consume(topic)).body);
      expect(stored?.["headers"]).toEqual({ a: "1", traceparent: "00-1" });
    });
    for (const query of [
      "header.=1",
      "header.a%20b=1",
      "header.a=1&header.A=1",
      `header.${"n".repeat(65)}=1`,
      Array.from({ length: 65 }, (_, i) => `header.h${i}=`).join("&"),
    ]) {
      test(`${query.slice(0, 40)} is 400 and nothing is stored`, async () => {
        const topic = await client.topic("bounds");
        const answer = await client.produce(topic, "x", `partition=0&${query}`);
        expectError(answer, 400, "invalid_header");
        expect(await client.values(topic)).toEqual([]);
      });
    }
  });
}
