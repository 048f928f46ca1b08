/** CONTRACT 14: queues are defined, give out records and take acknowledgements. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { DEFAULTS, NOTHING, Queues, receiptsOf, valuesOf } from "../tools/conformance/queues.ts";
import {
  Client,
  freshName,
  type Json,
  messagesOf,
  type TargetOf,
} from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const queues = new Queues(client);
  const put = (queue: string, body: Json) => queues.put(queue, body);
  const receive = (queue: string, query?: string) => queues.receive(queue, query);
  const send = (queue: string, verb: string, body: Json) => queues.send(queue, verb, body);
  const describeQueue = (queue: string) => queues.describe(queue);
  const queueOf = (values: readonly string[], definition?: Json) => queues.make(values, definition);

  describe("queues: definition", () => {
    test("a queue has its defaults, and the same definition again changes nothing", async () => {
      const { topic, queue } = await queueOf([]);
      expect((await put(queue, { topic })).body).toEqual({ ok: true, queue, created: false });
      expect(await describeQueue(queue)).toEqual({
        ok: true,
        queue,
        topic,
        ...DEFAULTS,
        dead_letter: `${queue}.dead`,
        ...NOTHING,
        oldest_age_ms: 0,
        partitions: [{ partition: 0, low_offset: 0, end_offset: 0, unfinished: 0 }],
        dead_letters: [],
      });
    });
    test("what may change changes; topic, order and start may not", async () => {
      const { topic, queue } = await queueOf([]);
      const other = await client.topic("jobs", 1);
      const changed = { visibility_ms: 5, max_deliveries: 7, backoff_ms: [0], dead_letter: null };
      expect((await put(queue, { topic, ...changed, max_in_flight: 3 })).body).toMatchObject({
        created: false,
      });
      expect(await describeQueue(queue)).toMatchObject({ ...changed, max_in_flight: 3 });
      for (const body of [{ topic: other }, { topic, order: "key" }, { topic, from: "latest" }]) {
        expectError(await put(queue, body), 409, "queue_exists", ["field"]);
      }
    });
    test("queues are listed, and deleting one leaves its topic", async () => {
      const { topic, queue } = await queueOf(["a"]);
      const { body } = await client.ask("GET /broker/queues");
      const mine = (body["queues"] as Json[]).find((each) => each["queue"] === queue);
      expect(mine).toEqual({
        queue,
        topic,
        ...DEFAULTS,
        dead_letter: `${queue}.dead`,
        ...NOTHING,
        ready: 1,
        oldest_age_ms: expect.any(Number),
      });
      const deleted = await client.ask(`DELETE /broker/queues/${queue}`);
      expect(deleted.body).toEqual({ ok: true, queue, deleted: true });
      expectError(await client.ask(`DELETE /broker/queues/${queue}`), 404, "queue_not_found");
      expectError(await receive(queue), 404, "queue_not_found");
      expect(await client.values(topic)).toEqual(["a"]);
    });
    test("a queue goes with its topic, and the name is free again", async () => {
      const { topic, queue } = await queueOf(["a"]);
      await client.ask(`DELETE /broker/topics/${topic}`);
      expectError(await client.ask(`GET /broker/queues/${queue}`), 404, "queue_not_found");
      expectError(await receive(queue), 404, "queue_not_found");
      const other = await client.topic("jobs", 1);
      expect((await put(queue, { topic: other })).body).toEqual({ ok: true, queue, created: true });
    });
    test("latest begins behind what there is, earliest with it", async () => {
      const topic = await client.topic("jobs", 1);
      await client.produce(topic, "old");
      const [late, early] = [freshName("late"), freshName("early")];
      await put(late, { topic, from: "latest" });
      await put(early, { topic });
      await client.produce(topic, "new");
      expect(valuesOf(await receive(late))).toEqual(["new"]);
      expect(valuesOf(await receive(early))).toEqual(["old", "new"]);
    });
    test("bad definitions are refused with the field and what is allowed", async () => {
      const topic = await client.topic("jobs", 1);
      const queue = freshName("bad");
      const cases: readonly (readonly [Json, string])[] = [
        [{ visibility_ms: 0 }, "visibility_ms"],
        [{ visibility_ms: 43_200_001 }, "visibility_ms"],
        [{ max_deliveries: 0 }, "max_deliveries"],
        [{ max_deliveries: "5" }, "max_deliveries"],
        [{ backoff_ms: [] }, "backoff_ms"],
        [{ backoff_ms: 5 }, "backoff_ms"],
        [{ backoff_ms: [1, -1] }, "backoff_ms[1]"],
        [{ backoff_ms: Array(17).fill(1) }, "backoff_ms"],
        [{ dead_letter: 5 }, "dead_letter"],
        [{ dead_letter: "a/b" }, "dead_letter"],
        [{ dead_letter: topic }, "dead_letter"],
        [{ order: "keys" }, "order"],
        [{ order: null }, "order"],
        [{ max_in_flight: 0 }, "max_in_flight"],
        [{ max_in_flight: 100_001 }, "max_in_flight"],
        [{ from: "now" }, "from"],
      ];
      for (const [body, field] of cases) {
        const answer = await put(queue, { topic, ...body });
        expectError(answer, 400, "invalid_field");
        expect(answer.body["message"]).toContain(`Field "${field}"`);
      }
      expectError(await put(queue, { topic, visibilty_ms: 5 }), 400, "unknown_field");
      expectError(await put(queue, {}), 400, "missing_topic");
      expectError(await put("a b", { topic }), 400, "invalid_queue");
      expectError(await put(queue, { topic: freshName("none") }), 404, "topic_not_found");
      expectError(await client.ask(`GET /broker/queues/${queue}`), 404, "queue_not_found");
    });
  });

  describe("queues: receive and acknowledge", () => {
    test("a record is given out once, with everything it has", async () => {
      const { topic, queue } = await queueOf([]);
      await client.produce(topic, "a job", "partition=0&key=k&header.kind=test");
      const first = await receive(queue, "max=5");
      const [message] = messagesOf(first.body);
      expect(first.body).toEqual({
        ok: true,
        messages: [
          {
            topic,
            partition: 0,
            offset: 0,
            timestamp_ms: expect.any(Number),
            key: "k",
            value: "a job",
            headers: { kind: "test" },
            attempt: 1,
            receipt: expect.any(String),
            visible_at_ms: expect.any(Number),
          },
        ],
        count: 1,
      });
      const leftMs = Number(message?.["visible_at_ms"]) - Number(message?.["timestamp_ms"]);
      expect(leftMs).toBeGreaterThanOrEqual(30_000);
      expect((await receive(queue)).body).toEqual({ ok: true, messages: [], count: 0 });
      expect(await describeQueue(queue)).toMatchObject({ ready: 0, in_flight: 1 });
    });
    test("an acknowledged record is finished; one more acknowledgement is too late", async () => {
      const { queue } = await queueOf(["a", "b"]);
      const [a, b] = receiptsOf(await receive(queue));
      const acked = await send(queue, "ack", { receipts: [b, "nonsense", a, a] });
      expect(acked.body).toEqual({
        ok: true,
        results: [
          { receipt: b, ok: true },
          { receipt: "nonsense", ok: false, error: "unknown_receipt" },
          { receipt: a, ok: true },
          { receipt: a, ok: false, error: "lease_expired" },
        ],
      });
      expect(await describeQueue(queue)).toMatchObject({ ...NOTHING, acked: 2 });
    });
    test("answers of queues over several topics name their own", async () => {
      const all = [await queueOf(["a", "b"]), await queueOf(["c", "d"])];
      for (const { topic, queue } of [...all, ...all]) {
        const [message] = messagesOf((await receive(queue, "max=1")).body);
        expect(message?.["topic"]).toBe(topic);
      }
    });
    test("receipts may have white space of JSON around them, and no other", async () => {
      const { queue } = await queueOf(["a", "b", "c"]);
      const [a, b, c] = receiptsOf(await receive(queue));
      const ack = (text: string) =>
        client.ask(`POST /broker/queues/${queue}/ack`, { body: Buffer.from(text, "latin1") });
      for (const [open, close] of [
        ["", "\u00a0"],
        ["\u000b", ""],
        ["", "}"],
      ]) {
        expectError(await ack(`${open}{"receipts":["${a}"]}${close}`), 400, "invalid_json");
        expectError(await ack(`${open}{"receipts":["${b}","${c}"]}${close}`), 400, "invalid_json");
      }
      expect(await describeQueue(queue)).toMatchObject({ in_flight: 3, acked: 0 });
      const one = await ack(`\r\n\t { "receipts" : [ "${a}" ] } \n`);
      expect(one.body["results"]).toEqual([{ receipt: a, ok: true }]);
      const two = await ack(`\r\n\t { "receipts" : [ "${b}" , "${c}" ] } \n`);
      expect(two.body["results"]).toEqual([
        { receipt: b, ok: true },
        { receipt: c, ok: true },
      ]);
    });
    test("a receipt of another queue is unknown", async () => {
      const [one, two] = [await queueOf(["a"]), await queueOf(["b"])];
      const [receipt] = receiptsOf(await receive(one.queue));
      await receive(two.queue);
      const { body } = await send(two.queue, "ack", { receipts: [receipt] });
      expect(body["results"]).toEqual([{ receipt, ok: false, error: "unknown_receipt" }]);
    });
    test("max bounds the messages: 1 without it, at most 100, and 0 is refused", async () => {
      const { topic, queue } = await queueOf([]);
      const values = Array.from({ length: 150 }, (_, at) => `${at} ${"x".repeat(100)}`);
      const body = values.map((value) => `${value}\n`).join("");
      await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=0`, { body });
      let from = 0;
      for (const [query, count] of [
        ["", 1],
        ["max=3", 3],
        ["max=1000", 100],
        ["max=1000", 46],
      ] as const) {
        const received = await receive(queue, query);
        expect(received.body["count"]).toBe(count);
        expect(valuesOf(received)).toEqual(values.slice(from, from + count));
        from += count;
      }
      for (const query of ["max=0", "max=x", "wait_ms=60001", "visibility_ms=0", "encoding=hex"]) {
        expectError(await receive(queue, query), 400, "invalid_parameter");
      }
      expectError(await receive(queue, "maks=1"), 400, "unknown_parameter");
    });
    test("a receive has its parameters in the query, and refuses fields in its body", async () => {
      const { queue } = await queueOf(["a", "b"]);
      const path = `POST /broker/queues/${queue}/receive`;
      for (const [body, code, message] of [
        [
          '{"max":2}',
          "unknown_field",
          'field "max" in its body: give it in the query, as in ?max=',
        ],
        ['{"maks":2}', "unknown_field", 'field "maks" in its body'],
        ["max=2", "invalid_json", "The body is not JSON"],
      ] as const) {
        const answer = await client.ask(path, { body });
        expectError(answer, 400, code);
        expect(answer.body["message"]).toContain(message);
      }
      expect((await client.ask(`${path}?max=2`, { body: "{}" })).body["count"]).toBe(2);
    });
    test("encoding=b64 and values that are not UTF-8", async () => {
      const { topic, queue } = await queueOf([]);
      await client.produce(topic, Uint8Array.from([255]), "partition=0&key=k");
      await client.produce(topic, "x", "partition=0&key=k");
      const [raw] = messagesOf((await receive(queue, "max=1")).body);
      expect(raw).toMatchObject({ key: "k", value_b64: "/w==" });
      const [coded] = messagesOf((await receive(queue, "max=1&encoding=b64")).body);
      expect(coded).toMatchObject({ key_b64: "aw==", value_b64: "eA==" });
      expect(coded).not.toHaveProperty("value");
    });
    test("a receive waits for a record, and for one that becomes visible again", async () => {
      const { topic, queue } = await queueOf([]);
      const waiting = receive(queue, "max=5&wait_ms=30000&visibility_ms=100");
      await client.produce(topic, "later");
      expect(valuesOf(await waiting)).toEqual(["later"]);
      const [again] = messagesOf((await receive(queue, "wait_ms=30000")).body);
      expect(again).toMatchObject({ value: "later", attempt: 2 });
      expect((await receive(queue, "wait_ms=1")).body).toEqual({
        ok: true,
        messages: [],
        count: 0,
      });
    });
    test("requests that wait get one record each", async () => {
      const { topic, queue } = await queueOf([]);
      const waiting = Array.from({ length: 5 }, () => receive(queue, "wait_ms=30000&max=1"));
      for (let i = 0; i < 5; i++) await client.produce(topic, `${i}`);
      const values = (await Promise.all(waiting)).flatMap(valuesOf);
      expect(values.sort()).toEqual(["0", "1", "2", "3", "4"]);
    });
    test("after the lease an acknowledgement is too late, and the next holder's counts", async () => {
      const { queue } = await queueOf(["a"]);
      const [late] = receiptsOf(await receive(queue, "visibility_ms=1"));
      const [second] = receiptsOf(await receive(queue, "wait_ms=30000"));
      for (const verb of ["ack", "nack", "reject"]) {
        const { body } = await send(queue, verb, { receipts: [late] });
        expect(body["results"]).toEqual([{ receipt: late, ok: false, error: "lease_expired" }]);
      }
      const { body } = await send(queue, "ack", { receipts: [second] });
      expect(body["results"]).toEqual([{ receipt: second, ok: true }]);
      const after = await send(queue, "ack", { receipts: [late] });
      expect(after.body["results"]).toEqual([{ receipt: late, ok: false, error: "lease_expired" }]);
      expect(await describeQueue(queue)).toMatchObject({ acked: 1, in_flight: 0, ready: 0 });
    });
    test("extend prolongs a lease and is not an attempt", async () => {
      const { queue } = await queueOf(["a"]);
      const [receipt] = receiptsOf(await receive(queue, "visibility_ms=1000"));
      const { body } = await send(queue, "extend", { receipts: [receipt], by_ms: 600_000 });
      expect(body).toEqual({ ok: true, results: [{ receipt, ok: true }] });
      expect((await receive(queue, "wait_ms=1500")).body["count"]).toBe(0);
      const acked = await send(queue, "ack", { receipts: [receipt] });
      expect(acked.body["results"]).toEqual([{ receipt, ok: true }]);
    });
    test("at most max_in_flight are leased, and the answer says so", async () => {
      const { queue } = await queueOf(["a", "b", "c"], { max_in_flight: 2 });
      const [a] = receiptsOf(await receive(queue));
      const full = { ok: true, messages: [], count: 0, blocked: "max_in_flight" };
      expect((await receive(queue)).body).toEqual(full);
      await send(queue, "ack", { receipts: [a] });
      expect(valuesOf(await receive(queue))).toEqual(["c"]);
    });
    test("bad bodies are refused and settle nothing", async () => {
      const { queue } = await queueOf(["a"]);
      const receipts = receiptsOf(await receive(queue));
      const cases: readonly (readonly [string, Json, string])[] = [
        ["ack", {}, "missing_field"],
        ["ack", { receipts: [] }, "invalid_field"],
        ["ack", { receipts: [5] }, "invalid_field"],
        ["ack", { receipts: receipts[0] }, "invalid_field"],
        ["ack", { receipts: Array(1001).fill("x") }, "invalid_field"],
        ["ack", { receipts, delay_ms: 5 }, "unknown_field"],
        ["nack", { receipts, delay_ms: -1 }, "invalid_field"],
        ["nack", { receipts, delay_ms: 31_622_400_001 }, "invalid_field"],
        ["extend", { receipts }, "missing_field"],
        ["extend", { receipts, by_ms: 0 }, "invalid_field"],
        ["reject", { receipts, reason: 5 }, "invalid_field"],
        ["reject", { receipts, reason: "x".repeat(1025) }, "invalid_field"],
        ["redrive", { max: 0 }, "invalid_field"],
        ["redrive", { per_second: 0 }, "invalid_field"],
        ["purge", { all: true }, "unknown_field"],
      ];
      for (const [verb, body, code] of cases) expectError(await send(queue, verb, body), 400, code);
      expect(await describeQueue(queue)).toMatchObject({ in_flight: 1, acked: 0, dead: 0 });
      for (const verb of ["ack", "nack", "reject"]) {
        const answer = await send(freshName("none"), verb, { receipts });
        expectError(answer, 404, "queue_not_found");
      }
    });
  });

  describe("queues: scopes", () => {
    test("reading may not define, and no scope for the topic is no queue", async () => {
      const { reader, ordersWriter } = target();
      if (reader === undefined || ordersWriter === undefined) return;
      const { topic, queue } = await queueOf(["a"]);
      const as = (token: string, line: string, body?: Json) =>
        client.ask(line, { token, ...(body === undefined ? {} : { body }) });
      expectError(await as(reader, `PUT /broker/queues/${queue}`, { topic }), 403, "forbidden");
      for (const line of [
        `DELETE /broker/queues/${queue}`,
        `POST /broker/queues/${queue}/redrive`,
        `POST /broker/queues/${queue}/purge`,
      ]) {
        expectError(await as(reader, line), 403, "forbidden");
      }
      const received = await as(reader, `POST /broker/queues/${queue}/receive`);
      const receipts = receiptsOf(received);
      expect((await as(reader, `POST /broker/queues/${queue}/ack`, { receipts })).status).toBe(200);
      for (const line of [`GET /broker/queues/${queue}`, `POST /broker/queues/${queue}/receive`]) {
        expectError(await as(ordersWriter, line), 403, "forbidden");
      }
    });
  });
}
