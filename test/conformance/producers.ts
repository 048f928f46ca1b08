/** CONTRACT 12: producers that number their writes. */
import { describe, expect, test } from "bun:test";
import { anInteger, expectError, SEALED } from "../tools/conformance/expectations.ts";
import { Client, freshName, type Json, type TargetOf } from "../tools/conformance/target.ts";

const numbered = (id: string, epoch: number | string, seq: number | string) => ({
  // As HTTP has it: a byte each.
  headers: {
    "Producer-Id": Buffer.from(id).toString("latin1"),
    "Producer-Epoch": `${epoch}`,
    "Producer-Seq": `${seq}`,
  },
});
const stored = (offset: number) => ({
  ...SEALED,
  offset,
  partition: 0,
  batch_id: anInteger,
  acked_by: anInteger,
  duplicate: false,
});
const duplicate = (offset: number) => ({
  ok: true,
  offset,
  partition: 0,
  sealed: true,
  synced: null,
  duplicate: true,
});

export function register(target: TargetOf): void {
  const client = new Client(target);
  const at0 = (topic: string, value: string, options: object) =>
    client.produce(topic, value, "partition=0", options);

  describe("idempotent producers", () => {
    test("the next number is stored, and a repetition stores nothing", async () => {
      const topic = await client.topic("numbered");
      expect((await at0(topic, "a", numbered("p", 0, 0))).body).toEqual(stored(0));
      expect((await at0(topic, "b", numbered("p", 0, 1))).body).toEqual(stored(1));
      expect((await at0(topic, "b", numbered("p", 0, 1))).body).toEqual(duplicate(1));
      const { offset: _, ...older } = duplicate(0);
      expect((await at0(topic, "a", numbered("p", 0, 0))).body).toEqual(older);
      const other = { ...duplicate(1), payload_matches: false };
      expect((await at0(topic, "c", numbered("p", 0, 1))).body).toEqual(other);
      expect(await client.values(topic)).toEqual(["a", "b"]);
    });

    test("a gap is 409 and tells the expected number", async () => {
      const topic = await client.topic("gap");
      const first = await at0(topic, "x", numbered("p", 0, 1));
      expectError(first, 409, "sequence_gap", ["expected_seq"]);
      expect(first.body["expected_seq"]).toBe(0);
      await at0(topic, "a", numbered("p", 0, 0));
      const gap = await at0(topic, "x", numbered("p", 0, 7));
      expectError(gap, 409, "sequence_gap", ["expected_seq"]);
      expect(gap.body["expected_seq"]).toBe(1);
      expect(gap.body["message"]).toBe(
        `A sequence number is missing before this one; nothing was stored: topic "${topic}", partition 0, producer "p", epoch 0, seq 7 (expected_seq 1)`,
      );
      expect(await client.values(topic)).toEqual(["a"]);
    });

    test("a higher epoch begins at 0, and a lower one is 403", async () => {
      const topic = await client.topic("epochs");
      await at0(topic, "a", numbered("p", 3, 0));
      const gap = await at0(topic, "x", numbered("p", 4, 1));
      expectError(gap, 409, "sequence_gap", ["expected_seq"]);
      expect(gap.body["expected_seq"]).toBe(0);
      expect((await at0(topic, "b", numbered("p", 4, 0))).body).toEqual(stored(1));
      const stale = await at0(topic, "x", numbered("p", 3, 1));
      expectError(stale, 403, "stale_epoch", ["current_epoch"]);
      expect(stale.body["current_epoch"]).toBe(4);
      expect(await client.values(topic)).toEqual(["a", "b"]);
    });

    test("numbers count in each topic and partition, which a key may choose", async () => {
      const topic = await client.topic("each", 2);
      for (const query of ["partition=0", "partition=1"]) {
        const answer = await client.produce(topic, "v", query, numbered("p", 0, 0));
        expect(answer.body).toMatchObject({ offset: 0, duplicate: false });
      }
      const keyed = await client.topic("keyed", 4);
      const send = () => client.produce(keyed, "v", "key=k", numbered("p", 0, 0));
      const [first, again] = [await send(), await send()];
      expect(first.body).toMatchObject({ offset: 0, duplicate: false });
      expect(again.body).toMatchObject({
        offset: 0,
        duplicate: true,
        partition: first.body["partition"],
      });
    });

    test("a request of many records has one number", async () => {
      const topic = await client.topic("batch");
      const path = `POST /broker/topics/${topic}/produce-ndjson?partition=0`;
      const lines = { body: "1\n2\n", ...numbered("p", 0, 0) };
      const first = { first_offset: 0, count: 2, partition: 0 };
      expect((await client.ask(path, lines)).body).toMatchObject({ ...first, duplicate: false });
      expect((await client.ask(path, lines)).body).toMatchObject({ ...first, duplicate: true });
      const json = `POST /broker/topics/${topic}/produce-json`;
      const records = { body: '{"records":[{"value":3,"key":"k"}]}', ...numbered("p", 0, 1) };
      expect((await client.ask(json, records)).body).toMatchObject({ first_offset: 2, count: 1 });
      const older = await client.ask(path, lines);
      expect(older.body).toEqual({
        ok: true,
        partition: 0,
        sealed: true,
        synced: null,
        duplicate: true,
      });
      expect(await client.values(topic)).toEqual(["1", "2", "3"]);
    });

    test("a CloudEvent may be numbered too", async () => {
      const topic = await client.topic("event");
      const { headers } = numbered("p", 0, 0);
      const event = {
        body: '{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1}',
        headers: { ...headers, "content-type": "application/cloudevents+json" },
      };
      const path = `POST /broker/topics/${topic}/produce?partition=0`;
      expect((await client.ask(path, event)).body).toMatchObject({ offset: 0, duplicate: false });
      expect((await client.ask(path, event)).body).toMatchObject({ offset: 0, duplicate: true });
    });

    test("a gap in a topic that does not exist is told, and creates no topic", async () => {
      const topic = freshName("gap");
      const answer = await client.produce(topic, "x", "partition=0", {
        ...numbered("p", 3, 1),
      });
      expectError(answer, 409, "sequence_gap", ["expected_seq"]);
      expect(answer.body).toMatchObject({ expected_seq: 0 });
      expectError(await client.ask(`GET /broker/topics/${topic}`), 404, "topic_not_found");
      const first = await client.produce(topic, "x", "partition=0", {
        ...numbered("p", 3, 0),
      });
      expect(first.body).toMatchObject({ ok: true, offset: 0, duplicate: false });
    });
    test("producers are listed, the last write first, and forgotten", async () => {
      const topic = await client.topic("listed", 2);
      await at0(topic, "a", numbered("p/1 ä", 3, 0));
      await client.produce(topic, "b", "partition=1", numbered("p/1 ä", 0, 0));
      await at0(topic, "c", numbered("q", 0, 0));
      const path = `/broker/topics/${topic}/producers`;
      const { body } = await client.ask(`GET ${path}`);
      expect(body).toMatchObject({ ok: true, topic, total: 3 });
      const inZero = (await client.ask(`GET ${path}?partition=0`)).body["producers"];
      const written = { last_write_ms: anInteger, count: 1, partition: 0 };
      expect(inZero).toEqual([
        { ...written, id: "q", epoch: 0, seq: 0, offset: 1 },
        { ...written, id: "p/1 ä", epoch: 3, seq: 0, offset: 0 },
      ]);
      const limited = (await client.ask(`GET ${path}?limit=1&partition=0`)).body;
      expect(limited).toMatchObject({ total: 3, producers: [{ id: "q" }] });
      const own = (await client.ask(`GET ${path}?id=p%2F1%20%C3%A4`)).body["producers"] as Json[];
      expect(own.map(({ id, partition }) => [id, partition]).sort()).toEqual([
        ["p/1 ä", 0],
        ["p/1 ä", 1],
      ]);
      const forgotten = await client.ask(`DELETE ${path}?id=p%2F1%20%C3%A4`);
      expect(forgotten.body).toEqual({ ok: true, topic, id: "p/1 ä", partitions: 2 });
      const again = await client.ask(`DELETE ${path}?id=p%2F1%20%C3%A4`);
      expectError(again, 404, "producer_not_found");
      expect((await at0(topic, "d", numbered("p/1 ä", 0, 0))).body).toEqual(stored(2));
      expectError(await client.ask(`DELETE ${path}`), 400, "invalid_producer");
      expectError(await client.ask(`GET ${path}?id=`), 400, "invalid_producer");
      expectError(await client.ask(`GET ${path}?limit=0`), 400, "invalid_parameter");
      expectError(await client.ask(`GET ${path}?partition=2`), 404, "partition_not_found");
      const nowhere = `/broker/topics/${freshName("nowhere")}/producers`;
      expectError(await client.ask(`GET ${nowhere}`), 404, "topic_not_found");
      expectError(await client.ask(`DELETE ${nowhere}?id=p`), 404, "topic_not_found");
    });

    test("two requests that follow each other at once are both stored", async () => {
      const topic = await client.topic("pipelined");
      await at0(topic, "0", numbered("p", 0, 0));
      // Requests on different connections may change places, so a refused one is repeated.
      let next = 1;
      const values = ["1", "2", "3", "4"];
      while (next <= values.length) {
        const rest = values.slice(next - 1);
        const answers = await Promise.all(
          rest.map((value) => at0(topic, value, numbered("p", 0, Number(value)))),
        );
        for (const { status, body } of answers) {
          expect([200, 409]).toContain(status);
          if (status === 409) expect(body["error"]).toBe("sequence_gap");
        }
        next += answers.filter(({ status }) => status === 200).length;
      }
      expect(await client.values(topic)).toEqual(["0", ...values]);
    });

    test("the parameter producer says the same as the headers", async () => {
      const topic = await client.topic("parameter");
      const send = (query: string, options = {}) =>
        client.produce(topic, "v", `partition=0&${query}`, options);
      expect((await send("producer=a%3Ab:0:0")).body).toEqual(stored(0));
      expect((await at0(topic, "v", numbered("a:b", 0, 0))).body).toEqual(duplicate(0));
      const both = await send("producer=p:0:0", numbered("p", 0, 0));
      expectError(both, 400, "invalid_producer");
      for (const bad of ["", "p", "p:1", ":0:0", "p::0", "p:0:", "p:0:-1", "p:01:0", "p:0:1.0"]) {
        expectError(await send(`producer=${bad}`), 400, "invalid_producer");
      }
      expect(await client.values(topic)).toEqual(["v"]);
    });

    test("rocket mode answers with the prediction, but a gap is always proven", async () => {
      const topic = await client.topic("rocket");
      const send = (seq: number) =>
        client.produce(topic, `${seq}`, "partition=0&mode=rocket", numbered("p", 0, seq));
      expect((await send(0)).body).toMatchObject({ offset: 0, mode: "rocket", duplicate: false });
      expectError(await send(2), 409, "sequence_gap", ["expected_seq"]);
      expect((await send(0)).body).toMatchObject({ offset: 0, duplicate: true });
      expect((await send(1)).body).toMatchObject({ offset: 1, duplicate: false });
    });

    const drop = (name: string) => {
      const { headers } = numbered("p", 0, 0);
      return { headers: Object.fromEntries(Object.entries(headers).filter(([n]) => n !== name)) };
    };
    const BAD: readonly [string, { headers: Record<string, string> }, string, RegExp][] = [
      ["without an id", drop("Producer-Id"), "", /has no Producer-Id:/],
      ["without an epoch", drop("Producer-Epoch"), "", /has no Producer-Epoch:/],
      ["without a number", drop("Producer-Seq"), "", /has no Producer-Seq:/],
      [
        "with an empty id",
        numbered("", 0, 0),
        "",
        /^Producer-Id has 0 bytes; it must have 1 to 128$/,
      ],
      ["with a long id", numbered("i".repeat(129), 0, 0), "", /^Producer-Id has 129 bytes/],
      ["with a negative epoch", numbered("p", -1, 0), "", /^Producer-Epoch is "-1": it must be/],
      ["with a number like 1e3", numbered("p", 0, "1e3"), "", /^Producer-Seq is "1e3": it must be/],
      ["beyond 2^53", numbered("p", 0, "9007199254740992"), "", /^Producer-Seq is "90071/],
      ["and an idempotency key", numbered("p", 0, 0), "&idempotency_key=k", /both Producer-Id and/],
    ];
    for (const [name, options, query, message] of BAD) {
      test(`a producer ${name} is 400 and nothing is stored`, async () => {
        const topic = await client.topic("bad");
        const answer = await client.produce(topic, "x", `partition=0${query}`, options);
        expectError(answer, 400, "invalid_producer");
        expect(answer.body["message"]).toMatch(message);
        expect(await client.values(topic)).toEqual([]);
      });
    }
    test("without partition and key it is 400, and no topic is created", async () => {
      const topic = freshName("nowhere");
      const answer = await client.produce(topic, "x", "", numbered("p", 0, 0));
      expectError(answer, 400, "invalid_producer");
      expectError(await client.ask(`GET /broker/topics/${topic}`), 404, "topic_not_found");
    });
  });
}
