/** Batches of the client are byte for byte those that the server makes of the same records. */
import { expect, test } from "bun:test";
import { encodeBatches } from "../../src/client/batch-writer.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { receiveBatches } from "../../src/record/received-batches.ts";
import { Random } from "../tools/random.ts";

type Record = { readonly key: Uint8Array | null; readonly content: Uint8Array };

const LIMITS = { records: 1_000_000, valueBytes: 8 * 1024 * 1024 };
const SIZES = [
  0, 1, 47, 48, 49, 126, 127, 128, 129, 16_383, 16_384, 32_720, 32_727, 32_728, 40_000,
];

function serverBytes(records: readonly Record[]): Uint8Array {
  const builder = new BatchBuilder();
  for (const { key, content } of records) builder.add(key, content);
  return builder.finish().bytes;
}

function check(records: readonly Record[]): void {
  const bytes = encodeBatches(records);
  expect(Buffer.compare(bytes, serverBytes(records))).toBe(0);
  const received = receiveBatches(bytes, LIMITS);
  expect(received.ok && received.records.count).toBe(records.length);
}

const bytesOf = (random: Random, length: number) =>
  Uint8Array.from({ length }, () => random.below(256));

test("one record of each size, with keys of each size", () => {
  const random = new Random(1);
  for (const size of SIZES) {
    check([{ key: null, content: bytesOf(random, size) }]);
    check([{ key: bytesOf(random, size), content: bytesOf(random, 3) }]);
  }
});

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
test(`random records, SEED=${seed} bun test test/client/batch-writer.test.ts`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 60; round++) {
    const count = 1 + random.below(round % 10 === 0 ? 3_000 : 40);
    const records = Array.from({ length: count }, () => {
      const size =
        random.below(20) === 0 ? (SIZES[random.below(SIZES.length)] ?? 0) : random.below(90);
      const key = random.below(2) === 0 ? null : bytesOf(random, random.below(140));
      return { key, content: bytesOf(random, size) };
    });
    check(records);
  }
});

test("no record, no bytes", () => {
  expect(encodeBatches([]).length).toBe(0);
});
