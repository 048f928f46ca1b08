import { expect, test } from "bun:test";
import { avroFingerprint } from "../../src/stream/codecs/avro.ts";
import { parseAvroSchema } from "../../src/stream/codecs/avro-schema.ts";
import type { DecodeSpec } from "../../src/stream/codecs/decoder.ts";
import { DecoderCache } from "../../src/stream/codecs/decoder-cache.ts";
import { toJson } from "../../src/stream/json-output.ts";
import { QueryRun } from "../../src/stream/query.ts";
import { parseQueryRequest } from "../../src/stream/query-request.ts";
import { AVRO_BINARY } from "../tools/stream/decoding.ts";
import { feedAll } from "../tools/stream/records.ts";

const decoders = new DecoderCache();

function decode(spec: Partial<DecodeSpec>, bytes: readonly number[]): string | undefined {
  const compiled = decoders.compile({ ...AVRO_BINARY, ...spec });
  if (!compiled.ok) throw new Error(`${compiled.field}: ${compiled.message}`);
  const value = compiled.decoder.decode(new Uint8Array([9, ...bytes, 9]), 1, 1 + bytes.length);
  return value === undefined ? undefined : toJson(value);
}

const problem = (schemaText: string, message: string | null = null): string => {
  const compiled = decoders.compile({ ...AVRO_BINARY, type: "proto", schemaText, message });
  return compiled.ok ? "ok" : compiled.message;
};

const STRINGS = JSON.stringify({
  type: "record",
  name: "R",
  fields: ["a", "b", "c", "d", "e"].map((name) => ({ name, type: "string" })),
});
const X = [2, 0x78];
const FIVE = [...X, 0, 0, 0, 0];
const FIVE_JSON = '{"a":"x","b":"","c":"","d":"","e":""}';
const header = (id: number) => [0, 0, 0, 0, id];

test("Avro: the header of a registry is asked for, ruled out, or known for sure", () => {
  const avro = (framing: DecodeSpec["framing"]) => ({ schemaText: STRINGS, framing });
  // Under id 12 the header and the value are five strings as well.
  for (const id of [12, 100]) {
    expect(decode(avro("registry"), [...header(id), ...FIVE])).toBe(FIVE_JSON);
  }
  expect(decode(avro("registry"), FIVE)).toBeUndefined();
  expect(decode(avro("registry"), [1, 0, 0, 0, 12, ...FIVE])).toBeUndefined();
  expect(decode(avro("none"), FIVE)).toBe(FIVE_JSON);
  expect(decode(avro("none"), [...header(100), ...FIVE])).toBeUndefined();
  expect(decode(avro("none"), [...header(12), ...FIVE])).toContain('"e":');
  expect(decode(avro(null), FIVE)).toBe(FIVE_JSON);
  expect(decode(avro(null), [...header(100), ...FIVE])).toBe(FIVE_JSON);
  expect(decode(avro(null), [...header(12), ...FIVE])).toBeUndefined();
});

test("Avro: a single object is known by its fingerprint, whatever the framing", () => {
  const schemaText = '{"type":"array","items":"int"}';
  const fingerprint = avroFingerprint(parseAvroSchema(schemaText).canonical);
  const bytes = Array.from({ length: 8 }, (_, i) => Number((fingerprint >> BigInt(8 * i)) & 0xffn));
  const single = [0xc3, 1, ...bytes, 2, 10, 0];
  for (const framing of [null, "none"] as const) {
    expect(decode({ schemaText, framing }, single)).toBe("[5]");
    const foreign = [0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8, 2, 10, 0];
    expect(decode({ schemaText, framing }, foreign)).toBe("[5]");
  }
  expect(decode({ schemaText, framing: "registry" }, single)).toBeUndefined();
});

const TWO =
  'syntax = "proto3"; package p; message A { int32 a = 1; message In { int32 i = 1; } message On { string o = 1; } } ' +
  "enum E { Z = 0; } message B { int32 b = 1; }";

