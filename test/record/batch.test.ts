import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { BatchBuilder, encodeRecord } from "../../src/record/batch-builder.ts";
import {
  batchCount,
  batchLength,
  batchLogicalBytes,
  checkBatch,
  partitionSeed,
  stampBatch,
} from "../../src/record/batch-header.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { BATCH_BYTES_TARGET } from "../../src/record/format.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const SEED = partitionSeed(7, 3);

type Plain = { key: Uint8Array | null; value: Uint8Array };

function randomBytes(random: Random, limit: number): Uint8Array {
  const bytes = new Uint8Array(random.below(limit + 1));
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.u32();
  return bytes;
}

function randomRecord(random: Random): Plain {
  const large = random.below(20) === 0;
  return {
    key: random.below(3) === 0 ? randomBytes(random, 200) : null,
    value: randomBytes(random, large ? 70_000 : 300),
  };
}

/** Stamps all batches of `bytes` as a partition log would. */
function stampAll(bytes: Uint8Array, baseOffset: number, timestampMs: number): number {
  let offset = baseOffset;
  for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
    stampBatch(bytes, at, offset, timestampMs, SEED);
    offset += batchCount(bytes, at);
  }
  return offset;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

// Goal: what goes in comes out, whatever the sizes. Method: random records through the builder,
// compared with a plain list, also from a random offset in the middle.
test("records come back byte for byte, from every offset", () => {
  forEachSeed(60, (random) => {
    const records = Array.from({ length: 1 + random.below(80) }, () => randomRecord(random));
    const builder = new BatchBuilder(1 + random.below(5000));
    for (const record of records) builder.add(record.key, record.value);
    const encoded = builder.finish();
    const base = random.below(1_000_000_000) * 4_000_000;
    stampAll(encoded.bytes, base, 1_700_000_000_123);

    expect(encoded.count).toBe(records.length);
    const logical = records.reduce((sum, r) => sum + r.value.length + (r.key?.length ?? 0), 0);
    expect(encoded.logicalBytes).toBe(logical);

    const from = random.below(records.length);
    const cursor = new RecordCursor(encoded.bytes);
    let found = cursor.seek(base + from);
    for (let i = from; i < records.length; i++) {
      expect(found).toBe(true);
      expect(cursor.offset).toBe(base + i);
      expect(cursor.timestampMs).toBe(1_700_000_000_123);
      const value = cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd);
      expect(hex(value)).toBe(hex(records[i]?.value ?? new Uint8Array()));
      const key =
        cursor.keyStart < 0 ? null : hex(cursor.bytes.subarray(cursor.keyStart, cursor.keyEnd));
      const expected = records[i]?.key ?? null;
      expect(key).toBe(expected === null ? null : hex(expected));
      found = cursor.next();
    }
    expect(found).toBe(false);
  });
});

test("a flipped bit anywhere in a batch is found out", () => {
  const { bytes } = encodeRecord(utf8("key"), utf8("value"));
  stampBatch(bytes, 0, 41, 1_700_000_000_000, SEED);
  expect(checkBatch(bytes, 0, SEED)).toBeNull();
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = bytes.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(checkBatch(damaged, 0, SEED), `bit ${bit}`).not.toBeNull();
  }
});

test("a batch of another partition is found out", () => {
  const { bytes } = encodeRecord(null, utf8("value"));
  stampBatch(bytes, 0, 41, 1_700_000_000_000, SEED);
  expect(checkBatch(bytes, 0, partitionSeed(7, 4))).toBe("header checksum differs");
  expect(checkBatch(bytes, 0, partitionSeed(8, 3))).toBe("header checksum differs");
});

describe("BatchBuilder", () => {
  test("splits a long produce into batches of about the target size", () => {
    const builder = new BatchBuilder();
    for (let i = 0; i < 5000; i++) builder.add(null, new Uint8Array(64));
    const { bytes } = builder.finish();
    let logical = 0;
    for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
      expect(batchLength(bytes, at)).toBeLessThanOrEqual(BATCH_BYTES_TARGET);
      logical += batchLogicalBytes(bytes, at);
    }
    expect(logical).toBe(5000 * 64);
  });

  test("gives a record larger than the target a batch of its own", () => {
    const builder = new BatchBuilder();
    builder.add(null, new Uint8Array(10));
    builder.add(null, new Uint8Array(BATCH_BYTES_TARGET * 3));
    builder.add(null, new Uint8Array(10));
    const { bytes } = builder.finish();
    const counts: number[] = [];
    for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
      counts.push(batchCount(bytes, at));
    }
    expect(counts).toEqual([1, 1, 1]);
  });

  test("encodes one record as encodeRecord does", () => {
    forEachSeed(200, (random) => {
      const { key, value } = randomRecord(random);
      const builder = new BatchBuilder();
      builder.add(key, value);
      expect(hex(builder.finish().bytes)).toBe(hex(encodeRecord(key, value).bytes));
    });
  });
});

test("the bytes of a batch are these, for ever", () => {
  const { bytes } = encodeRecord(utf8("k"), utf8("hello"));
  stampBatch(bytes, 0, 258, 1_700_000_000_000, partitionSeed(1, 0));
  expect(hex(bytes)).toBe(
    "30000000b4009c520201000000000000" +
      "0068e5cf8b010000010000002300490e" +
      "0600000001000000026b0568656c6c6f",
  );
});
