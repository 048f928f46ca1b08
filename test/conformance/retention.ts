/** CONTRACT 6. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, type Json, messagesOf, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const deleteBefore = (body: Json) => client.ask("POST /broker/delete-before", { body });
  const setRetention = (body: Json) => client.ask("POST /broker/retention", { body });
  const filled = async () => {
    const topic = await client.topic("retained");
    for (const value of ["aa", "bb", "cc", "dd"]) await client.produce(topic, value);
    return topic;
  };

  describe("delete-before", () => {
    test("records below the floor are gone for ever, and offsets go on", async () => {
      const topic = await filled();
      const { body } = await deleteBefore({ topic, partition: 0, before_offset: 3 });
      expect(body).toEqual({ ok: true, deleted_count: 3, freed_bytes: 6 });
      const page = (await client.consume(topic, "offset=0")).body;
      expect(page).toMatchObject({ count: 1, next_offset: 4, low_watermark: 3, end_offset: 4 });
      expect(messagesOf(page)[0]).toMatchObject({ offset: 3, value: "dd" });
      expect((await client.produce(topic, "ee")).body["offset"]).toBe(4);
    });
    test("the floor never moves back, and the same again deletes nothing", async () => {
      const topic = await filled();
      await deleteBefore({ topic, partition: 0, before_offset: 3 });
      for (const before of [3, 1]) {
        const { body } = await deleteBefore({ topic, partition: 0, before_offset: before });
        expect(body).toMatchObject({ ok: true, deleted_count: 0 });
      }
      expect((await client.consume(topic, "offset=0")).body["low_watermark"]).toBe(3);
    });
    test("everything can go, and beyond the end everything that there is goes", async () => {
      const topic = await filled();
      const answer = await deleteBefore({ topic, partition: 0, before_offset: 3 });
      expect(answer.body).not.toHaveProperty("clamped");
      expect(await deleteBefore({ topic, partition: 0, before_offset: 99 })).toMatchObject({
        status: 200,
        body: { ok: true, deleted_count: 1, clamped: true },
      });
      const again = await deleteBefore({ topic, partition: 0, before_offset: 4 });
      expect(again.body).toEqual({ ok: true, deleted_count: 0, freed_bytes: 0 });
      expect((await client.consume(topic, "offset=0")).body).toMatchObject({
        count: 0,
        next_offset: 4,
        low_watermark: 4,
      });
    });
    test("wrong requests are refused", async () => {
      const topic = await filled();
      expectError(await deleteBefore({ topic, partition: 0 }), 400, "missing_field");
      expectError(
        await deleteBefore({ topic, partition: 0, before_offset: -1 }),
        400,
        "invalid_field",
      );
      expectError(
        await deleteBefore({ topic, partition: 7, before_offset: 0 }),
        404,
        "partition_not_found",
      );
      expectError(
        await deleteBefore({ topic: `${topic}x`, partition: 0, before_offset: 0 }),
        404,
        "topic_not_found",
      );
    });
  });

  describe("retention", () => {
    test("a policy is set in parts and shown", async () => {
      const topic = await filled();
      expect((await setRetention({ topic, ttl_ms: 86_400_000 })).body).toEqual({
        ok: true,
        ttl_applied: true,
        size_applied: false,
      });
      expect((await setRetention({ topic, partition: 1, max_bytes: 1_000_000 })).body).toEqual({
        ok: true,
        ttl_applied: false,
        size_applied: true,
      });
      const { body } = await client.ask("GET /broker/retention");
      expect(body["policies"]).toContainEqual({
        topic,
        partition: null,
        ttl_ms: 86_400_000,
        max_bytes: null,
      });
      expect(body["policies"]).toContainEqual({
        topic,
        partition: 1,
        ttl_ms: null,
        max_bytes: 1_000_000,
      });
    });
    test("0 switches a rule off", async () => {
      const topic = await filled();
      const { body } = await setRetention({ topic, ttl_ms: 0, max_bytes: 0 });
      expect(body).toEqual({ ok: true, ttl_applied: true, size_applied: true });
      expect((await client.consume(topic, "offset=0")).body["count"]).toBe(4);
    });
    test("null removes a rule, so that the next level applies again", async () => {
      const topic = await filled();
      await setRetention({ topic, ttl_ms: 0, max_bytes: 5_000_000 });
      await setRetention({ topic, partition: 1, ttl_ms: 86_400_000 });
      const policies = async () => {
        const { body } = await client.ask("GET /broker/retention");
        return (body["policies"] as Json[]).filter((each) => each["topic"] === topic);
      };
      expect((await setRetention({ topic, ttl_ms: null })).body).toEqual({
        ok: true,
        ttl_applied: true,
        size_applied: false,
      });
      const whole = { topic, partition: null, ttl_ms: null, max_bytes: 5_000_000 };
      const own = { topic, partition: 1, ttl_ms: 86_400_000, max_bytes: null };
      expect(await policies()).toEqual([whole, own]);
      // Removing one and setting the other is one step.
      await setRetention({ topic, partition: 1, ttl_ms: null, max_bytes: 7 });
      expect(await policies()).toEqual([whole, { ...own, ttl_ms: null, max_bytes: 7 }]);
      await setRetention({ topic, partition: 1, max_bytes: null });
      const { body } = await setRetention({ topic, ttl_ms: null, max_bytes: null });
      expect(body).toEqual({ ok: true, ttl_applied: true, size_applied: true });
      expect(await policies()).toEqual([]);
      expectError(await setRetention({ topic: `${topic}x`, ttl_ms: null }), 404, "topic_not_found");
      const absent = { topic, partition: 9, ttl_ms: null };
      expectError(await setRetention(absent), 404, "partition_not_found");
    });
    for (const [what, body, code] of [
      ["a misspelt field", { tll_ms: 5, ttl_ms: 86_400_000 }, "unknown_field"],
      ["no rule", {}, "missing_field"],
      ["a text", { ttl_ms: "5" }, "invalid_field"],
      ["a negative number", { ttl_ms: -1 }, "invalid_field"],
      ["a fraction", { max_bytes: 1.5 }, "invalid_field"],
    ] as const) {
      test(`${what} is 400 and sets nothing`, async () => {
        const topic = await filled();
        expectError(await setRetention({ topic, ...body }), 400, code);
        const { body: list } = await client.ask("GET /broker/retention");
        expect(JSON.stringify(list)).not.toContain(topic);
      });
    }
    test("an unknown topic, partition or parameter is refused", async () => {
      const topic = await filled();
      expectError(await setRetention({ topic: `${topic}x`, ttl_ms: 0 }), 404, "topic_not_found");
      expectError(
        await setRetention({ topic, partition: 9, ttl_ms: 0 }),
        404,
        "partition_not_found",
      );
      const answer = await client.ask("POST /broker/retention?tpoic=1", {
        body: { topic, ttl_ms: 0 },
      });
      expectError(answer, 400, "unknown_parameter");
    });
  });
}
