/**
 * Goal: of a body of batches, only what `BatchBuilder` could have made is taken, and it is taken as
 * it is. Method: random batches with single bytes changed, with checksums left alone or made right.
 */
import { describe, expect, test } from "bun:test";
import { crc32 } from "../../src/lib/crc32.ts";
import { BatchBuilder, type EncodedRecords } from "../../src/record/batch-builder.ts";
import { batchCount, batchLength, setU32, stampBatch } from "../../src/record/batch-header.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { AT_COUNT, AT_PAYLOAD_CRC, BATCH_HEADER_BYTES } from "../../src/record/format.ts";
import { decodeHeaders, encodeHeaders, type Header } from "../../src/record/headers.ts";
import { type NotReceived, receiveBatches } from "../../src/record/received-batches.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const LIMITS = { records: 10_000, valueBytes: 1_000_000 };

type Plain = {
  readonly key: string | null;
  readonly value: string;
  readonly headers: readonly Header[];
};

function encoded(records: readonly Plain[]): EncodedRecords {
  const builder = new BatchBuilder(64);
  for (const { key, value, headers } of records) {
    builder.add(key === null ? null : Buffer.from(key), Buffer.from(value), encodeHeaders(headers));
  }
  return builder.finish();
}

function decoded(bytes: Uint8Array): Plain[] {
  const records: Plain[] = [];
  const cursor = new RecordCursor(bytes);
  const text = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString();
  while (cursor.next()) {
    records.push({
      key: cursor.keyStart < 0 ? null : text(cursor.keyStart, cursor.keyEnd),
      value: text(cursor.valueStart, cursor.valueEnd),
      headers: decodeHeaders(bytes, cursor.headersStart, cursor.headersEnd),
    });
  }
  return records;
}

function randomRecords(random: Random, most: number): Plain[] {
  const text = (length: number) => "abcdefghij".repeat(20).slice(0, random.below(length));
  return Array.from({ length: 1 + random.below(most) }, () => ({
    key: random.pick([null, "", text(8)]),
    value: random.below(10) === 0 ? "v".repeat(random.below(50_000)) : text(150),
    headers: random.pick([
      [],
      [],
      [
        { name: "a", value: text(9) },
        { name: "b.c", value: "" },
      ],
    ]),
  }));
}

/** The first byte of the position that a message names. */
function refusal(bytes: Uint8Array, limits = LIMITS): NotReceived {
  const received = receiveBatches(bytes, limits);
  if (received.ok) throw new Error("the bytes were taken");
  return received;
}

test("what a builder makes is taken as it is, also with offsets and times of another log", () => {
  forEachSeed(100, (random) => {
    const records = randomRecords(random, 300);
    const { bytes, count, logicalBytes, hasHeaders } = encoded(records);
    const sent = bytes.slice();
    let offset = random.u32();
    for (let at = 0; at < sent.length; at += batchLength(sent, at)) {
      if (random.below(2) === 0) stampBatch(sent, at, offset, 1_700_000_000_000, random.u32());
      offset += batchCount(sent, at);
    }
    const received = receiveBatches(sent, LIMITS);
    if (!received.ok) throw new Error(received.what);
    expect(received.records).toEqual({ bytes, count, logicalBytes, hasHeaders });
    const [first] = records;
    const key = received.firstKey === null ? null : Buffer.from(received.firstKey).toString();
    expect(key).toBe(first?.key ?? null);
  });
});

test("with any byte changed, a small batch is refused or has the same records", () => {
  const records = [
    { key: null, value: "first", headers: [] },
    { key: "k", value: "", headers: [] },
    { key: "", value: "third", headers: [{ name: "trace", value: "ü" }] },
  ];
  const { bytes } = encoded(records);
  let taken = 0;
  for (let at = 0; at < bytes.length; at++) {
    for (let change = 1; change < 256; change++) {
      const changed = bytes.slice();
      changed[at] = (bytes[at] as number) ^ change;
      const received = receiveBatches(changed, LIMITS);
      if (!received.ok) continue;
      taken++;
      expect(received.records.bytes).toEqual(bytes);
    }
  }
  // Base offset, timestamp and header checksum of the two batches.
  expect(taken).toBe(2 * 20 * 255);
});

test("with a right checksum, whatever is taken can be read to its end", () => {
  let taken = 0;
  forEachSeed(3000, (random) => {
    const bytes = encoded(randomRecords(random, 4).slice(0, 4)).bytes.slice();
    const length = batchLength(bytes, 0);
    if (length > 2000) return;
    const batch = bytes.slice(0, length);
    for (let changes = 1 + random.below(3); changes > 0; changes--) {
      const at = random.pick([AT_COUNT, 32, 36, BATCH_HEADER_BYTES + random.below(length - 40)]);
      batch[at] = random.pick([0, 1, 2, 127, 128, 255, random.u32()]);
    }
    setU32(batch, AT_PAYLOAD_CRC, crc32(batch.subarray(BATCH_HEADER_BYTES)));
    const received = receiveBatches(batch, LIMITS);
    if (!received.ok) return;
    taken++;
    const again = decoded(received.records.bytes);
    expect(again.length).toBe(received.records.count);
  });
  expect(taken).toBeGreaterThan(100);
});

test("bytes that are cut off anywhere are refused", () => {
  const { bytes } = encoded([{ key: "k", value: "value", headers: [{ name: "a", value: "b" }] }]);
  for (let length = 0; length < bytes.length; length++) {
    expect(refusal(bytes.slice(0, length)).code).toBe("malformed");
  }
  expect(refusal(Uint8Array.of(...bytes, 0)).what).toBe(
    `the batch at byte ${bytes.length}: a header has 40 bytes, 1 are left`,
  );
});