test("Protobuf: the header of a registry with its list of message indexes", () => {
  const proto = (message: string | null, framing: DecodeSpec["framing"] = null) =>
    ({ type: "proto", schemaText: TWO, message, framing }) as const;
  const five = [8, 5];
  for (const framing of ["registry", null] as const) {
    expect(decode(proto("A", framing), [...header(7), 0, ...five])).toBe('{"a":5}');
    expect(decode(proto("A", framing), [...header(7), 2, 0, ...five])).toBe('{"a":5}');
    expect(decode(proto("B", framing), [...header(7), 2, 2, ...five])).toBe('{"b":5}');
    expect(decode(proto("A.In", framing), [...header(7), 4, 0, 0, ...five])).toBe('{"i":5}');
    expect(decode(proto("A.On", framing), [...header(7), 4, 0, 2, 10, 1, 0x68])).toBe('{"o":"h"}');
    // Another message than the one that is asked for is not guessed to be it.
    expect(decode(proto("B", framing), [...header(7), 0, ...five])).toBeUndefined();
    expect(decode(proto("A", framing), [...header(7), 2, 2, ...five])).toBeUndefined();
    // The text has a part of the registered one.
    expect(decode(proto("A", framing), [...header(7), 2, 8, ...five])).toBe('{"a":5}');
    for (const bad of [[], [1], [2], [2, 1], [0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 1]]) {
      expect(decode(proto("A", framing), [...header(7), ...bad])).toBeUndefined();
    }
  }
  expect(decode(proto("A"), five)).toBe('{"a":5}');
  expect(decode(proto("A", "none"), five)).toBe('{"a":5}');
  expect(decode(proto("A", "none"), [...header(7), 0, ...five])).toBeUndefined();
  expect(decode(proto("A", "registry"), five)).toBeUndefined();
  // The header names the message where the request does not.
  expect(decode(proto(null, "registry"), [...header(7), 2, 2, ...five])).toBe('{"b":5}');
  expect(decode(proto(null, "registry"), [...header(7), 2, 8, ...five])).toBeUndefined();
  expect(problem(TWO)).toContain("which message?");
});

test("JSON behind the header of a registry, if the request says so", () => {
  const json = [...new TextEncoder().encode('{"a":1}')];
  const spec = { type: "json", encoding: "json" } as const;
  expect(decode({ ...spec, framing: "registry" }, [...header(1), ...json])).toBe('{"a":1}');
  expect(decode({ ...spec, framing: "registry" }, json)).toBeUndefined();
  expect(decode(spec, [...header(1), ...json])).toBeUndefined();
});

/** The windows of one record, and how many records had no time. */
function windowOf(decode_: object, bytes: Uint8Array, timeField: string) {
  const parsed = parseQueryRequest(
    {
      source: { topic: "t", partition: 0, decode: decode_ },
      window: { size_ms: 1, time_field: timeField },
    },
    decoders,
  );
  if (!parsed.ok) throw new Error(parsed.message);
  const run = new QueryRun(parsed.request, 0);
  feedAll([{ offset: 0, ts: 5, value: bytes }], (cursor) => run.feed(cursor, 9, 1e9));
  const { aggregates, undecodable, untimed } = run.result();
  expect(undecodable).toBe(0);
  return untimed === 1 ? "untimed" : Number(aggregates[0]?.["window_start_ms"]);
}

const MS = 1_709_208_000_123;

test("a time field has the unit of its logical type, in binary and in JSON", () => {
  const cases: [string, string, bigint, number][] = [
    ["long", "timestamp-millis", BigInt(MS), MS],
    ["long", "timestamp-micros", BigInt(MS) * 1000n + 999n, MS],
    ["long", "timestamp-nanos", BigInt(MS) * 1_000_000n + 999_999n, MS],
    ["long", "local-timestamp-millis", BigInt(MS), MS],
    ["long", "local-timestamp-micros", BigInt(MS) * 1000n, MS],
    ["long", "local-timestamp-nanos", BigInt(MS) * 1_000_000n, MS],
    ["long", "timestamp-micros", -1n, -1],
    ["long", "timestamp-nanos", -(10n ** 18n) - 1n, -1_000_000_000_001],
    ["int", "date", 19782n, 19782 * 86_400_000],
    ["int", "date", -1n, -86_400_000],
    ["long", "none-such", BigInt(MS), MS],
  ];
  for (const [type, logicalType, value, wanted] of cases) {
    for (const inUnion of [false, true]) {
      const plain = { type, logicalType };
      const field = { name: "at", type: inUnion ? ["null", plain] : plain };
      const inner = { type: "record", name: "I", fields: [field] };
      const schema = { type: "record", name: "R", fields: [{ name: "i", type: inner }] };
      const schemaText = JSON.stringify(schema);
      const binary = { type: "avro", schema_text: schemaText };
      const bytes = new Uint8Array([...(inUnion ? [2] : []), ...zigzag(value)]);
      expect(windowOf(binary, bytes, "i.at")).toBe(wanted);
      const json = new TextEncoder().encode(`{"i":{"at":${value}}}`);
      expect(windowOf({ ...binary, encoding: "json" }, json, "i.at")).toBe(wanted);
    }
  }
});

