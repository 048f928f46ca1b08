/** CONTRACT 10: queries, and what is wrong with queries and joins. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import {
  AVRO,
  avro,
  BIG,
  joinOf,
  PROTO,
  proto,
  StreamClient,
  textOf,
} from "../tools/conformance/stream-samples.ts";
import { freshName, type Json, type TargetOf } from "../tools/conformance/target.ts";

const sourceOf = (body: Json): Json => body["source"] as Json;

const ORDERS = [
  { region: "us", plan: "pro", x: 5, a: { b: 1, c: 2 } },
  { region: "eu", plan: "pro", x: 2.5, a: { b: 2, c: 2 } },
  { region: "us", plan: "free", x: 7, tags: ["new", "vip"] },
  { region: "us", plan: "pro", x: null },
];

export function register(target: TargetOf): void {
  const client = new StreamClient(target);
  const query = (body: Json) => client.query(body);
  const join = (body: Json) => client.join(body);
  const filled = (values: readonly unknown[] = ORDERS) => client.filled(values);
  const rowsOf = async (topic: string, more: Json) => {
    const { body } = await query({
      source: { topic, partition: 0 },
      transform: { emit_rows: 100 },
      ...more,
    });
    return body["rows"] as Json[];
  };

  describe("query", () => {
    test("groups, measures and the place in the partition", async () => {
      const topic = await filled();
      const { body } = await query({
        source: { topic, partition: 0, group: "g" },
        aggregate: {
          group_by: ["region", "plan"],
          measures: ["sum", "avg", "min", "max"].map((op) => ({ op, field: "x" })),
        },
      });
      expect(body).toMatchObject({
        ok: true,
        rows: [],
        source: { topic, group: "g", partition: 0, next_offset: 4, consumed: 4, undecodable: 0 },
      });
      const group = { region: "us", plan: "pro" };
      expect(body["aggregates"]).toContainEqual({
        key: "region=us|plan=pro",
        group,
        count: 2,
        sum_x: 5,
        avg_x: 5,
        min_x: 5,
        max_x: 5,
      });
      expect(body["aggregates"]).toHaveLength(3);
    });

    for (const [op, value, field, kept] of [
      ["eq", "us", "region", 3],
      ["ne", "us", "region", 1],
      ["lt", 5, "x", 1],
      ["le", 5, "x", 2],
      ["gt", 5, "x", 1],
      ["ge", 5, "x", 2],
      ["in", ["eu", "ap"], "region", 1],
      ["contains", "vip", "tags", 1],
      ["contains", "r", "plan", 4],
      ["eq", 2, "a.b", 1],
    ] as const) {
      test(`filter ${field} ${op} ${JSON.stringify(value)} keeps ${kept}`, async () => {
        const topic = await filled();
        expect(await rowsOf(topic, { filter: [{ field, op, value }] })).toHaveLength(kept);
      });
    }

    test("all filters must hold", async () => {
      const topic = await filled();
      const filter = [
        { field: "region", op: "eq", value: "us" },
        { field: "plan", op: "eq", value: "free" },
      ];
      expect(await rowsOf(topic, { filter })).toEqual([ORDERS[2] as Json]);
    });

    test("left_fields projects, and nested values stay nested", async () => {
      const topic = await filled();
      const transform = { left_fields: ["region", "a.b"], emit_rows: 2 };
      expect(await rowsOf(topic, { transform })).toEqual([
        { region: "us", a: { b: 1 } },
        { region: "eu", a: { b: 2 } },
      ]);
    });

    test("without emit_rows there are no rows, without aggregate no aggregates", async () => {
      const { body } = await query({ source: { topic: await filled(), partition: 0 } });
      expect(body).toMatchObject({ rows: [], aggregates: [], source: { consumed: 4 } });
    });

    test("windows tumble over a field of the record", async () => {
      const topic = await filled([{ at: 5 }, { at: 9 }, { at: 10 }, { at: -1 }, { no: 1 }]);
      const { body } = await query({
        source: { topic, partition: 0 },
        window: { type: "tumbling", size_ms: 10, time_field: "at" },
      });
      const windows = (body["aggregates"] as Json[]).map((row) => [
        row["window_start_ms"],
        row["window_end_ms"],
        row["count"],
      ]);
      expect(windows).toEqual([
        [-10, 0, 1],
        [0, 10, 2],
        [10, 20, 1],
      ]);
      expect(sourceOf(body)["untimed"]).toBe(1);
    });

    test("a window without a field takes the record's timestamp", async () => {
      const topic = await filled([{}]);
      const { body } = await query({
        source: { topic, partition: 0 },
        window: { size_ms: 3_600_000 },
      });
      const [row] = body["aggregates"] as Json[];
      expect(Math.abs(Number(row?.["window_start_ms"]) - Date.now())).toBeLessThan(7_200_000);
    });

    test("integers of 64 bits and more keep their value, also in filters and sums", async () => {
      const topic = await filled([`{"id":${BIG}}`, `{"id":${BIG - 1n}}`, `{"id":${2n ** 70n}}`]);
      const body =
        `{"source":{"topic":"${topic}","partition":0},` +
        `"filter":[{"field":"id","op":"in","value":[${BIG},${2n ** 70n}]}],` +
        '"aggregate":{"measures":[{"op":"sum","field":"id"}]},"transform":{"emit_rows":9}}';
      const text = textOf((await client.ask("POST /broker/query", { body })).bytes);
      expect(text).toContain(`"rows":[{"id":${BIG}},{"id":${2n ** 70n}}]`);
      expect(text).toContain(`"sum_id":${BIG + 2n ** 70n}`);
    });

    test("integers of 500 digits take part in sums, and longer ones are not dropped in silence", async () => {
      const huge = 10n ** 499n + 1n;
      const topic = await filled([`{"n":${huge}}`, '{"n":2}', `{"n":${"9".repeat(10_001)}}`]);
      const aggregate = {
        measures: [
          { op: "sum", field: "n" },
          { op: "max", field: "n" },
        ],
      };
      const { body, bytes } = await query({ source: { topic, partition: 0 }, aggregate });
      expect(textOf(bytes)).toContain(`"sum_n":${huge + 2n},"max_n":${huge}`);
      expect(sourceOf(body)).toMatchObject({ consumed: 3, undecodable: 1, out_of_range: 0 });
    });

    test("a measure may be named like a part of the prototype", async () => {
      const topic = await filled([{ n: 2 }, { n: 3 }]);
      const measures = ["__proto__", "constructor"].map((as) => ({ op: "sum", field: "n", as }));
      const { bytes } = await query({ source: { topic, partition: 0 }, aggregate: { measures } });
      expect(textOf(bytes)).toContain('"count":2,"__proto__":5,"constructor":5}');
    });

    test("a record that does not decode is counted and skipped", async () => {
      const topic = await filled([{ a: 1 }, "not json", "[1,", { a: 2 }]);
      const { body } = await query({
        source: { topic, partition: 0 },
        transform: { emit_rows: 9 },
      });
      expect(body["rows"]).toEqual([{ a: 1 }, { a: 2 }]);
      expect(sourceOf(body)).toMatchObject({ consumed: 4, undecodable: 2, next_offset: 4 });
    });

    test("without an offset it begins at the committed one, and commits nothing", async () => {
      const topic = await filled();
      const source = { topic, partition: 0, group: "g" };
      await client.ask("POST /broker/commit", {
        body: { topic, group: "g", partition: 0, offset: 3 },
      });
      for (const _ of [1, 2]) {
        expect(sourceOf((await query({ source })).body)).toMatchObject({
          consumed: 1,
          next_offset: 4,
        });
      }
      const fromStart = await query({ source: { ...source, offset: 1 } });
      expect(sourceOf(fromStart.body)).toMatchObject({ consumed: 3 });
      const other = await query({ source: { ...source, group: "other" } });
      expect(sourceOf(other.body)).toMatchObject({ consumed: 4 });
    });

    test("limit bounds what is read, and next_offset goes on", async () => {
      const topic = await filled(Array.from({ length: 300 }, (_, i) => ({ i })));
      const page = async (source: Json) =>
        sourceOf((await query({ source: { topic, partition: 0, ...source } })).body);
      expect(await page({})).toMatchObject({ consumed: 200, next_offset: 200 });
      expect(await page({ offset: 200 })).toMatchObject({ consumed: 100, next_offset: 300 });
      expect(await page({ offset: 299, limit: 5 })).toMatchObject({ consumed: 1 });
      expect(await page({ offset: 300 })).toMatchObject({ consumed: 0, next_offset: 300 });
      const beyond = await query({ source: { topic, partition: 0, offset: 900 } });
      expect(beyond.status).toBe(416);
      expect(beyond.body).toMatchObject({ error: "offset_out_of_range", end_offset: 300 });
    });

    test("an aggregate covers everything, unless a limit says otherwise", async () => {
      const topic = await filled(Array.from({ length: 11_000 }, (_, i) => ({ i: i % 3 })));
      const ask = async (source: Json, more: Json = {}) =>
        (await query({ source: { topic, partition: 0, ...source }, ...more })).body;
      const counted = { aggregate: { group_by: ["i"] } };
      const countsOf = (body: Json) => (body["aggregates"] as Json[]).map((row) => row["count"]);
      const whole = await ask({}, counted);
      expect(countsOf(whole)).toEqual([3667, 3667, 3666]);
      expect(whole).toMatchObject({
        truncated: false,
        source: { consumed: 11_000, next_offset: 11_000, truncated: false },
      });
      const windowed = await ask({ offset: 1000 }, { window: { size_ms: 1e15 } });
      expect(countsOf(windowed)).toEqual([10_000]);
      const part = await ask({ limit: 300 }, counted);
      expect(countsOf(part)).toEqual([100, 100, 100]);
      expect(part).toMatchObject({
        truncated: true,
        source: { consumed: 300, next_offset: 300, truncated: true },
      });
      expect((await ask({ offset: 10_700, limit: 300 }, counted))["truncated"]).toBe(false);
      expect((await ask({ offset: 10_700, limit: 299 }, counted))["truncated"]).toBe(true);
    });

    test("rows end with the last one that is asked for, and go on behind it", async () => {
      const topic = await filled(Array.from({ length: 50 }, (_, i) => ({ i })));
      const filter = [{ field: "i", op: "ge", value: 10 }];
      const ask = async (offset: number, more: Json = {}) =>
        (
          await query({
            source: { topic, partition: 0, offset },
            filter,
            transform: { emit_rows: 15 },
            ...more,
          })
        ).body;
      const first = await ask(0);
      expect(first).toMatchObject({ truncated: true, source: { next_offset: 25, consumed: 25 } });
      const seen = [...(first["rows"] as Json[])];
      for (let body = first; body["truncated"] === true; ) {
        body = await ask(Number(sourceOf(body)["next_offset"]));
        seen.push(...(body["rows"] as Json[]));
      }
      expect(seen.map(({ i }) => i)).toEqual(Array.from({ length: 40 }, (_, i) => i + 10));
      const both = await ask(0, { aggregate: {} });
      expect(both["rows"]).toHaveLength(15);
      expect(both["aggregates"]).toEqual([{ key: "", group: {}, count: 40 }]);
      expect(both).toMatchObject({ truncated: false, source: { rows_next_offset: 25 } });
    });

    test("deleted records are passed over", async () => {
      const topic = await filled();
      await client.ask("POST /broker/delete-before", {
        body: { topic, partition: 0, before_offset: 3 },
      });
      const { body } = await query({ source: { topic, partition: 0, offset: 0 } });
      expect(sourceOf(body)).toMatchObject({ consumed: 1, next_offset: 4 });
    });

    test("Avro and Protobuf are decoded by the schema in the request", async () => {
      const topic = await client.topic("binary");
      await client.produce(topic, avro(BIG, "Ann"));
      await client.produce(topic, proto(BIG, "hi"), "partition=1");
      const ask = async (partition: number, decode: Json) => {
        const source = { topic, partition, decode };
        return textOf((await query({ source, transform: { emit_rows: 1 } })).bytes);
      };
      expect(await ask(0, { type: "avro", schema_text: AVRO })).toContain(
        `"rows":[{"id":${BIG},"name":"Ann"}]`,
      );
      expect(await ask(0, { type: "avro", schema_text: JSON.stringify(AVRO) })).toContain("Ann");
      expect(await ask(1, { type: "proto", schema_text: PROTO, message: "Order" })).toContain(
        `"rows":[{"id":${BIG},"note":"hi"}]`,
      );
    });

    test("the header of a registry: asked for, ruled out, or known for sure", async () => {
      const fields = ["a", "b", "c", "d", "e"].map((name) => ({ name, type: "string" }));
      const schema_text = JSON.stringify({ type: "record", name: "R", fields });
      const topic = await client.topic("framed");
      for (const id of [12, 100]) {
        await client.produce(topic, new Uint8Array([0, 0, 0, 0, id, 2, 0x78, 0, 0, 0, 0]));
      }
      await client.produce(topic, new Uint8Array([0, 0, 0, 0, 7, 0, 8, 5]), "partition=1");
      const ask = async (partition: number, decode: Json) => {
        const source = { topic, partition, decode };
        const { body } = await query({ source, transform: { emit_rows: 9 } });
        return [body["rows"], sourceOf(body)["undecodable"]];
      };
      const row = { a: "x", b: "", c: "", d: "", e: "" };
      const avro_ = { type: "avro", schema_text };
      expect(await ask(0, avro_)).toEqual([[row], 1]);
      expect(await ask(0, { ...avro_, framing: "registry" })).toEqual([[row, row], 0]);
      const [, undecodable] = await ask(0, { ...avro_, framing: "none" });
      expect(undecodable).toBe(1);
      const proto_ = { type: "proto", schema_text: 'syntax="proto3"; message M { int32 a = 1; }' };
      expect(await ask(1, proto_)).toEqual([[{ a: 5 }], 0]);
      expect(await ask(1, { ...proto_, framing: "registry" })).toEqual([[{ a: 5 }], 0]);
      expect(await ask(1, { ...proto_, framing: "none" })).toEqual([[], 1]);
      const wrong = { source: { topic, partition: 0, decode: { ...avro_, framing: "kafka" } } };
      expectError(await query(wrong), 400, "invalid_field", ["field"]);
    });

    test("a byte order mark before JSON is skipped, and stored as it was sent", async () => {
      const topic = await client.topic("marked");
      const lines = '\ufeff{"a":1}\n\ufeff"text"\n{"a":2}';
      await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=0`, { body: lines });
      const asked = JSON.stringify({
        source: { topic, partition: 0 },
        transform: { emit_rows: 9 },
      });
      const { body } = await client.ask("POST /broker/query", { body: `\ufeff${asked}` });
      expect(body["rows"]).toEqual([{ a: 1 }, { a: 2 }]);
      expect(sourceOf(body)["undecodable"]).toBe(1);
      const { body: page } = await client.ask(`GET /broker/consume/${topic}/g/0?encoding=b64`);
      const stored = (page["messages"] as Json[]).map(({ value_b64 }) =>
        Buffer.from(String(value_b64), "base64").toString(),
      );
      expect(stored).toEqual(['\ufeff{"a":1}', "text", '{"a":2}']);
      const name = freshName("marked");
      const made = await client.ask("POST /broker/topics", { body: `\ufeff{"name":"${name}"}` });
      expect(made.body).toMatchObject({ ok: true, topic: name });
    });

    test("10,000 records may be read at once, one more is refused", async () => {
      const topic = await filled();
      const ask = (limit: number) => query({ source: { topic, partition: 0, limit } });
      expect((await ask(10_000)).status).toBe(200);
      expectError(await ask(10_001), 400, "invalid_field", ["field"]);
    });

    test("an answer that would keep too much ends, and says where it goes on", async () => {
      const topic = await client.topic("large");
      const line = JSON.stringify({ filler: "x".repeat(1_000_000) });
      for (let i = 0; i < 36; i++) await client.produce(topic, line);
      const ask = (limit: number) =>
        query({ source: { topic, partition: 0, limit }, transform: { emit_rows: 100 } });
      expect((await ask(3)).body["rows"]).toHaveLength(3);
      const { body } = await ask(100);
      const rows = (body["rows"] as Json[]).length;
      expect(rows).toBeGreaterThan(30);
      expect(rows).toBeLessThan(36);
      expect(body).toMatchObject({ truncated: true, source: { next_offset: rows } });
    });
  });

  describe("wrong bodies name the field", () => {
    const SOURCE = { topic: "t", partition: 0 };
    for (const [field, code, body] of [
      ["source", "missing_field", {}],
      ["source.topic", "missing_topic", { source: { partition: 0 } }],
      ["source.topic", "invalid_topic", { source: { topic: "a b", partition: 0 } }],
      ["source.group", "invalid_group", { source: { ...SOURCE, group: "a/b" } }],
      ["source.partition", "missing_field", { source: { topic: "t" } }],
      ["source.partition", "invalid_field", { source: { topic: "t", partition: -1 } }],
      ["source.offset", "invalid_field", { source: { ...SOURCE, offset: 1.5 } }],
      ["source.limit", "invalid_field", { source: { ...SOURCE, limit: "5" } }],
      ["source.limit", "invalid_field", { source: { ...SOURCE, limit: 0 } }],
      ["source.decode.type", "invalid_field", { source: { ...SOURCE, decode: { type: "xml" } } }],
      [
        "source.decode.schema_text",
        "missing_field",
        { source: { ...SOURCE, decode: { type: "avro" } } },
      ],
      [
        "source.decode.schema_text",
        "invalid_field",
        { source: { ...SOURCE, decode: { type: "proto", schema_text: "massage X {}" } } },
      ],
      ["filter", "invalid_field", { source: SOURCE, filter: {} }],
      ["filter[1].op", "invalid_field", wrongSecondFilter(SOURCE)],
      ["filter[0].value", "missing_field", { source: SOURCE, filter: [{ field: "a", op: "eq" }] }],
      ["window.size_ms", "invalid_field", { source: SOURCE, window: { size_ms: 0 } }],
      [
        "aggregate.measures[0].op",
        "invalid_field",
        { source: SOURCE, aggregate: { measures: [{ op: "median", field: "x" }] } },
      ],
      [
        "aggregate.group_by",
        "invalid_field",
        { source: SOURCE, aggregate: { group_by: "region" } },
      ],
      ["transform.emit_rows", "invalid_field", { source: SOURCE, transform: { emit_rows: -1 } }],
    ] as const) {
      test(`query: ${code} at ${field}`, async () => {
        const answer = await query(body);
        expectError(answer, 400, code, ["field"]);
        expect(answer.body["field"]).toBe(field);
        expect(String(answer.body["message"])).toContain(field);
      });
    }
    for (const [field, code, body] of [
      ["right", "missing_field", { left: SOURCE, on: { left_key: "a", right_key: "b" } }],
      ["on", "missing_field", { left: SOURCE, right: SOURCE }],
      ["on.right_keys", "invalid_field", unevenKeys(SOURCE)],
      ["join.type", "invalid_field", joinOf(SOURCE, { join: { type: "outer" } })],
      ["emit.missing_as", "invalid_field", joinOf(SOURCE, { emit: { missing_as: "zero" } })],
      ["window.size_ms", "invalid_field", joinOf(SOURCE, { window: { size_ms: -1 } })],
    ] as const) {
      test(`join: ${code} at ${field}`, async () => {
        const answer = await join(body);
        expectError(answer, 400, code, ["field"]);
        expect(answer.body["field"]).toBe(field);
      });
    }
    test("no JSON, a list, a repeated field, an empty body", async () => {
      for (const [body, code] of [
        ["{", "invalid_json"],
        ["[]", "invalid_json"],
        ["", "invalid_json"],
        ['{"source":1,"source":2}', "duplicate_field"],
      ] as const) {
        expectError(await client.ask("POST /broker/query", { body }), 400, code);
        expectError(await client.ask("POST /broker/join", { body }), 400, code);
      }
    });
    test("unknown fields are refused", async () => {
      const topic = await filled();
      const source = { topic, partition: 0 };
      expectError(await query({ source, more: [] }), 400, "unknown_field");
      expectError(await query({ source, retain: {} }), 400, "unknown_field");
      expectError(await query({ source: { ...source, colour: 1 } }), 400, "unknown_field");
    });
    test("a body that is too large is 413 and says the limit", async () => {
      const body = { source: SOURCE, filler: "x".repeat(600_000) };
      expectError(await query(body), 413, "request_too_large", ["limit"]);
    });
    test("an unknown topic or partition is 404", async () => {
      const topic = await filled();
      const unknown = { topic: `${topic}x`, partition: 0 };
      const beyond = { topic, partition: 9 };
      const on = { left_key: "a", right_key: "a" };
      expectError(await query({ source: unknown }), 404, "topic_not_found", ["field"]);
      expectError(await query({ source: beyond }), 404, "partition_not_found", ["field"]);
      const right = await join({ left: { topic, partition: 0 }, right: beyond, on });
      expectError(right, 404, "partition_not_found", ["field"]);
      expect(right.body["field"]).toBe("right.partition");
    });
    test("reading needs the scope for every topic that is named", async () => {
      const { reader, ordersWriter } = target();
      if (reader === undefined || ordersWriter === undefined) return;
      const topic = await filled();
      const source = { topic, partition: 0 };
      const body = { source };
      const as = (token: string) => client.ask("POST /broker/query", { body, token });
      expect((await as(reader)).status).toBe(200);
      expectError(await as(ordersWriter), 403, "forbidden");
      const both = joinOf(source, {});
      expectError(
        await client.ask("POST /broker/join", { body: both, token: ordersWriter }),
        403,
        "forbidden",
      );
      expect((await client.ask("POST /broker/query", { body, token: null })).status).toBe(401);
    });
  });
}

function wrongSecondFilter(source: Json): Json {
  const filter = [
    { field: "a", op: "eq", value: 1 },
    { field: "a", op: "like", value: 1 },
  ];
  return { source, filter };
}

const unevenKeys = (source: Json): Json => ({
  left: source,
  right: source,
  on: { left_keys: ["a"], right_keys: ["a", "b"] },
});
