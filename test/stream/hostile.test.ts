import { expect, test } from "bun:test";
import type { DecodeSpec } from "../../src/stream/codecs/decoder.ts";
import { DecoderCache } from "../../src/stream/codecs/decoder-cache.ts";
import { memoryOf } from "../../src/stream/value.ts";
import { forEachSeed } from "../tools/random.ts";
import { AVRO_BINARY } from "../tools/stream/decoding.ts";

/** Runs within a time that no bomb would keep; generous, because machines are busy. */
function quickly<T>(run: () => T, limitMs = 1500): T {
  const start = performance.now();
  const result = run();
  expect(performance.now() - start).toBeLessThan(limitMs);
  return result;
}

const compile = (spec: Partial<DecodeSpec>) =>
  quickly(() => new DecoderCache().compile({ ...AVRO_BINARY, ...spec }));

function decoderOf(spec: Partial<DecodeSpec>) {
  const compiled = compile(spec);
  if (!compiled.ok) throw new Error(compiled.message);
  return (bytes: Uint8Array) => quickly(() => compiled.decoder.decode(bytes, 0, bytes.length));
}

const avro = (schema: unknown) => decoderOf({ schemaText: JSON.stringify(schema) });
const bytes = (...values: number[]) => Uint8Array.from(values);

/** Zigzag varint. */
function long(value: bigint): number[] {
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  const out: number[] = [];
  for (; rest >= 128n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  return [...out, Number(rest)];
}

test("Avro: huge and negative lengths and counts end at once", () => {
  const text = avro("string");
  for (const length of [2n ** 31n, 2n ** 62n, 2n ** 63n - 1n, -1n, -(2n ** 63n), 5n]) {
    expect(text(bytes(...long(length), 65, 66))).toBeUndefined();
  }
  for (const items of ["null", "long", "string", { type: "array", items: "null" }]) {
    const list = avro({ type: "array", items });
    const map = avro({ type: "map", values: items });
    for (const count of [2n ** 31n, 2n ** 62n, -(2n ** 31n), -(2n ** 63n), 100_000n]) {
      for (const tail of [[], [0], [2, 0], [0, 0, 0]]) {
        expect(list(bytes(...long(count), ...tail))).toBeUndefined();
        expect(map(bytes(...long(count), ...tail))).toBeUndefined();
      }
    }
  }
});

test("Avro: a negative count with the size of its block is a block like any other", () => {
  const list = avro({ type: "array", items: "int" });
  expect(list(bytes(...long(-2n), ...long(2n), 2, 4, ...long(1n), 6, 0))).toEqual([1, 2, 3]);
});

test("Avro: varints above 64 bits, unknown branches and symbols, odd booleans, left-over bytes", () => {
  const number = avro("long");
  const eleven = Array.from({ length: 10 }, () => 0xff);
  expect(number(bytes(...eleven, 1))).toBeUndefined();
  expect(number(bytes(...Array.from({ length: 9 }, () => 0xff), 2))).toBeUndefined();
  expect(number(bytes(...Array.from({ length: 9 }, () => 0xff), 1))).toBe(-(2n ** 63n));
  expect(number(bytes(2, 2))).toBeUndefined();
  expect(number(bytes(0x80))).toBeUndefined();
  expect(avro("int")(bytes(...long(2n ** 31n)))).toBeUndefined();
  expect(avro("boolean")(bytes(2))).toBeUndefined();
  expect(avro(["null", "int"])(bytes(4, 2))).toBeUndefined();
  expect(avro(["null", "int"])(bytes(1))).toBeUndefined();
  expect(avro({ type: "enum", name: "E", symbols: ["A"] })(bytes(2))).toBeUndefined();
  expect(avro("string")(bytes(4, 0xff, 0xfe))).toBeUndefined();
  expect(avro({ type: "fixed", name: "F", size: 2 ** 30 })(bytes(1, 2))).toBeUndefined();
});

test("Avro: recursive types and records without bytes have a bound", () => {
  const endless = avro({ type: "record", name: "R", fields: [{ name: "r", type: "R" }] });
  expect(endless(bytes(1, 2, 3))).toBeUndefined();
  const list = avro({ type: "record", name: "L", fields: [{ name: "next", type: ["null", "L"] }] });
  expect(list(new Uint8Array(1e6).fill(2))).toBeUndefined();
  expect(list(bytes(2, 2, 0))).toEqual({ next: { next: { next: null } } });
  let type: unknown = { type: "record", name: "R0", fields: [] };
  for (let i = 1; i < 30; i++) {
    const fields = [
      { name: "a", type },
      { name: "b", type: `R${i - 1}` },
    ];
    type = { type: "record", name: `R${i}`, fields };
  }
  expect(avro(type)(new Uint8Array(0))).toBeUndefined();
});

test("Avro: a schema whose defaults double with every level is refused, and so is endless nesting", () => {
  let type: unknown = {
    type: "record",
    name: "R0",
    fields: [{ name: "x", type: "int", default: 0 }],
  };
  for (let i = 1; i < 30; i++) {
    const fields = [
      { name: "a", type, default: {} },
      { name: "b", type: `R${i - 1}`, default: {} },
    ];
    type = { type: "record", name: `R${i}`, fields };
  }
  expect(compile({ schemaText: JSON.stringify(type) }).ok).toBe(false);
  const self = { type: "record", name: "R", fields: [{ name: "r", type: "R", default: {} }] };
  expect(compile({ schemaText: JSON.stringify(self) }).ok).toBe(false);
  const deep = `${'{"type":"array","items":'.repeat(5000)}"int"${"}".repeat(5000)}`;
  expect(compile({ schemaText: deep }).ok).toBe(false);
});

test("a schema with very many parts is refused before it is compiled", () => {
  const many = <T>(make: (i: number) => T) => Array.from({ length: 5000 }, (_, i) => make(i));
  const fields = many((i) => ({ name: `f${i}`, type: "int" }));
  const records = many((i) => ({ type: "record", name: `R${i}`, fields: [] }));
  const members = many((i) => `int32 a${i} = ${i + 1};`).join("");
  for (const spec of [
    { schemaText: JSON.stringify({ type: "record", name: "R", fields }) },
    { schemaText: JSON.stringify(records) },
    { type: "proto" as const, schemaText: `message M { ${members} }` },
    { type: "proto" as const, schemaText: many((i) => `message M${i} {}`).join("") },
  ]) {
    const compiled = quickly(() => compile(spec), 300);
    expect(compiled.ok ? "" : compiled.message).toContain("more than");
  }
});

test("Avro: malformed schemas are a message, never an exception", () => {
  const record = (fields: unknown) => JSON.stringify({ type: "record", name: "R", fields });
  for (const schemaText of [
    "{",
    "5",
    "null",
    "[]x",
    '{"type":"nothing"}',
    '{"type":"record"}',
    '{"type":"enum","name":"E"}',
    '{"type":"fixed","name":"F","size":-1}',
    record([{ name: "a-b", type: "int" }]),
    record([{ name: "a', process.exit(3), '", type: "int" }]),
    record([{ name: "a", type: "Missing" }]),
    record([{ name: "a", type: "int", default: "x" }]),
    record([{ name: "a", type: "int", aliases: 5 }]),
    record([
      { name: "a", type: "int" },
      { name: "a", type: "int" },
    ]),
    record([5]),
    JSON.stringify(["int", "int"]),
  ]) {
    expect(compile({ schemaText }).ok).toBe(false);
  }
});

test("names of the prototype are fields like any other", () => {
  const fields = ["__proto__", "constructor", "toString", "hasOwnProperty"].map((name) => ({
    name,
    type: "int",
  }));
  const value = avro({ type: "record", name: "R", fields })(bytes(2, 4, 6, 8)) as Record<
    string,
    unknown
  >;
  expect(Object.keys(value)).toEqual(["__proto__", "constructor", "toString", "hasOwnProperty"]);
  expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
});

const proto = (schemaText: string) => decoderOf({ type: "proto", schemaText });

test("Protobuf: huge lengths, long varints, wrong wire types, tag 0, deep nesting, bad UTF-8", () => {
  const text =
    'syntax="proto3"; message M { string s = 1; int64 n = 2; repeated int32 l = 3; M m = 4; map<string, int32> k = 5; }';
  const decode = proto(text);
  const max32 = [0xff, 0xff, 0xff, 0xff, 0x07];
  expect(decode(bytes(0x0a, ...max32, 65))).toBeUndefined();
  expect(decode(bytes(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 65))).toBeUndefined();
  expect(decode(bytes(0x1a, ...max32, 1))).toBeUndefined();
  expect(decode(bytes(0x22, ...max32))).toBeUndefined();
  expect(decode(bytes(0x2a, ...max32))).toBeUndefined();
  expect(decode(bytes(0x10, ...Array.from({ length: 10 }, () => 0xff), 1))).toBeUndefined();
  expect(decode(bytes(0))).toBeUndefined();
  expect(decode(bytes(0x0a, 2, 0xff, 0xfe))).toBeUndefined();
  expect(decode(bytes(0x0b))).toBeUndefined();
  expect(decode(bytes(0x10))).toBeUndefined();
  let nested: number[] = [];
  for (let i = 0; i < 60; i++) nested = [0x22, nested.length, ...nested].slice(0, 127);
  expect(decode(Uint8Array.from(nested))).not.toBeNull();
  const groups = new Uint8Array(100_000).fill(0x33);
  expect(decode(groups)).toBeUndefined();
  let deep = new Uint8Array(0);
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)]);
  for (let i = 0; i < 300; i++) deep = Uint8Array.from([0x22, ...varint(deep.length), ...deep]);
  expect(decode(deep)).toBeUndefined();
});

