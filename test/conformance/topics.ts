/** CONTRACT 3. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, freshName, type Json, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const create = (body: Json) => client.ask("POST /broker/topics", { body });

  describe("topics", () => {
    test("creating answers the stored values, and the same again to the same request", async () => {
      const name = freshName("created");
      for (let i = 0; i < 2; i++) {
        const { status, body } = await create({ name, partitions: 3 });
        expect({ status, body }).toEqual({
          status: 200,
          body: { ok: true, topic: name, partitions: 3 },
        });
      }
    });
    test("eight partitions are the default", async () => {
      const name = freshName("default");
      expect((await create({ name })).body["partitions"]).toBe(8);
      expect((await create({ name })).body["partitions"]).toBe(8);
    });
    test("another number of partitions is 409 with the present one", async () => {
      const name = await client.topic("conflict", 2);
      const answer = await create({ name, partitions: 3 });
      expectError(answer, 409, "topic_exists", ["partitions"]);
      expect(answer.body["partitions"]).toBe(2);
    });
    test("1024 partitions are the most", async () => {
      expect((await create({ name: freshName("most"), partitions: 1024 })).status).toBe(200);
      expectError(
        await create({ name: freshName("more"), partitions: 1025 }),
        400,
        "invalid_field",
      );
    });

    test("the list has every topic with what it keeps", async () => {
      const name = await client.topic("listed", 2);
      await client.produce(name, "12345", "partition=1&key=abc");
      const { body } = await client.ask("GET /broker/topics");
      expect(body["ok"]).toBe(true);
      expect(body["topics"]).toContainEqual({ topic: name, partitions: 2, messages: 1, bytes: 8 });
    });
    test("a topic is described by partitions and groups", async () => {
      const topic = await client.topic("described", 2);
      for (const value of ["a", "b", "c"]) await client.produce(topic, value, "partition=1");
      await client.ask("POST /broker/commit", {
        body: { topic, group: "g:1", partition: 1, offset: 2 },
      });
      const { body } = await client.ask(`GET /broker/topics/${topic}`);
      expect(body).toEqual({
        ok: true,
        topic,
        partitions: [
          { partition: 0, low_watermark: 0, end_offset: 0, bytes: 0 },
          { partition: 1, low_watermark: 0, end_offset: 3, bytes: 3 },
        ],
        groups: [{ group: "g:1", partition: 1, committed_offset: 2, lag: 1 }],
      });
    });
    test("a deleted topic is gone, and begins again at 0 when it is made anew", async () => {
      const topic = await client.topic("deleted");
      await client.produce(topic, "x");
      expect((await client.ask(`DELETE /broker/topics/${topic}`)).body["ok"]).toBe(true);
      expectError(await client.ask(`GET /broker/topics/${topic}`), 404, "topic_not_found");
      expectError(await client.consume(topic), 404, "topic_not_found");
      expectError(await client.ask(`DELETE /broker/topics/${topic}`), 404, "topic_not_found");
      expect((await client.produce(topic, "y")).body["offset"]).toBe(0);
      expect(await client.values(topic)).toEqual(["y"]);
    });

    test("a produce creates its topic with 8 partitions", async () => {
      const topic = freshName("auto");
      expect((await client.produce(topic, "x", "partition=7")).body["partition"]).toBe(7);
      const { body } = await client.ask(`GET /broker/topics/${topic}`);
      expect((body["partitions"] as unknown[]).length).toBe(8);
    });
    for (const query of [
      "partition=8",
      "partition=x",
      "mode=fast",
      "idempotency_key=",
      "timeout_ms=-1",
    ]) {
      test(`a produce with ${query} creates nothing`, async () => {
        const topic = freshName("invalid");
        expect((await client.produce(topic, "x", query)).status).toBeGreaterThanOrEqual(400);
        expectError(await client.ask(`GET /broker/topics/${topic}`), 404, "topic_not_found");
      });
    }
  });
}
