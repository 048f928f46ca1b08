import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { BatchBuilder, encodeRecord } from "../../src/record/batch-builder.ts";
import {
  batchCount,
  batchLength,
  checkBatch,
  partitionSeed,
  stampBatch,
} from "../../src/record/batch-header.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { AT_FLAGS, AT_VERSION } from "../../src/record/format.ts";
import { decodeHeaders, encodeHeaders, type Header } from "../../src/record/headers.ts";
import { stripHeaders } from "../../src/record/strip-headers.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const SEED = partitionSeed(7, 3);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

type Plain = {
  readonly key: string | null;
  readonly value: string;
  readonly headers: readonly Header[];
};

const byName = (a: Header, b: Header) => (a.name < b.name ? -1 : 1);

function randomHeaders(random: Random): Header[] {
  const names = new Set(
    Array.from({ length: random.below(6) }, () =>
      `h${random.below(9)}`.repeat(1 + random.below(9)),
    ),
  );
  return [...names].map((name) => ({ name, value: "ü".repeat(random.below(200)) }));
}

const randomRecord = (random: Random): Plain => ({
  key: random.below(3) === 0 ? "k".repeat(random.below(200)) : null,
  value: "v".repeat(random.below(random.below(20) === 0 ? 70_000 : 300)),
  headers: random.below(2) === 0 ? [] : randomHeaders(random).sort(byName),
});

function encode(records: readonly Plain[], capacity = 64) {
  const builder = new BatchBuilder(capacity);
  for (const { key, value, headers } of records) {
    builder.add(key === null ? null : utf8(key), utf8(value), encodeHeaders(headers));
  }
  return builder.finish();
}

function plainOf({ bytes, keyStart, keyEnd, ...at }: RecordCursor): Plain {
  const text = (start: number, end: number) => Buffer.from(bytes.subarray(start, end)).toString();
  return {
    key: keyStart < 0 ? null : text(keyStart, keyEnd),
    value: text(at.valueStart, at.valueEnd),
    headers: decodeHeaders(bytes, at.headersStart, at.headersEnd),
  };
}

function plainOfAll(bytes: Uint8Array): Plain[] {
  const records: Plain[] = [];
  const cursor = new RecordCursor(bytes);
  while (cursor.next()) records.push(plainOf(cursor));
  return records;
}

/** Stamps all batches, and tells the version of each. */
function stampAll(bytes: Uint8Array, baseOffset: number): number[] {
  const versions: number[] = [];
  let offset = baseOffset;
  for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
    stampBatch(bytes, at, offset, 1_700_000_000_123, SEED);
    expect(checkBatch(bytes, at, SEED)).toBeNull();
    versions.push(bytes[at + AT_VERSION] as number);
    offset += batchCount(bytes, at);
  }
  return versions;
}

// Method: random records, with and without headers, through the builder; compared with a plain
// list, also from a random offset in the middle.
test("records with headers come back as they were, from every offset", () => {
  forEachSeed(80, (random) => {
    const records = Array.from({ length: 1 + random.below(80) }, () => randomRecord(random));
    const encoded = encode(records, 1 + random.below(5000));
    const versions = stampAll(encoded.bytes, 1000);
    const hasHeaders = records.some(({ headers }) => headers.length > 0);
    expect(encoded.hasHeaders).toBe(hasHeaders);
    expect(versions.includes(2)).toBe(hasHeaders);
    expect(plainOfAll(encoded.bytes)).toEqual(records);

    const sizeOf = ({ key, value, headers }: Plain) =>
      utf8((key ?? "") + value + headers.map((each) => each.name + each.value).join("")).length;
    const from = random.below(records.length);
    const cursor = new RecordCursor(encoded.bytes);
    for (let found = cursor.seek(1000 + from), i = from; found; found = cursor.next(), i++) {
      expect(cursor.offset).toBe(1000 + i);
      expect(plainOf(cursor)).toEqual(records[i] as Plain);
      expect(cursor.logicalBytes).toBe(sizeOf(records[i] as Plain));
    }
    expect(encoded.logicalBytes).toBe(records.reduce((sum, each) => sum + sizeOf(each), 0));

    const bare = records.map((each) => ({ ...each, headers: [] }));
    const names = [...new Set(records.flatMap(({ headers }) => headers.map(({ name }) => name)))];
    expect(hex(stripHeaders(encode(records), names).bytes)).toBe(hex(encode(bare).bytes));
  });
});

describe("bytes", () => {
  const HEADERS = encodeHeaders([
    { name: "b", value: "" },
    { name: "a-1", value: "é" },
  ]);

  test("a batch with headers has version 2 and a flag", () => {
    const { bytes, logicalBytes } = encodeRecord(utf8("k"), utf8("vv"), HEADERS);
    expect(logicalBytes).toBe(3 + 6);
    expect(hex(bytes.subarray(24))).toBe(
      "01000000" +
        "5767296c" +
        "09000000" +
        "02010000" +
        "026b" +
        "027676" +
        "0a03612d3102c3a9016200",
    );
  });
  test("a batch without headers has version 1, as before", () => {
    const { bytes } = encodeRecord(utf8("k"), utf8("vv"), encodeHeaders([]));
    expect(hex(bytes.subarray(24))).toBe(
      "01000000" + "680a4293" + "03000000" + "01000000" + "026b" + "027676",
    );
    expect(hex(encodeRecord(utf8("k"), utf8("vv")).bytes)).toBe(hex(bytes));
  });
  test("records without headers around one with headers keep version 1 where they can", () => {
    const plain = { key: null, value: "v", headers: [] };
    const { bytes } = encode([plain, { ...plain, headers: [{ name: "a", value: "1" }] }, plain]);
    expect(stampAll(bytes, 0)).toEqual([1, 2]);
  });
  test("a flag that is not known is not read as something else", () => {
    for (const [at, value, otherwise] of [
      [AT_FLAGS, 2, "unknown batch version"],
      [AT_FLAGS, 3, "unknown batch version"],
      [AT_FLAGS, 0, "unknown batch version"],
      [AT_VERSION, 3, "unknown batch version"],
    ] as const) {
      const { bytes } = encodeRecord(null, utf8("v"), HEADERS);
      bytes[at] = value;
      stampBatch(bytes, 0, 0, 0, SEED);
      expect(checkBatch(bytes, 0, SEED)).toBe(otherwise);
    }
  });
  test("a flipped bit anywhere in a batch with headers is noticed", () => {
    const { bytes } = encodeRecord(utf8("key"), utf8("value"), HEADERS);
    stampBatch(bytes, 0, 41, 1_700_000_000_000, SEED);
    expect(checkBatch(bytes, 0, SEED)).toBeNull();
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(checkBatch(damaged, 0, SEED), `bit ${bit}`).not.toBeNull();
    }
  });
});
