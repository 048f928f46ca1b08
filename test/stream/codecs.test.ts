import { expect, test } from "bun:test";
import { avroFingerprint } from "../../src/stream/codecs/avro.ts";
import { parseAvroSchema } from "../../src/stream/codecs/avro-schema.ts";
import type { DecodeSpec } from "../../src/stream/codecs/decoder.ts";
import { DecoderCache } from "../../src/stream/codecs/decoder-cache.ts";
import { parseJsonText } from "../../src/stream/codecs/json.ts";
import { JoinRun } from "../../src/stream/join.ts";
import { parseJoinRequest } from "../../src/stream/join-request.ts";
import { toJson } from "../../src/stream/json-output.ts";
import { AVRO_BINARY } from "../tools/stream/decoding.ts";
import { canonical, feedAll } from "../tools/stream/records.ts";

type AvroCase = { binary: string; json: string; wrapped: string };
type ProtoCase = { binary: string; json: string; value: Record<string, unknown> };
const fixtures: {
  avro: { schema: string; cases: AvroCase[] };
  proto: { schema: string; cases: ProtoCase[] };
} = await Bun.file(new URL("fixtures/codecs.json", import.meta.url)).json();

const cache = new DecoderCache();
const bytesOf = (input: string | Uint8Array) =>
  typeof input === "string" ? new TextEncoder().encode(input) : input;
const base64 = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

function decode(spec: Partial<DecodeSpec>, input: string | Uint8Array) {
  const compiled = cache.compile({ ...AVRO_BINARY, ...spec });
  if (!compiled.ok) throw new Error(`${compiled.field}: ${compiled.message}`);
  const bytes = bytesOf(input);
  return compiled.decoder.decode(bytes, 0, bytes.length);
}

const avro = (schema: unknown, encoding: "binary" | "json" = "json"): Partial<DecodeSpec> => ({
  encoding,
  schemaText: JSON.stringify(schema),
});
const proto = (text: string, encoding: "binary" | "json" = "json"): Partial<DecodeSpec> => ({
  type: "proto",
  encoding,
  schemaText: text,
});

test("Avro records of python3-avro decode to the same values from binary and from JSON", () => {
  const { schema, cases } = fixtures.avro;
  expect(cases.length).toBe(40);
  for (const { binary, json, wrapped } of cases) {
    // JSON.parse would lose the last digits of long integers; the text still has them.
    const wanted = parseJsonText(json.replaceAll(/("ratio": )([\d.-]+)/g, "$1$2"));
    const fromBinary = decode({ schemaText: schema }, base64(binary));
    expect(canonical(fromBinary)).toBe(canonical(wanted));
    expect(canonical(decode({ schemaText: schema, encoding: "json" }, json))).toBe(
      canonical(wanted),
    );
    expect(canonical(decode({ schemaText: schema, encoding: "json" }, wrapped))).toBe(
      canonical(wanted),
    );
  }
});

test("Avro binary decodes with the registry's header and as single object, the schema encoded again", () => {
  const { schema, cases } = fixtures.avro;
  const twice = JSON.stringify(schema);
  const fingerprint = new Uint8Array(8);
  new DataView(fingerprint.buffer).setBigUint64(
    0,
    avroFingerprint(parseAvroSchema(schema).canonical),
    true,
  );
  for (const { binary } of cases) {
    const plain = base64(binary);
    const wanted = toJson(decode({ schemaText: schema }, plain));
    const registry = Uint8Array.from([0, 0, 0, 1, 44, ...plain]);
    const single = Uint8Array.from([0xc3, 1, ...fingerprint, ...plain]);
    const foreign = Uint8Array.from([0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8, ...plain]);
    for (const bytes of [registry, single, foreign]) {
      expect(toJson(decode({ schemaText: twice }, bytes))).toBe(wanted);
    }
  }
});