test("Protobuf: a text without its syntax line is told about it", () => {
  const message = (schemaText: string): string => {
    const compiled = compile({ type: "proto", schemaText });
    return compiled.ok ? "" : compiled.message;
  };
  const hint = '; without syntax = "proto3"; it is read as proto2';
  expect(message("message M { string a = 1; }")).toEndWith(hint);
  expect(message('syntax = "proto3"; message M { strin a 1; }')).not.toContain("proto2");
});
test("Protobuf: malformed and hostile .proto texts are a message", () => {
  for (const schemaText of [
    "message",
    "message M {",
    'syntax="proto9"; message M {}',
    "message M { int32 a = 1; int32 b = 1; }",
    "message M { Missing a = 1; }",
    "message M { int32 a = -1; }",
    `${"message M {".repeat(20_000)}${"}".repeat(20_000)}`,
    `message M { option (x) = ${"{ a: ".repeat(20_000)}`,
    "\0\0\0",
    '"',
  ]) {
    expect(compile({ type: "proto", schemaText }).ok).toBe(false);
  }
});

test("Protobuf: names that would be code are names", () => {
  const text =
    'syntax="proto3"; message constructor { int32 __proto__ = 1; int32 prototype = 2; int32 toString = 3; }';
  const compiled = compile({ type: "proto", schemaText: text });
  if (!compiled.ok) return;
  const value = compiled.decoder.decode(bytes(0x10, 5), 0, 2);
  expect(value === undefined || typeof value === "object").toBe(true);
  expect(({} as Record<string, unknown>)["prototype"]).toBeUndefined();
});

