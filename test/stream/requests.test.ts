import { expect, test } from "bun:test";
import { DecoderCache } from "../../src/stream/codecs/decoder-cache.ts";
import { parseJoinRequest } from "../../src/stream/join-request.ts";
import { parseQueryRequest, parseViewRequest } from "../../src/stream/query-request.ts";

const decoders = new DecoderCache();
const source = { topic: "t", partition: 0 };

/** The path of the wrong field, or "ok". */
const pathOf = (parsed: { ok: true } | { ok: false; path: string; message: string }) => {
  if (parsed.ok) return "ok";
  expect(parsed.message.length).toBeGreaterThan(5);
  return parsed.path;
};
const query = (body: unknown) => pathOf(parseQueryRequest(body, decoders));
const view = (body: unknown) => pathOf(parseViewRequest(body, decoders));
const join = (body: object) =>
  pathOf(
    parseJoinRequest(
      { left: source, right: source, on: { left_key: "a", right_key: "a" }, ...body },
      decoders,
    ),
  );

test("a query names the wrong field by its path", () => {
  const many = Array.from({ length: 10_001 }, (_, i) => i);
  const filter = (item: unknown) => ({
    source,
    filter: [{ field: "a", op: "eq", value: 1 }, item],
  });
  const measures = (...list: unknown[]) => ({ source, aggregate: { measures: list } });
  const decode = (fields: object) => ({ source: { ...source, decode: fields } });
  const cases: [unknown, string][] = [
    [{ source }, "ok"],
    [
      { source: { ...source, offset: 0, limit: 10_000, group: "g:1", unknown: 1 }, unknown: 1 },
      "ok",
    ],
    [null, ""],
    [[], ""],
    ["x", ""],
    [{}, "source"],
    [{ source: 5 }, "source"],
    [{ source: { partition: 0 } }, "source.topic"],
    [{ source: { topic: "a/b", partition: 0 } }, "source.topic"],
    [{ source: { topic: "..", partition: 0 } }, "source.topic"],
    [{ source: { topic: "t" } }, "source.partition"],
    [{ source: { topic: "t", partition: "0" } }, "source.partition"],
    [{ source: { topic: "t", partition: -1 } }, "source.partition"],
    [{ source: { ...source, offset: 1.5 } }, "source.offset"],
    [{ source: { ...source, offset: 2n ** 63n } }, "source.offset"],
    [{ source: { ...source, limit: 0 } }, "source.limit"],
    [{ source: { ...source, limit: 10_001 } }, "source.limit"],
    [{ source: { ...source, group: "a b" } }, "source.group"],
    [{ source, filter: {} }, "filter"],
    [filter(5), "filter[1]"],
    [filter({ op: "eq", value: 1 }), "filter[1].field"],
    [filter({ field: "a..b", op: "eq", value: 1 }), "filter[1].field"],
    [filter({ field: "a", op: "like", value: 1 }), "filter[1].op"],
    [filter({ field: "a", value: 1 }), "filter[1].op"],
    [filter({ field: "a", op: "eq" }), "filter[1].value"],
    [filter({ field: "a", op: "eq", value: null }), "ok"],
    [filter({ field: "a", op: "in", value: 1 }), "filter[1].value"],
    [filter({ field: "a", op: "in", value: many }), "filter[1].value"],
    [filter({ field: "a", op: "lt", value: true }), "filter[1].value"],
    [{ source, window: { type: "sliding", size_ms: 1 } }, "window.type"],
    [{ source, window: { type: "tumbling" } }, "window.size_ms"],
    [{ source, window: { type: "tumbling", size_ms: 0 } }, "window.size_ms"],
    [{ source, window: { type: "tumbling", size_ms: -5 } }, "window.size_ms"],
    [{ source, window: { type: "tumbling", size_ms: 1e18 } }, "window.size_ms"],
    [{ source, window: { type: "tumbling", size_ms: 5, time_field: 5 } }, "window.time_field"],
    [{ source, aggregate: [] }, "aggregate"],
    [{ source, aggregate: { group_by: "a" } }, "aggregate.group_by"],
    [{ source, aggregate: { group_by: ["a", 5] } }, "aggregate.group_by[1]"],
    [measures({ op: "median", field: "a" }), "aggregate.measures[0].op"],
    [measures({ op: "sum" }), "aggregate.measures[0].field"],
    [measures({ op: "sum", field: "a", as: "key" }), "aggregate.measures[0].as"],
    [measures({ op: "sum", field: "a" }, { op: "sum", field: "a" }), "aggregate.measures[1].as"],
    [measures({ op: "count" }, { op: "count" }, { op: "count", as: "n" }), "ok"],
    [{ source, transform: { emit_rows: -1 } }, "transform.emit_rows"],
    [{ source, transform: { emit_rows: 10_001 } }, "transform.emit_rows"],
    [{ source, transform: { left_fields: [""] } }, "transform.left_fields[0]"],
    [decode({}), "source.decode.type"],
    [decode({ type: "xml" }), "source.decode.type"],
    [decode({ type: "avro" }), "source.decode.schema_text"],
    [decode({ type: "avro", schema_text: "{" }), "source.decode.schema_text"],
    [decode({ type: "avro", schema_text: '"int"', encoding: "text" }), "source.decode.encoding"],
    [decode({ type: "proto", schema_text: "message A {} message B {}" }), "source.decode.message"],
    [decode({ type: "proto", schema_text: "message A {}", message: "C" }), "source.decode.message"],
    [decode({ type: "json", field_aliases: { a: "b" } }), "source.decode.field_aliases.a"],
    [decode({ type: "json", apply_defaults: "yes" }), "source.decode.apply_defaults"],
  ];
  for (const [body, path] of cases) expect([body, query(body)]).toEqual([body, path]);
});