test("fingerprints are those of the Avro specification's test schemas", () => {
  expect(avroFingerprint('"null"')).toBe(0x63dd24e7cc258f8an);
  expect(avroFingerprint('"int"')).toBe(0x7275d51a3f395c8fn);
});

/** Python prints 64-bit integers as text and long floats its own way. */
function normalProto(value: Record<string, unknown>): unknown {
  const longs = ["order_id", "big_count", "fixed_id", "cash"];
  const entries = Object.entries(value).map(([key, item]): [string, unknown] => {
    if (longs.includes(key)) return [key, BigInt(item as string)];
    if (key === "limits") {
      const limits = Object.entries(item as Record<string, string>);
      return [key, Object.fromEntries(limits.map(([name, n]) => [name, BigInt(n)]))];
    }
    if (key === "buyer" || key === "previous")
      return [key, normalProto(item as Record<string, unknown>)];
    return [key, item];
  });
  return Object.fromEntries(entries);
}

test("Protobuf records of python3-protobuf decode to the same values from wire and from JSON", () => {
  const { schema, cases } = fixtures.proto;
  expect(cases.length).toBe(40);
  for (const { binary, json, value } of cases) {
    const wanted = canonical(normalProto(value));
    expect(
      canonical(decode({ ...proto(schema, "binary"), message: "Order" }, base64(binary))),
    ).toBe(wanted);
    expect(canonical(decode({ ...proto(schema), message: "shop.Order" }, json))).toBe(wanted);
    expect(canonical(decode(proto(JSON.stringify(schema)), json))).toBe(wanted);
  }
});

test("Avro and Protobuf join with each other, binary and JSON, on 64-bit keys", () => {
  const on = { left_keys: ["id"], right_keys: ["order_id"] };
  const source = { topic: "t", partition: 0, limit: 10_000 };
  const count = (leftEncoding: "binary" | "json", rightEncoding: "binary" | "json") => {
    const body = {
      left: {
        ...source,
        decode: { type: "avro", encoding: leftEncoding, schema_text: fixtures.avro.schema },
      },
      right: {
        ...source,
        decode: {
          type: "proto",
          encoding: rightEncoding,
          schema_text: fixtures.proto.schema,
          message: "Order",
        },
      },
      on,
      emit: { max_rows: 10_000, left_fields: ["id", "buyer.name"], right_fields: ["order_id"] },
    };
    const parsed = parseJoinRequest(body, cache);
    if (!parsed.ok) throw new Error(`${parsed.path} ${parsed.message}`);
    const run = new JoinRun(parsed.request, { leftOffset: 0, rightOffset: 0 });
    const records = (
      cases: readonly { binary: string; json: string }[],
      encoding: "binary" | "json",
    ) =>
      cases.map((item, offset) => ({
        offset,
        ts: 1000,
        value: encoding === "json" ? bytesOf(item.json) : base64(item.binary),
      }));
    feedAll(records(fixtures.avro.cases, leftEncoding), (cursor) =>
      run.feed("left", cursor, 1e9, 50),
    );
    feedAll(records(fixtures.proto.cases, rightEncoding), (cursor) =>
      run.feed("right", cursor, 1e9, 50),
    );
    while (!run.step(100));
    expect(run.result().stats.undecodable).toBe(0);
    return toJson(run.result().rows);
  };
  const rows = count("binary", "binary");
  expect(rows).toContain(
    '{"key":"9007199254740993","leftTsMs":1000,"rightTsMs":1000,"left":{"id":9007199254740993,"buyer":{"name":"b2"}},"right":{"order_id":9007199254740993}}',
  );
  expect(JSON.parse(rows).length).toBeGreaterThan(30);
  expect(count("json", "binary")).toBe(rows);
  expect(count("binary", "json")).toBe(rows);
  expect(count("json", "json")).toBe(rows);
});

const USER = {
  type: "record",
  name: "User",
  fields: [
    { name: "id", type: "long" },
    { name: "name", type: ["null", "string"], default: null, aliases: ["fullName"] },
    { name: "age", type: "int", default: 18 },
    { name: "score", type: ["null", "double", "string"], default: null },
  ],
};

