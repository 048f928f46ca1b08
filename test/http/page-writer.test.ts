/**
 * Goal: a page is exact at every combination of its bounds. Method: random batches and bounds
 * against a model that writes each message with JSON.stringify.
 */
import { describe, expect, test } from "bun:test";
import {
  ARRAY_FRAMING,
  EVENTS_FRAMING,
  type Framing,
  LINES_FRAMING,
  type PageProgress,
  PageWriter,
} from "../../src/http/page-writer.ts";
import type { ConsumePage } from "../../src/node/api.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { batchCount, batchLength, stampBatch } from "../../src/record/batch-header.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const ALL = Number.MAX_SAFE_INTEGER;
const PARTITION = 3;

type Stored = { readonly offset: number; readonly text: string };

/** Batches of so many records each, from `base` on; a value is its offset and a filler. */
function batchesOf(base: number, sizes: readonly number[], filler: (offset: number) => string) {
  const slices: Uint8Array[] = [];
  const records: Stored[] = [];
  let offset = base;
  for (const size of sizes) {
    const builder = new BatchBuilder(64);
    for (let i = 0; i < size; i++) {
      const value = `${offset + i}${filler(offset + i)}`;
      builder.add(null, Buffer.from(value));
      const message = { offset: offset + i, partition: PARTITION, timestamp_ms: 5, value };
      records.push({ offset: offset + i, text: JSON.stringify(message) });
    }
    const { bytes } = builder.finish();
    for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
      stampBatch(bytes, at, offset, 5, 0);
      offset += batchCount(bytes, at);
    }
    slices.push(bytes);
  }
  return { slices, records };
}

type Bounds = {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly limit: number;
  readonly maxBytes: number;
};
const pageOf = (
  slices: readonly Uint8Array[],
  { startOffset, endOffset }: Bounds,
): ConsumePage => ({
  slices,
  first: null,
  topicId: 1,
  startOffset,
  committedOffset: null,
  lowWatermark: 0,
  endOffset,
});
const limitsOf = ({ limit, maxBytes }: Bounds) => ({
  partition: PARTITION,
  limit,
  maxBytes,
  base64: false,
});

/** The page that the bounds allow. */
function expected(records: readonly Stored[], bounds: Bounds) {
  const { startOffset, endOffset, limit, maxBytes } = bounds;
  const texts: string[] = [];
  let bytes = 0;
  let nextOffset = startOffset;
  for (const { offset, text } of records) {
    if (offset < startOffset || offset >= endOffset || texts.length >= limit) continue;
    const more = text.length + (texts.length > 0 ? 1 : 0);
    if (texts.length > 0 && bytes + more > maxBytes) {
      return { text: texts.join(","), count: texts.length, nextOffset, truncated: true };
    }
    texts.push(text);
    bytes += more;
    nextOffset = offset + 1;
  }
  return { text: texts.join(","), count: texts.length, nextOffset, truncated: false };
}

/** The page as the writer makes it, in pieces that are put together. */
function written(slices: readonly Uint8Array[], bounds: Bounds, pieceBytes = ALL) {
  const writer = new PageWriter();
  const page = pageOf(slices, bounds);
  let text = "";
  let progress: PageProgress | null = null;
  do {
    writer.begin();
    writer.messages(page, limitsOf(bounds), ARRAY_FRAMING, pieceBytes, progress);
    text += Buffer.from(writer.written).toString();
    const { count, nextOffset, writtenBytes } = writer;
    progress = { count, nextOffset, writtenBytes };
  } while (writer.stop === "piece");
  const { count, nextOffset, truncated } = writer;
  return { text, count, nextOffset, truncated };
}

describe("a page", () => {
  const { slices, records } = batchesOf(10, [3, 1, 4], () => "");
  const length = records[0]?.text.length ?? 0;
  const exact = { startOffset: 10, endOffset: 18, limit: 100, maxBytes: ALL };

  test("ends before its end offset, also if the slices have more", () => {
    for (let endOffset = 10; endOffset <= 18; endOffset++) {
      const { count, nextOffset, truncated } = written(slices, { ...exact, endOffset });
      expect({ count, nextOffset, truncated }).toEqual({
        count: endOffset - 10,
        nextOffset: endOffset,
        truncated: false,
      });
    }
  });
  test("has limit messages, and is not truncated by it", () => {
    for (let limit = 1; limit <= 9; limit++) {
      const { count, nextOffset, truncated } = written(slices, { ...exact, limit });
      const most = Math.min(limit, 8);
      expect({ count, nextOffset, truncated }).toEqual({
        count: most,
        nextOffset: 10 + most,
        truncated: false,
      });
    }
  });
  test("takes a message that fills it exactly, and none that is a byte too long", () => {
    const two = 2 * length + 1;
    expect(written(slices, { ...exact, maxBytes: two })).toMatchObject({
      count: 2,
      nextOffset: 12,
    });
    expect(written(slices, { ...exact, maxBytes: two - 1 })).toMatchObject({
      count: 1,
      nextOffset: 11,
      truncated: true,
    });
    const all = 8 * length + 7;
    expect(written(slices, { ...exact, maxBytes: all })).toMatchObject({ truncated: false });
    expect(written(slices, { ...exact, maxBytes: all - 1 })).toMatchObject({
      count: 7,
      truncated: true,
    });
  });
  test("of limit and bytes, the first that is reached ends it", () => {
    const bounds = { ...exact, limit: 2, maxBytes: 2 * length + 1 };
    expect(written(slices, bounds)).toMatchObject({ count: 2, truncated: false });
    expect(written(slices, { ...bounds, limit: 3 })).toMatchObject({ count: 2, truncated: true });
  });
  test("has one message that is longer than its bytes alone", () => {
    expect(written(slices, { ...exact, maxBytes: 0 })).toMatchObject({
      count: 1,
      nextOffset: 11,
      truncated: true,
    });
    const last = { ...exact, startOffset: 17, maxBytes: 0 };
    expect(written(slices, last)).toMatchObject({ count: 1, nextOffset: 18, truncated: false });
  });
  test("starts in the middle of a batch, and after records that are gone", () => {
    for (let startOffset = 10; startOffset <= 18; startOffset++) {
      const { count, nextOffset } = written(slices, { ...exact, startOffset });
      expect({ count, nextOffset }).toEqual({ count: 18 - startOffset, nextOffset: 18 });
    }
    // Deleted records lie between the asked offset and the first slice.
    const [, , last] = slices;
    const gap = { ...exact, startOffset: 11, limit: 1 };
    expect(written([last as Uint8Array], gap)).toMatchObject({ count: 1, nextOffset: 15 });
  });
  test("without a message goes on where it starts", () => {
    expect(written([], { ...exact, startOffset: 18 })).toEqual({
      text: "",
      count: 0,
      nextOffset: 18,
      truncated: false,
    });
  });
});