/** A batch with this payload, and a right checksum. */
function batchOf(payload: Uint8Array, count: number, logicalBytes: number, hasHeaders = false) {
  const bytes = new Uint8Array(BATCH_HEADER_BYTES + payload.length);
  bytes.set(payload, BATCH_HEADER_BYTES);
  setU32(bytes, 0, bytes.length);
  setU32(bytes, 24, count);
  setU32(bytes, 28, crc32(payload));
  setU32(bytes, 32, logicalBytes);
  bytes[36] = hasHeaders ? 2 : 1;
  bytes[37] = hasHeaders ? 1 : 0;
  return bytes;
}

describe("refused are", () => {
  const CASES: readonly [string, Uint8Array, string][] = [
    [
      "a length in a longer form",
      batchOf(Uint8Array.of(0x80, 0, 0), 1, 0),
      "a length is not written in its shortest form",
    ],
    [
      "a length of more than 32 bits",
      batchOf(Uint8Array.of(0, 255, 255, 255, 255, 127), 1, 0),
      "a length is not written in its shortest form",
    ],
    [
      "a value that is longer than its batch",
      batchOf(Uint8Array.of(0, 5, 1), 1, 5),
      "a record does not end within it",
    ],
    [
      "a key that is longer than its batch",
      batchOf(Uint8Array.of(9, 0), 1, 8),
      "a record does not end within it",
    ],
    [
      "bytes behind the last record",
      batchOf(Uint8Array.of(0, 0, 0), 1, 0),
      "its records do not end where it ends",
    ],
    [
      "more records than there are",
      batchOf(Uint8Array.of(0, 0), 2, 0),
      "it has 42 bytes, which are too few for 2 records",
    ],
    [
      "other logical bytes",
      batchOf(Uint8Array.of(0, 1, 7), 1, 2),
      "its logical bytes are 1, not 2",
    ],
    ["no record", batchOf(Uint8Array.of(0), 0, 0), "it has no record"],
    [
      "headers that are not in order",
      batchOf(Uint8Array.of(0, 0, 6, 1, 98, 0, 1, 97, 0), 1, 2, true),
      "record 0 has a header name that is not allowed there",
    ],
    [
      "a header twice",
      batchOf(Uint8Array.of(0, 0, 6, 1, 97, 0, 1, 97, 0), 1, 2, true),
      "record 0 has a header name that is not allowed there",
    ],
    [
      "a header name in capitals",
      batchOf(Uint8Array.of(0, 0, 3, 1, 65, 0), 1, 1, true),
      "record 0 has a header name that is not allowed there",
    ],
    [
      "a header without a name",
      batchOf(Uint8Array.of(0, 0, 2, 0, 0), 1, 0, true),
      "record 0 has a header name that is not allowed there",
    ],
    [
      "a header value that is not UTF-8",
      batchOf(Uint8Array.of(0, 0, 4, 1, 97, 1, 255), 1, 2, true),
      "a header is not valid UTF-8",
    ],
    [
      "a header that is longer than its list",
      batchOf(Uint8Array.of(0, 0, 3, 1, 97, 9, 1, 1, 1, 1), 1, 10, true),
      "a record does not end within it",
    ],
  ];
  for (const [name, bytes, what] of CASES) {
    test(name, () => {
      expect(refusal(bytes)).toEqual({
        ok: false,
        code: "malformed",
        what: `the batch at byte 0: ${what}`,
      });
    });
  }

  test("more headers than a record may have, and longer ones", () => {
    const named = (count: number, length: number) =>
      Array.from({ length: count }, (_, i) => ({
        name: `h${1000 + i}`,
        value: "x".repeat(length),
      }));
    for (const [count, length, isTaken] of [
      [64, 1, true],
      [65, 1, false],
      [64, 251, true],
      [64, 252, false],
    ] as const) {
      const { bytes } = encoded([{ key: null, value: "", headers: named(count, length) }]);
      expect(receiveBatches(bytes.slice(), LIMITS).ok, `${count} of ${length}`).toBe(isTaken);
    }
  });
  test("a batch of several records that is longer than a builder makes them", () => {
    const one = (length: number) => batchOf(lengthy(length), 2, length);
    expect(receiveBatches(one(32 * 1024 - 40 - 6), LIMITS).ok).toBe(true);
    expect(refusal(one(32 * 1024 - 40 - 5)).what).toContain("has at most 32768 bytes");
    const { bytes } = encoded([{ key: null, value: "x".repeat(100_000), headers: [] }]);
    expect(receiveBatches(bytes.slice(), LIMITS).ok).toBe(true);
  });
  test("values and numbers of records beyond the limits", () => {
    const three = encoded([1, 2, 3].map(() => ({ key: null, value: "four", headers: [] }))).bytes;
    expect(receiveBatches(three.slice(), { records: 3, valueBytes: 4 }).ok).toBe(true);
    expect(refusal(three.slice(), { records: 2, valueBytes: 4 })).toEqual({
      ok: false,
      code: "too_many_records",
      what: "the batch at byte 0: there are 3 records",
    });
    expect(refusal(three.slice(), { records: 3, valueBytes: 3 })).toEqual({
      ok: false,
      code: "value_too_large",
      what: "the batch at byte 0: the value of record 0 has 4 bytes",
    });
  });
});

/** Two records: one empty, one of this many bytes. */
function lengthy(length: number): Uint8Array {
  const payload = new Uint8Array(2 + 1 + 3 + length);
  payload.set([0, 0, 0, (length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14]);
  return payload;
}