test("Avro JSON fills defaults, takes aliases and bare or wrapped unions", () => {
  const read = (json: string, more: Partial<DecodeSpec> = {}) =>
    toJson(decode({ ...avro(USER), ...more }, json));
  expect(read('{"id":9007199254740993}')).toBe(
    '{"id":9007199254740993,"name":null,"age":18,"score":null}',
  );
  expect(read('{"id":1,"fullName":"Ann","score":1.5,"x":0}')).toBe(
    '{"id":1,"name":"Ann","age":18,"score":1.5}',
  );
  expect(read('{"id":1,"name":{"string":"Ann"},"score":{"double":2}}')).toBe(
    '{"id":1,"name":"Ann","age":18,"score":2}',
  );
  expect(read('{"id":1}', { applyDefaults: false })).toBe('{"id":1}');
  const fieldAliases = new Map([["id", ["user_id", "uid"]]]);
  expect(read('{"uid":5}', { fieldAliases })).toBe('{"id":5,"name":null,"age":18,"score":null}');
});

test("an Avro document that does not fit does not decode", () => {
  for (const json of [
    "{}",
    '{"id":"1"}',
    '{"id":1.5}',
    '{"id":9223372036854775808}',
    '{"id":1,"age":2147483648}',
    '{"id":1,"name":5}',
    '{"id":1,"score":true}',
    "[]",
    "null",
    '{"id":1',
  ]) {
    expect(decode(avro(USER), json)).toBeUndefined();
  }
  const two = (a: unknown, b: unknown) => [
    { type: "record", name: "A", fields: [{ name: "x", type: "int" }, a] },
    { type: "record", name: "B", fields: [{ name: "x", type: "int" }, b] },
  ];
  // A bare value that fits two branches with different results would be a guess.
  const guess = two({ name: "y", type: "int", default: 1 }, { name: "y", type: "int", default: 2 });
  expect(decode(avro(guess), '{"x":1}')).toBeUndefined();
  expect(toJson(decode(avro(guess), '{"B":{"x":1}}'))).toBe('{"x":1,"y":2}');
});

const PROTO2 = `syntax = "proto2";
message Event {
  required int32 id = 1;
  optional string user_name = 2 [default = "nobody"];
  optional int64 big = 3 [default = -9007199254740991];
  optional Kind kind = 4;
  enum Kind { A = 1; B = 2; }
}`;

test("ProtoJSON: lowerCamelCase, aliases, declared defaults, enums by name or number", () => {
  const read = (json: string, more: Partial<DecodeSpec> = {}) =>
    toJson(decode({ ...proto(PROTO2), ...more }, json));
  expect(read('{"id":1}')).toBe('{"id":1,"user_name":"nobody","big":-9007199254740991}');
  expect(read('{"id":1,"userName":"ann","kind":"B"}', { applyDefaults: false })).toBe(
    '{"id":1,"user_name":"ann","kind":"B"}',
  );
  expect(read('{"id":"1","user_name":"x","kind":2,"big":"5","unknown":[1]}')).toBe(
    '{"id":1,"user_name":"x","big":5,"kind":"B"}',
  );
  expect(
    read('{"uid":1,"big":9223372036854775807}', { fieldAliases: new Map([["id", ["uid"]]]) }),
  ).toBe('{"id":1,"user_name":"nobody","big":9223372036854775807}');
  for (const json of [
    "{}",
    '{"id":1.5}',
    '{"id":1,"kind":"C"}',
    '{"id":1,"userName":5}',
    '{"id":1,"big":9223372036854775808}',
    "[]",
  ]) {
    expect(decode(proto(PROTO2), json)).toBeUndefined();
  }
});

test("a declared default beyond 2^53 is refused, since the parser would round it", () => {
  const text = PROTO2.replace("-9007199254740991", "9007199254740993");
  expect(cache.compile({ ...AVRO_BINARY, ...proto(text) })).toMatchObject({
    ok: false,
    field: "schema_text",
  });
});