test("in pieces of any size, a page is the same as in one", () => {
  forEachSeed(200, (random) => {
    const base = random.below(1000);
    const sizes = Array.from({ length: 1 + random.below(5) }, () => 1 + random.below(6));
    const { slices, records } = batchesOf(base, sizes, () => "x".repeat(random.below(200)));
    const end = base + records.length;
    const bounds = boundsOf(random, base, end);
    const model = expected(records, bounds);
    expect(written(slices, bounds)).toEqual(model);
    expect(written(slices, bounds, 1 + random.below(500))).toEqual(model);
  });
});

function boundsOf(random: Random, base: number, end: number): Bounds {
  const startOffset = base + random.below(end - base + 1);
  return {
    startOffset,
    endOffset: startOffset + random.below(end - startOffset + 1),
    limit: random.pick([1, 2, 5, 1000]),
    maxBytes: random.pick([0, 1, 150, 400, 2000, ALL]),
  };
}

describe("every message stands in its frame", () => {
  const frames: readonly (readonly [string, Framing, (offset: number, text: string) => string])[] =
    [
      ["lines", LINES_FRAMING, (_, text) => `${text}\n`],
      ["events", EVENTS_FRAMING, (offset, text) => `id: ${offset}\ndata: ${text}\n\n`],
    ];
  for (const [name, framing, framed] of frames) {
    test(name, () => {
      const { slices, records } = batchesOf(998, [2, 2], () => "");
      const bounds = { startOffset: 998, endOffset: 1002, limit: 10, maxBytes: ALL };
      const writer = new PageWriter();
      writer.begin();
      writer.messages(pageOf(slices, bounds), limitsOf(bounds), framing, ALL);
      expect(Buffer.from(writer.written).toString()).toBe(
        records.map(({ offset, text }) => framed(offset, text)).join(""),
      );
    });
  }
});

test("one writer writes pages of any partition, time, offset, key and encoding", () => {
  const writer = new PageWriter();
  forEachSeed(300, (random) => {
    const base64 = random.below(2) === 0;
    const partition = random.pick([0, 7, 10, 1023, 2 ** 20 - 1]);
    const base = random.pick([0, 8, 998, 2 ** 31 - 2, 2 ** 53 - 1000]);
    const slices: Uint8Array[] = [];
    const messages: object[] = [];
    const fieldOf = (name: string, bytes: Buffer) =>
      base64 ? { [`${name}_b64`]: bytes.toString("base64") } : { [name]: bytes.toString() };
    let offset = base;
    for (let batch = 1 + random.below(6); batch > 0; batch--) {
      const timestampMs = random.pick([0, 5, 1_700_000_000_000, random.u32(), 2 ** 53 - 1]);
      const builder = new BatchBuilder(64);
      const first = offset;
      for (let record = 1 + random.below(4); record > 0; record--) {
        const key = random.pick([null, bytesOf(random, 6), bytesOf(random, 40)]);
        const value = bytesOf(random, random.pick([4, 100, 2000]));
        builder.add(key, value);
        const fields = { ...(key === null ? {} : fieldOf("key", key)), ...fieldOf("value", value) };
        messages.push({ offset: offset++, partition, timestamp_ms: timestampMs, ...fields });
      }
      const { bytes } = builder.finish();
      stampBatch(bytes, 0, first, timestampMs, 0);
      slices.push(bytes);
    }
    const page = pageOf(slices, { startOffset: base, endOffset: offset, limit: 100, maxBytes: 0 });
    writer.begin();
    writer.messages(page, { partition, limit: 100, maxBytes: ALL, base64 }, ARRAY_FRAMING, ALL);
    const text = Buffer.from(writer.written).toString();
    expect(text).toBe(messages.map((message) => JSON.stringify(message)).join(","));
  });
});

/** Up to `length - 1` bytes of text, some of which JSON escapes. */
const bytesOf = (random: Random, length: number): Buffer =>
  Buffer.from(
    Array.from({ length: random.below(length) }, () =>
      random.pick([120, 65, 34, 92, 10, 1, 31, 126]),
    ),
  );