function zigzag(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

test("a google.protobuf.Timestamp is a time, on the wire and as RFC 3339 text", () => {
  const schemaText =
    'syntax = "proto3"; import "google/protobuf/timestamp.proto"; ' +
    "message E { google.protobuf.Timestamp at = 1; map<string, google.protobuf.Timestamp> by = 2; int64 ms = 3; }";
  const decode_ = { type: "proto", schema_text: schemaText };
  const stamp = (...more: number[]) => [8, 0xc0, 0xa7, 0x81, 0xaf, 6, ...more];
  const at = (bytes: number[]) => new Uint8Array([10, bytes.length, ...bytes]);
  expect(windowOf(decode_, at(stamp()), "at")).toBe(1_709_200_320_000);
  expect(windowOf(decode_, at(stamp(16, 0xbf, 0x84, 0x3d)), "at")).toBe(1_709_200_320_000);
  expect(windowOf(decode_, at(stamp(16, 0xc0, 0x84, 0x3d)), "at")).toBe(1_709_200_320_001);
  expect(windowOf(decode_, at([]), "at")).toBe(0);
  expect(windowOf({ ...decode_, apply_defaults: false }, at([]), "at")).toBe(0);
  expect(windowOf(decode_, new Uint8Array([]), "at")).toBe("untimed");
  const json = (text: string) => new TextEncoder().encode(text);
  const asJson = { ...decode_, encoding: "json" };
  const text = '{"at":"2024-02-29T12:00:00.123Z","by":{"k":"1969-12-31T23:59:59.5Z"},"ms":"7"}';
  expect(windowOf(asJson, json(text), "at")).toBe(MS);
  expect(windowOf(asJson, json(text), "by.k")).toBe(-500);
  expect(windowOf(asJson, json(text), "ms")).toBe(7);
});

test("the well-known files are there, and imports that only carry options stop nothing", () => {
  const files = [
    ...["any", "api", "descriptor", "duration", "empty", "field_mask", "source_context"],
    ...["struct", "timestamp", "type", "wrappers"],
  ];
  for (const file of files) {
    const text = `syntax = "proto3"; import "google/protobuf/${file}.proto"; message M { int32 a = 1; }`;
    expect(decode({ type: "proto", schemaText: text }, [8, 5])).toBe('{"a":5}');
  }
  const options = `syntax = "proto3";
    import "google/api/annotations.proto"; import "buf/validate/validate.proto";
    import "gogoproto/gogo.proto"; import public "google/protobuf/descriptor.proto";
    import "google/longrunning/operations.proto";
    option (gogoproto.marshaler_all) = true;
    extend google.protobuf.FieldOptions { string mine = 50001; }
    service S { rpc Get(M) returns (google.longrunning.Operation) { option (google.api.http) = { get: "/v1/{a}" body: "*" }; } }
    message M {
      option (buf.validate.message).cel = { id: "x", expression: "this.a > 0" };
      int32 a = 1 [(buf.validate.field).int32 = { gt: 0 }, (gogoproto.customname) = "ID", (mine) = "y"];
      oneof o { option (buf.validate.oneof).required = true; string b = 2; }
    }`;
  expect(decode({ type: "proto", schemaText: options, message: "M" }, [8, 5, 18, 1, 0x68])).toBe(
    '{"a":5,"b":"h"}',
  );
  const used =
    'syntax = "proto3"; import "google/type/money.proto"; message M { google.type.Money m = 1; }';
  expect(problem(used)).toContain("google.type.Money");
  expect(problem(used)).toContain('import "google/type/money.proto" is not available');
  const missing = 'syntax = "proto3"; message M { Money m = 1; }';
  expect(problem(missing)).toContain("Money");
  expect(problem(missing)).not.toContain("import");
});

test("fields, keys and enum values of any name come out of every decoder", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"]) {
    const quoted = JSON.stringify(name);
    const avro = JSON.stringify({ type: "record", name: "R", fields: [{ name, type: "int" }] });
    expect(decode({ schemaText: avro }, [10])).toBe(`{${quoted}:5}`);
    const json = [...new TextEncoder().encode(`{${quoted}:5}`)];
    expect(decode({ schemaText: avro, encoding: "json" }, json)).toBe(`{${quoted}:5}`);
    const map = { schemaText: '{"type":"map","values":"int"}' };
    expect(decode({ ...map, encoding: "json" }, json)).toBe(`{${quoted}:5}`);
    const key = [name.length << 1, ...new TextEncoder().encode(name)];
    expect(decode(map, [2, ...key, 10, 0])).toBe(`{${quoted}:5}`);
    const text = `syntax = "proto3"; message M { int32 ${name} = 1; }`;
    expect(decode({ type: "proto", schemaText: text }, [8, 5])).toBe(`{${quoted}:5}`);
    expect(decode({ type: "proto", schemaText: text, encoding: "json" }, json)).toBe(
      `{${quoted}:5}`,
    );
    const maps = 'syntax = "proto3"; message M { map<string, int32> m = 1; }';
    const wire = new TextEncoder().encode(name);
    const entry = [10, wire.length, ...wire, 16, 5];
    const proto = { type: "proto", schemaText: maps } as const;
    expect(decode(proto, [10, entry.length, ...entry])).toBe(`{"m":{${quoted}:5}}`);
    const inMap = [...new TextEncoder().encode(`{"m":{${quoted}:5}}`)];
    expect(decode({ ...proto, encoding: "json" }, inMap)).toBe(`{"m":{${quoted}:5}}`);
    const values = `syntax = "proto3"; enum E { ZERO = 0; ${name} = 1; } message M { E e = 1; }`;
    expect(decode({ type: "proto", schemaText: values, message: "M" }, [8, 1])).toBe(
      `{"e":${quoted}}`,
    );
  }
});