test("proto3: a field that is not on the wire is zero, an optional one is missing", () => {
  const text =
    'syntax="proto3"; message M { int32 a = 1; optional int32 b = 2; repeated int32 c = 3; double d = 4; }';
  expect(toJson(decode(proto(text, "binary"), new Uint8Array(0)))).toBe('{"a":0,"c":[],"d":0}');
  expect(
    toJson(decode({ ...proto(text, "binary"), applyDefaults: false }, new Uint8Array(0))),
  ).toBe("{}");
  expect(toJson(decode(proto(text), '{"d":"NaN"}'))).toBe('{"a":0,"c":[],"d":null}');
});

test("imports of google/protobuf are known, others are an error of schema_text where they are used", () => {
  const timed =
    'syntax="proto3"; import "google/protobuf/timestamp.proto"; message M { google.protobuf.Timestamp at = 1; }';
  expect(toJson(decode(proto(timed), '{"at":"2024-01-01T00:00:00.5Z"}'))).toBe(
    '{"at":{"seconds":1704067200,"nanos":500000000}}',
  );
  const compiled = cache.compile({
    ...AVRO_BINARY,
    ...proto('import "other.proto"; message M { Other o = 1; }'),
  });
  expect(compiled).toMatchObject({ ok: false, field: "schema_text" });
});

test("the message must be named where there are several, and must exist", () => {
  const text =
    'syntax="proto3"; package a.b; message X { message In { int32 i = 1; } } message Y {}';
  const problem = (message: string | null) => {
    const compiled = cache.compile({ ...AVRO_BINARY, ...proto(text), message });
    return compiled.ok ? "ok" : compiled.field;
  };
  expect([null, "Z", "X", "a.b.Y", "X.In", "In"].map(problem)).toEqual([
    "message",
    "message",
    "ok",
    "ok",
    "ok",
    "ok",
  ]);
});

test("the cache keeps the schemas used last, within its bounds", () => {
  const own = new DecoderCache();
  const schema = (i: number) => ({
    ...AVRO_BINARY,
    ...avro({ type: "record", name: `R${i}`, fields: [] }),
  });
  for (let i = 0; i < 500; i++) {
    own.compile(schema(i));
    own.compile(schema(0));
  }
  expect(own.size).toBeLessThanOrEqual(64);
  expect([own.misses, own.hits]).toEqual([500, 500]);
  for (let i = 0; i < 10; i++) {
    own.compile({ ...AVRO_BINARY, ...avro({ type: "string", doc: "x".repeat(200_000) + i }) });
  }
  expect(own.size).toBeLessThanOrEqual(5);
});

test("JSON keeps integers of any size, prints floats as JSON.stringify does, and renames by aliases", () => {
  const json =
    '{"a":9007199254740993,"b":-18446744073709551616,"c":0.1,"d":1e21,"e":1e400,"f":"12345678901234567890","g":-0,"h":1234567890.1234567890}';
  expect(toJson(decode({ type: "json" }, json))).toBe(
    '{"a":9007199254740993,"b":-18446744073709551616,"c":0.1,"d":1e+21,"e":null,"f":"12345678901234567890","g":0,"h":1234567890.1234567}',
  );
  const fieldAliases = new Map([["id", ["uid"]]]);
  expect(toJson(decode({ type: "json", fieldAliases }, '{"uid":1,"x":2}'))).toBe('{"id":1,"x":2}');
  for (const bad of [
    "",
    "{",
    "nul",
    "{'a':1}",
    "\ufeff\ufeff{}",
    "{}\ufeff",
    "\ufeff",
    "NaN",
    "[1,]",
    "01",
  ]) {
    expect(decode({ type: "json" }, bad)).toBeUndefined();
  }
  expect(decode({ type: "json" }, Uint8Array.from([0x22, 0xff, 0x22]))).toBeUndefined();
});
