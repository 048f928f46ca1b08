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
    test("names of 249 characters work in every place of a path, and none of 250 does", async () => {
      const name = `${freshName("long")}-`.padEnd(249, "n");
      const group = `${freshName("long")}:`.padEnd(249, "g");
      expect((await create({ name, partitions: 1 })).status).toBe(200);
      const asked: readonly (readonly [string, string, string | null])[] = [
        [`POST /broker/topics/${name}/produce?partition=0`, "invalid_topic", "x"],
        [`POST /broker/topics/${name}/produce-ndjson?partition=0`, "invalid_topic", "x"],
        [`GET /broker/topics/${name}`, "invalid_topic", null],
        [`GET /broker/consume/${name}/g/0`, "invalid_topic", null],
        [`GET /broker/consume/t/${group}/0`, "invalid_group", null],
        [`POST /kv/${name}/k`, "invalid_namespace", "x"],
        [`GET /kv/${name}/k`, "invalid_namespace", null],
        [`GET /kv/${name}`, "invalid_namespace", null],
        [`DELETE /kv/${name}/k`, "invalid_namespace", ""],
        [`DELETE /broker/groups/${group}`, "invalid_group", ""],
        [`DELETE /broker/topics/${name}`, "invalid_topic", ""],
      ];
      const place = { topic: name, group, partition: 0, offset: 0 };
      expect((await client.ask("POST /broker/commit", { body: place })).status).toBe(200);
      const read = await client.ask(`GET /broker/consume/${name}/${group}/0`);
      expect(read.body["committed_offset"]).toBe(0);
      for (const [line, code, body] of asked) {
        const ask = body === null ? {} : { body };
        const longer = line.replace(name, `${name}n`).replace(group, `${group}g`);
        expectError(await client.ask(longer, ask), 400, code);
        const { status } = await client.ask(line.replace("/t/", `/${name}/`), ask);
        expect(`${line.slice(0, 20)} ${status}`).toBe(`${line.slice(0, 20)} 200`);
      }
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
    test("the list has pages, in the order of the names", async () => {
      const prefix = `${freshName("paged")}.`;
      const names = ["-", "A", "B.1", "_", "a"].map((end) => prefix + end);
      for (const name of names.toReversed()) await create({ name, partitions: 1 });
      const page = async (query: string): Promise<Json> => {
        const { body } = await client.ask(`GET /broker/topics?prefix=${prefix}${query}`);
        const topics = (body["topics"] as Json[]).map(({ topic }) => topic);
        return { ...body, topics };
      };
      const after = (i: number) => `&after=${names[i]}`;
      expect(await page("")).toEqual({ ok: true, topics: names });
      expect(await page(after(1))).toEqual({ ok: true, topics: names.slice(2) });
      const first = { ok: true, topics: names.slice(0, 2), next: names[1] };
      expect(await page("&limit=2")).toEqual(first);
      const second = { ok: true, topics: names.slice(2, 4), next: names[3] };
      expect(await page(`&limit=2${after(1)}`)).toEqual(second);
      const last = { ok: true, topics: names.slice(4), next: null };
      expect(await page(`&limit=2${after(3)}`)).toEqual(last);
      expect(await page("&limit=5")).toEqual({ ok: true, topics: names, next: null });
      expect(await page("&limit=9007199254740991")).toMatchObject({ topics: names, next: null });
      expect(await page(`&limit=1${after(4)}`)).toEqual({ ok: true, topics: [], next: null });
      for (const query of ["limit=0", "limit=", "limit=-1", "limit=1e3"]) {
        expectError(await client.ask(`GET /broker/topics?${query}`), 400, "invalid_parameter");
      }
      expectError(await client.ask("GET /broker/topics?limt=1"), 400, "unknown_parameter");
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
        groups: [
          { group: "g:1", partition: 0, committed_offset: null, lag: 0 },
          { group: "g:1", partition: 1, committed_offset: 2, lag: 1 },
        ],
      });
    });
    test("very many groups and partitions are described to the last one", async () => {
      const topic = await client.topic("wide", 1024);
      const groups = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
      for (const group of groups.toReversed()) {
        const place = { topic, group, partition: 7, offset: 0 };
        expect((await client.ask("POST /broker/commit", { body: place })).status).toBe(200);
      }
      const { body } = await client.ask(`GET /broker/topics/${topic}`);
      expect((body["partitions"] as Json[]).length).toBe(1024);
      const rows = groups.flatMap((group) =>
        Array.from({ length: 1024 }, (_, partition) => {
          const committed = partition === 7 ? 0 : null;
          return { group, partition, committed_offset: committed, lag: 0 };
        }),
      );
      expect(body["groups"]).toEqual(rows);
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
