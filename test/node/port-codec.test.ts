import { expect, test } from "bun:test";
import { ByteCursor } from "../../src/lib/byte-cursor.ts";
import type {
  ConsumeRequest,
  KvPutRequest,
  KvValue,
  Produced,
  ProduceRequest,
  Rejected,
} from "../../src/node/api.ts";
import {
  consumeBytesMax,
  KV_WRITTEN_BYTES_MAX,
  kvGetBytesMax,
  kvPutBytesMax,
  kvValueBytesMax,
  PRODUCED_BYTES_MAX,
  pageBytesMax,
  produceBytesMax,
  readConsume,
  readKvGet,
  readKvPut,
  readKvValue,
  readKvWritten,
  readPage,
  readProduce,
  readProduced,
  readRejected,
  rejectedBytesMax,
  rejectionOf,
  writeConsume,
  writeKvGet,
  writeKvPut,
  writeKvValue,
  writeKvWritten,
  writePage,
  writeProduce,
  writeProduced,
  writeRejected,
} from "../../src/node/port/codec.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

/** Writes with `write` into at most `bytesMax` bytes, and reads exactly what was written. */
function over<T>(bytesMax: number, write: (to: ByteCursor) => void, read: (from: ByteCursor) => T) {
  const cursor = new ByteCursor(new Uint8Array(bytesMax));
  write(cursor);
  cursor.range(0, cursor.at);
  const value = read(cursor);
  cursor.checkEnd();
  return value;
}

const bytesOf = (random: Random): Uint8Array =>
  Uint8Array.from({ length: random.below(600) }, () => random.below(256));
const textOf = (random: Random): string =>
  random.pick(["t", "orders.eu-1", "é", "日本語", "🎈🎈", "x".repeat(128)]);
const numberOf = (random: Random): number =>
  random.pick([0, 1, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]);

test("a produce is read as it was written", () => {
  forEachSeed(300, (random) => {
    const headers = random.below(2) === 1;
    const request: ProduceRequest = {
      topic: textOf(random),
      partition: random.pick([null, 0, 7, 2 ** 20]),
      key: random.pick([null, new Uint8Array(0), bytesOf(random)]),
      idempotencyKey: random.pick([null, bytesOf(random)]),
      records: { ...encodeRecord(null, bytesOf(random)), hasHeaders: headers },
      timeoutMs: random.pick([null, 0, 2 ** 31 - 1]),
      rocket: random.below(2) === 1,
      traced: random.below(2) === 1,
      producer: random.pick([
        null,
        { id: textOf(random), epoch: numberOf(random), seq: numberOf(random) },
      ]),
    };
    const read = over(
      produceBytesMax(request),
      (to) => writeProduce(to, request),
      (from) => {
        const { records, key, idempotencyKey, ...others } = readProduce(from);
        const copied = (bytes: Uint8Array | null) =>
          bytes === null ? null : Uint8Array.from(bytes);
        return {
          ...others,
          key: copied(key),
          idempotencyKey: copied(idempotencyKey),
          records: { ...records, bytes: Uint8Array.from(records.bytes) },
        };
      },
    );
    expect<ProduceRequest>(read).toEqual(request);
  });
});

test("the outcome of a produce is read as it was written", () => {
  forEachSeed(300, (random) => {
    const produced: Produced = {
      partition: random.below(2 ** 20),
      firstOffset: random.pick([null, 0, 2 ** 40]),
      count: random.below(10_000),
      duplicate: random.below(2) === 1,
      payloadMatches: random.below(2) === 1,
      committed: random.below(2) === 1,
      batchId: numberOf(random),
      synced: random.pick([null, true, false]),
      ackedBy: random.below(10),
      queueUs: random.below(1000) / 8,
      syncWaitUs: numberOf(random),
    };
    const read = over(PRODUCED_BYTES_MAX, (to) => writeProduced(to, produced), readProduced);
    expect<Produced>(read).toEqual(produced);
  });
});

test("calls of the key-value store and their outcomes are read as they were written", () => {
  forEachSeed(300, (random) => {
    const namespace = textOf(random);
    const key = textOf(random);
    const put: KvPutRequest = {
      namespace,
      key,
      value: bytesOf(random),
      cas: random.pick([null, 0, 2 ** 40]),
      ttlMs: random.pick([null, 1, 2 ** 31]),
      timeoutMs: random.pick([null, 0]),
    };
    const readPut = (from: ByteCursor) => {
      const { value, ...others } = readKvPut(from);
      return { ...others, value: Uint8Array.from(value) };
    };
    expect<KvPutRequest>(over(kvPutBytesMax(put), (to) => writeKvPut(to, put), readPut)).toEqual(
      put,
    );
    const get = { namespace, key, linearizable: random.below(2) === 1 };
    expect(over(kvGetBytesMax(get), (to) => writeKvGet(to, get), readKvGet)).toEqual(get);
    const ack = { batchId: numberOf(random), synced: random.pick([null, true, false]), ackedBy: 3 };
    const written = { cas: numberOf(random), ...ack };
    const writeWritten = (to: ByteCursor) => writeKvWritten(to, written);
    expect(over(KV_WRITTEN_BYTES_MAX, writeWritten, readKvWritten)).toEqual(written);
    const value: KvValue = { value: bytesOf(random), cas: numberOf(random), ttlMs: 7 };
    const read = over(kvValueBytesMax(value), (to) => writeKvValue(to, value), readKvValue);
    expect(read).toEqual(value);
  });
});

test("a read and its page are read as they were written", () => {
  forEachSeed(300, (random) => {
    const request: ConsumeRequest = {
      topic: textOf(random),
      group: textOf(random),
      partition: random.below(2 ** 20),
      offset: random.pick([null, 0, 2 ** 40]),
      topicId: random.pick([null, 0, 2 ** 32]),
      limit: random.below(1001),
      maxBytes: numberOf(random),
      linearizable: random.below(2) === 1,
    };
    const read = over(consumeBytesMax(request), (to) => writeConsume(to, request), readConsume);
    expect(read).toEqual(request);
    const ranges = Array.from({ length: random.below(20) }, () => ({
      block: numberOf(random),
      from: random.u32(),
      to: random.u32(),
    }));
    const marks = {
      topicId: numberOf(random),
      startOffset: numberOf(random),
      committedOffset: random.pick([null, 0, 2 ** 40]),
      lowWatermark: numberOf(random),
      endOffset: numberOf(random),
      first: random.pick([null, { offset: numberOf(random), at: random.u32() }]),
    };
    const page = { ...marks, slices: [] };
    const bytesMax = pageBytesMax(ranges);
    const got = over(bytesMax, (to) => writePage(to, page, ranges), readPage);
    expect(got).toEqual({ ...marks, ranges });
  });
});

test("a rejection is read as it was written, with what it has and nothing else", () => {
  const rejections: readonly Rejected[] = [
    { ok: false, code: "overloaded" },
    { ok: false, code: "not_found", message: "" },
    { ok: false, code: "cas_mismatch", details: { current: 7 } },
    { ok: false, code: "not_leader", message: "é 🎈", details: { a: null, b: "text", c: 2 ** 40 } },
    { ok: false, code: "disk_full", details: {} },
  ];
  for (const rejected of rejections) {
    const rejection = rejectionOf(rejected);
    const write = (to: ByteCursor) => writeRejected(to, rejection);
    expect(over(rejectedBytesMax(rejection), write, readRejected)).toStrictEqual(rejected);
  }
});