test("JSON: depth has a bound, and deep text in strings is not depth", () => {
  const decode = decoderOf({ type: "json" });
  const encode = (text: string) => new TextEncoder().encode(text);
  for (const depth of [513, 10_000, 200_000]) {
    expect(decode(encode("[".repeat(depth) + "]".repeat(depth)))).toBeUndefined();
    expect(decode(encode(`${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`))).toBeUndefined();
  }
  expect(decode(encode("[".repeat(512) + "]".repeat(512)))).toBeDefined();
  expect(decode(encode(JSON.stringify(`\\"${"[".repeat(5000)}`)))).toBeDefined();
  expect(decode(encode(`[${"9".repeat(10_000)}]`))).toEqual([10n ** 10_000n - 1n]);
  expect(decode(encode(`[-${"9".repeat(9_999)}]`))).toEqual([1n - 10n ** 9_999n]);
  // Longer integers take too long: the record is counted, not rounded.
  expect(decode(encode(`[${"9".repeat(10_001)}]`))).toBeUndefined();
  expect(decode(encode(`[${"9".repeat(1_000_000)}]`))).toBeUndefined();
});

test("random bytes never throw, never take long, never make much of little", () => {
  const schema = {
    type: "record",
    name: "R",
    fields: [
      { name: "a", type: { type: "array", items: ["null", "R", "long", "string"] } },
      { name: "m", type: { type: "map", values: "bytes" } },
    ],
  };
  const decoders = [
    avro(schema),
    proto(
      'syntax="proto3"; message M { repeated M m = 1; map<int64, M> k = 2; repeated double d = 3; bytes b = 4; }',
    ),
    decoderOf({ type: "avro", encoding: "json", schemaText: JSON.stringify(schema) }),
    decoderOf({ type: "json" }),
  ];
  forEachSeed(1500, (random) => {
    const input = Uint8Array.from({ length: random.below(60) }, () =>
      random.below(3) === 0 ? random.below(256) : random.below(12),
    );
    for (const decode of decoders) {
      const value = decode(input);
      if (value !== undefined) expect(memoryOf(value)).toBeLessThan(400_000);
    }
  });
}, 300_000);
