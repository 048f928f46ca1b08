/** CONTRACT 14: retries, dead letters, retention and the order of keys. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { NOTHING, Queues, receiptsOf, valuesOf } from "../tools/conformance/queues.ts";
import { Client, type Json, messagesOf, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const queues = new Queues(client);
  const receive = (queue: string, query?: string) => queues.receive(queue, query);
  const send = (queue: string, verb: string, body: Json) => queues.send(queue, verb, body);
  const describeQueue = (queue: string) => queues.describe(queue);
  const queueOf = (values: readonly string[], definition?: Json) => queues.make(values, definition);

  describe("queues: retries and dead letters", () => {
    test("a nack waits for the backoff of its attempt, the last of which repeats", async () => {
      const { queue } = await queueOf(["a"], { backoff_ms: [150, 60_000] });
      const [first] = receiptsOf(await receive(queue));
      expect((await send(queue, "nack", { receipts: [first] })).body).toEqual({
        ok: true,
        results: [{ receipt: first, ok: true }],
      });
      expect(await describeQueue(queue)).toMatchObject({ delayed: 1, in_flight: 0, ready: 0 });
      const again = await receive(queue, "wait_ms=30000");
      expect(messagesOf(again.body)[0]).toMatchObject({ attempt: 2 });
      await send(queue, "nack", { receipts: receiptsOf(again) });
      expect((await receive(queue, "wait_ms=300")).body["count"]).toBe(0);
    });
    test("a nack with delay_ms waits for that", async () => {
      const { queue } = await queueOf(["a"]);
      const receipts = receiptsOf(await receive(queue));
      await send(queue, "nack", { receipts, delay_ms: 0 });
      expect(messagesOf((await receive(queue)).body)[0]).toMatchObject({ attempt: 2 });
    });
    test("after the last attempt the record is a dead letter with what happened", async () => {
      const { topic, queue } = await queueOf([], { max_deliveries: 2, backoff_ms: [0] });
      await client.produce(topic, "poison", "partition=0&key=k&header.kind=test");
      for (let attempt = 1; attempt <= 2; attempt++) {
        const receipts = receiptsOf(await receive(queue, "wait_ms=30000"));
        const { body } = await send(queue, "nack", { receipts });
        expect(body["results"]).toEqual([{ receipt: receipts[0], ok: true }]);
      }
      const { body } = await client.consume(`${queue}.dead`);
      expect(messagesOf(body)).toEqual([
        {
          offset: 0,
          partition: 0,
          timestamp_ms: expect.any(Number),
          key: "k",
          value: "poison",
          headers: {
            kind: "test",
            "dead-reason": "max_deliveries",
            "dead-attempts": "2",
            "dead-queue": queue,
            "dead-topic": topic,
            "dead-partition": "0",
            "dead-offset": "0",
            "dead-at-ms": expect.stringMatching(/^\d{13}$/),
          },
        },
      ]);
      expect(await describeQueue(queue)).toMatchObject({
        ...NOTHING,
        dead: 1,
        dead_letters: [{ partition: 0, offset: 0 }],
      });
    });
    test("a lease that ends after the last attempt makes a dead letter too", async () => {
      const { queue } = await queueOf(["a"], { max_deliveries: 1 });
      await receive(queue, "visibility_ms=1");
      let dead: unknown = 0;
      for (let i = 0; i < 300 && dead === 0; i++) {
        dead = (await describeQueue(queue))["dead"];
        if (dead === 0) await Bun.sleep(20);
      }
      expect(await client.values(`${queue}.dead`)).toEqual(["a"]);
      expect((await receive(queue)).body["count"]).toBe(0);
    });
    test("reject puts aside at once, with a reason", async () => {
      const { queue } = await queueOf(["a", "b"]);
      const [a, b] = receiptsOf(await receive(queue));
      const rejected = await send(queue, "reject", { receipts: [a], reason: "no such customer ö" });
      expect(rejected.body).toEqual({ ok: true, results: [{ receipt: a, ok: true }] });
      await send(queue, "reject", { receipts: [b] });
      const { body } = await client.consume(`${queue}.dead`);
      const reasons = messagesOf(body).map(({ headers }) => (headers as Json)["dead-reason"]);
      expect(reasons).toEqual(["no such customer ö", "rejected"]);
    });
    test("without a dead-letter topic the record is dropped and counted", async () => {
      const { queue } = await queueOf(["a"], { dead_letter: null });
      await send(queue, "reject", { receipts: receiptsOf(await receive(queue)) });
      expect(await describeQueue(queue)).toMatchObject({ ...NOTHING, dead: 1, dead_letters: [] });
      expectError(await client.consume(`${queue}.dead`), 404, "topic_not_found");
    });
    test("dead letters are moved back as they were, each once", async () => {
      const { topic, queue } = await queueOf([]);
      for (const value of ["a", "b", "c"]) {
        await client.produce(topic, value, "partition=0&key=k&header.kind=test");
      }
      await send(queue, "reject", { receipts: receiptsOf(await receive(queue)) });
      const one = await send(queue, "redrive", { max: 1 });
      expect(one.body).toEqual({ ok: true, queue, moved: 1, remaining: 2 });
      const all = await client.ask(`POST /broker/queues/${queue}/redrive`);
      expect(all.body).toEqual({ ok: true, queue, moved: 2, remaining: 0 });
      const none = await send(queue, "redrive", {});
      expect(none.body).toEqual({ ok: true, queue, moved: 0, remaining: 0 });
      const back = messagesOf((await receive(queue)).body);
      expect(back.map(({ value }) => value)).toEqual(["a", "b", "c"]);
      expect(back[0]).toMatchObject({ offset: 3, attempt: 1, key: "k", headers: { kind: "test" } });
      expect(await describeQueue(queue)).toMatchObject({ redriven: 3, dead: 0, in_flight: 3 });
    });
    test("a redrive with a rate goes on after the answer", async () => {
      const { queue } = await queueOf(["a", "b"]);
      await send(queue, "reject", { receipts: receiptsOf(await receive(queue)) });
      const { body } = await send(queue, "redrive", { per_second: 1 });
      expect(body).toEqual({ ok: true, queue, moved: 1, remaining: 1 });
      expect(valuesOf(await receive(queue, "max=1"))).toEqual(["a"]);
      expect(valuesOf(await receive(queue, "max=1&wait_ms=30000"))).toEqual(["b"]);
    });
    test("a dead-letter topic of several queues: each moves back its own", async () => {
      const shared = await client.topic("dead", 2);
      const one = await queueOf(["a"], { dead_letter: shared });
      const two = await queueOf(["b"], { dead_letter: shared });
      for (const { queue } of [one, two]) {
        await send(queue, "reject", { receipts: receiptsOf(await receive(queue)) });
      }
      const { body } = await send(two.queue, "redrive", {});
      expect(body).toEqual({ ok: true, queue: two.queue, moved: 1, remaining: 0 });
      expect(valuesOf(await receive(two.queue))).toEqual(["b"]);
      expect(await describeQueue(one.queue)).toMatchObject({ dead: 1 });
    });
    test("a purge finishes everything, also what is leased, and the topic keeps it", async () => {
      const { topic, queue } = await queueOf(["a", "b"]);
      const receipts = receiptsOf(await receive(queue, "max=1"));
      const purged = await client.ask(`POST /broker/queues/${queue}/purge`);
      expect(purged.body).toEqual({ ok: true, queue, purged: 2 });
      const { body } = await send(queue, "ack", { receipts });
      expect(body["results"]).toMatchObject([{ ok: false, error: "lease_expired" }]);
      expect(await describeQueue(queue)).toMatchObject({ ...NOTHING, purged: 2 });
      expect(await client.values(topic)).toEqual(["a", "b"]);
    });
    test("retention wins, and what it took is counted", async () => {
      const { topic, queue } = await queueOf(["a", "b", "c"]);
      const [a, b] = receiptsOf(await receive(queue, "max=2"));
      await send(queue, "ack", { receipts: [a] });
      const body = { topic, partition: 0, before_offset: 2 };
      await client.ask("POST /broker/delete-before", { body });
      expect(await describeQueue(queue)).toMatchObject({ lost_to_retention: 1, ready: 1 });
      const late = await send(queue, "ack", { receipts: [b] });
      expect(late.body["results"]).toEqual([{ receipt: b, ok: false, error: "lease_expired" }]);
      expect(valuesOf(await receive(queue))).toEqual(["c"]);
      expect(await describeQueue(queue)).toMatchObject({
        lost_to_retention: 1,
        partitions: [{ partition: 0, low_offset: 2, end_offset: 3, unfinished: 1 }],
      });
    });
  });

  describe("queues: the order of keys", () => {
    const keyed = async (
      records: readonly (readonly [string | null, string])[],
      more: Json = {},
    ) => {
      const { topic, queue } = await queueOf([], { order: "key", ...more });
      for (const [key, value] of records) {
        await client.produce(topic, value, `partition=0${key === null ? "" : `&key=${key}`}`);
      }
      return { topic, queue };
    };

    test("while a record of a key is leased, later ones wait and other keys go on", async () => {
      const { queue } = await keyed([
        ["x", "x1"],
        ["x", "x2"],
        ["y", "y1"],
        [null, "free1"],
        [null, "free2"],
        ["x", "x3"],
      ]);
      const first = await receive(queue);
      expect(valuesOf(first)).toEqual(["x1", "y1", "free1", "free2"]);
      expect((await receive(queue)).body["count"]).toBe(0);
      await send(queue, "ack", { receipts: receiptsOf(first).slice(0, 1) });
      const second = await receive(queue);
      expect(valuesOf(second)).toEqual(["x2"]);
      await send(queue, "ack", { receipts: receiptsOf(second) });
      expect(valuesOf(await receive(queue))).toEqual(["x3"]);
    });
    test("a retry keeps the key, and putting the record aside releases it", async () => {
      const { queue } = await keyed(
        [
          ["x", "x1"],
          ["x", "x2"],
        ],
        { max_deliveries: 2, backoff_ms: [100] },
      );
      await send(queue, "nack", { receipts: receiptsOf(await receive(queue)) });
      expect((await receive(queue)).body["count"]).toBe(0);
      const again = await receive(queue, "wait_ms=30000");
      expect(messagesOf(again.body)[0]).toMatchObject({ value: "x1", attempt: 2 });
      await send(queue, "nack", { receipts: receiptsOf(again) });
      expect(valuesOf(await receive(queue, "wait_ms=30000"))).toEqual(["x2"]);
    });
  });
}