test("a view may leave out the partition, and must aggregate", () => {
  expect(view({ source: { topic: "t" }, aggregate: { group_by: ["a"] } })).toBe("ok");
  expect(view({ source: { topic: "t" }, window: { type: "tumbling", size_ms: 5 } })).toBe("ok");
  expect(view({ source: { topic: "t" } })).toBe("aggregate");
  expect(view({ source: { topic: "t", partition: -1 }, aggregate: {} })).toBe("source.partition");
});

test("a join names the wrong field by its path", () => {
  const cases: [object, string][] = [
    [{}, "ok"],
    [{ left: {} }, "left.topic"],
    [{ right: { topic: "t" } }, "right.partition"],
    [
      { right: { ...source, decode: { type: "avro", schema_text: "5" } } },
      "right.decode.schema_text",
    ],
    [{ on: null }, "on"],
    [{ on: {} }, "on.left_key"],
    [{ on: { left_key: "a" } }, "on.right_key"],
    [{ on: { left_keys: [], right_keys: [] } }, "on.left_keys"],
    [{ on: { left_key: "a", left_keys: ["a"], right_keys: ["a"] } }, "on.left_key"],
    [{ on: { right_key: "a", left_keys: ["a"], right_keys: ["a"] } }, "on.right_key"],
    [{ on: { left_keys: ["a"], right_keys: ["a", "b"] } }, "on.right_keys"],
    [{ on: { left_keys: ["a"] } }, "on.right_keys"],
    [{ on: { left_keys: [5], right_keys: ["a"] } }, "on.left_keys[0]"],
    [{ window: { size_ms: -1 } }, "window.size_ms"],
    [{ window: { allowed_lateness_ms: "5" } }, "window.allowed_lateness_ms"],
    [{ join: { type: "cross" } }, "join.type"],
    [{ emit: { max_rows: 0 } }, "emit.max_rows"],
    [{ emit: { missing_as: "nothing" } }, "emit.missing_as"],
    [{ emit: { left_fields: "a" } }, "emit.left_fields"],
    [{ dedupe_once: "yes" }, "dedupe_once"],
    [{ dedupe: { mode: "twice" } }, "dedupe.mode"],
  ];
  for (const [body, path] of cases) expect([body, join(body)]).toEqual([body, path]);
});
