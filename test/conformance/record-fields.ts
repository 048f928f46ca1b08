/** CONTRACT 12: queries, joins and views name key, offset, time and headers of records. */
import { describe, expect, test } from "bun:test";
import { Client, freshName, type Json, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const ask = async (path: string, body: Json): Promise<Json> => {
    const answer = await client.ask(path, { body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    return answer.body;
  };

  /** Values that have own fields of such names, and one that is not an object. */
  async function filled(): Promise<string> {
    const topic = await client.topic("fields");
    const records = [
      { value: { n: 1, $key: "own" }, key: "a", headers: { "geo.city": "k", source: "web" } },
      { value: { n: 2, $offset: "own" }, key: "b", headers: { source: "app" } },
      { value: { n: 3, $headers: { source: "own" } } },
      { value: 7, key: "a", headers: { source: "web" } },
    ];
    await ask(`POST /broker/topics/${topic}/produce-json?partition=0`, { records });
    return topic;
  }

  describe("fields of records", () => {
    for (const [field, op, value, offsets] of [
      ["$key", "eq", "a", [0, 3]],
      ["$key", "in", ["b", "own"], [1]],
      ["$offset", "ge", 2, [2, 3]],
      ["$offset", "eq", "own", []],
      ["$timestamp_ms", "gt", 1_600_000_000_000, [0, 1, 2, 3]],
      ["$headers.source", "eq", "web", [0, 3]],
      ["$headers.Source", "ne", "web", [1]],
      ["$headers.geo.city", "contains", "k", [0]],
      ["$headers.none", "ne", "x", []],
    ] as const) {
      test(`filter ${field} ${op} ${JSON.stringify(value)}`, async () => {
        const topic = await filled();
        const { rows } = await ask("POST /broker/query", {
          source: { topic, partition: 0 },
          filter: [{ field, op, value }],
          transform: { left_fields: ["$offset"], emit_rows: 10 },
        });
        expect(rows).toEqual(offsets.map((offset) => ({ $offset: offset })));
      });
    }
    test("projections have them; whole rows are the values as they are", async () => {
      const topic = await filled();
      const source = { topic, partition: 0 };
      const fields = ["n", "$key", "$headers.geo.city", "$headers.source"];
      const { rows } = await ask("POST /broker/query", {
        source,
        transform: { left_fields: fields, emit_rows: 10 },
      });
      expect(rows).toEqual([
        { n: 1, $key: "a", $headers: { "geo.city": "k", source: "web" } },
        { n: 2, $key: "b", $headers: { source: "app" } },
        { n: 3 },
        { $key: "a", $headers: { source: "web" } },
      ]);
      const whole = await ask("POST /broker/query", {
        source,
        filter: [{ field: "$offset", op: "lt", value: 3 }],
        transform: { emit_rows: 10 },
      });
      expect(whole["rows"]).toEqual([
        { n: 1, $key: "own" },
        { n: 2, $offset: "own" },
        { n: 3, $headers: { source: "own" } },
      ]);
    });
    test("group_by, measures and windows take them, in a query and in a view", async () => {
      const topic = await filled();
      const body = {
        source: { topic },
        window: { size_ms: 1_000_000_000_000, time_field: "$timestamp_ms" },
        aggregate: {
          group_by: ["$headers.source"],
          measures: [{ op: "max", field: "$offset", as: "last" }],
        },
      };
      const counts = (answer: Json) =>
        (answer["aggregates"] as Json[]).map(({ group, count, last }) => [group, count, last]);
      const wanted = [
        [{ "$headers.source": "web" }, 2, 3],
        [{ "$headers.source": "app" }, 1, 1],
        [{ "$headers.source": null }, 1, 2],
      ];
      const queried = await ask("POST /broker/query", {
        ...body,
        source: { topic, partition: 0 },
      });
      expect(counts(queried)).toEqual(expect.arrayContaining(wanted));
      expect(counts(queried).length).toBe(3);
      const view = freshName("view");
      await ask(`PUT /broker/views/${view}`, body);
      let seen: Json = {};
      for (let i = 0; i < 200 && seen["lag"] !== 0; i++) {
        await Bun.sleep(20);
        const answer = await client.ask(`GET /broker/views/${view}`);
        if (answer.status === 200) seen = answer.body;
      }
      expect(counts(seen)).toEqual(expect.arrayContaining(wanted));
    });
    test("joins match by them", async () => {
      const left = await filled();
      const right = await filled();
      const { rows } = await ask("POST /broker/join", {
        left: { topic: left, partition: 0 },
        right: { topic: right, partition: 0 },
        on: { left_keys: ["$key", "$headers.source"], right_keys: ["$key", "$headers.source"] },
        window: { size_ms: 600_000 },
        emit: { left_fields: ["$offset"], right_fields: ["$key", "n"] },
      });
      expect((rows as Json[]).map(({ key, left: l, right: r }) => [key, l, r])).toEqual([
        ["a|web", { $offset: 0 }, { $key: "a", n: 1 }],
        ["a|web", { $offset: 0 }, { $key: "a" }],
        ["b|app", { $offset: 1 }, { $key: "b", n: 2 }],
        ["a|web", { $offset: 3 }, { $key: "a", n: 1 }],
        ["a|web", { $offset: 3 }, { $key: "a" }],
      ]);
    });
  });
}
