import { expect, test } from "bun:test";
import { join } from "node:path";
import { ByteCursor } from "../../src/lib/byte-cursor.ts";
import { sameBytes } from "../../src/lib/bytes.ts";
import { RingCorrupted, RingReader, RingWriter, ringMemory } from "../../src/lib/ring.ts";
import { entryAt } from "../tools/lib/ring-entries.ts";
import type { RingWork } from "../tools/lib/ring-worker.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const HEADER_BYTES = 256;

function put(ring: RingWriter, bytes: Uint8Array, announced = 4 + bytes.length): boolean {
  const entry = ring.reserve(announced);
  if (entry === null) return false;
  entry.putBlob(bytes);
  ring.publish();
  return true;
}

function takeAll(ring: RingReader): Uint8Array[] {
  const all: Uint8Array[] = [];
  ring.drain((entry) => {
    all.push(entry.blob().slice());
    entry.checkEnd();
  });
  return all;
}

test("entries of random sizes come out as they went in, at every place of the memory", () => {
  forEachSeed(20, comeOutAsTheyWentIn);
});

function comeOutAsTheyWentIn(random: Random, seed: number): void {
  const memory = ringMemory(1024);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const waiting: Uint8Array[] = [];
  let refused = 0;
  for (let step = 0; step < 5000; step++) {
    if (random.below(3) > 0) {
      const bytes = entryAt(seed, step);
      // Often more is announced than is written.
      const isIn = put(writer, bytes, 4 + bytes.length + random.below(40));
      if (isIn) waiting.push(bytes);
      else refused++;
    } else {
      expect(takeAll(reader)).toEqual(waiting.splice(0));
      expect(reader.isEmpty).toBe(true);
    }
  }
  expect(refused).toBeGreaterThan(100);
}

test("a full ring takes nothing, and everything again once it was read", () => {
  const memory = ringMemory(256);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const bytes = new Uint8Array(24).fill(7);
  // 4 bytes of length, 4 of the blob, 24: 32 bytes each.
  for (let round = 0; round < 100; round++) {
    for (let n = 0; n < 8; n++) expect(put(writer, bytes)).toBe(true);
    expect(put(writer, new Uint8Array(0))).toBe(false);
    expect(takeAll(reader)).toHaveLength(8);
  }
});

test("positions go on beyond 2³²", () => {
  const memory = ringMemory(1024);
  const words = new Int32Array(memory, 0, 64);
  words[0] = -512;
  words[16] = -512;
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  for (let n = 0; n < 100; n++) {
    expect(put(writer, entryAt(1, n))).toBe(true);
    expect(takeAll(reader)).toEqual([entryAt(1, n)]);
  }
  expect(words[0]).toBeGreaterThan(0);
});

test("an entry that was not published does not exist", () => {
  const memory = ringMemory(256);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  writer.reserve(100)?.putU8(1);
  expect(reader.isEmpty).toBe(true);
  expect(put(writer, Uint8Array.of(5))).toBe(true);
  expect(takeAll(reader)).toEqual([Uint8Array.of(5)]);
});

test("an entry cannot be written beyond what was announced", () => {
  const writer = new RingWriter(ringMemory(256));
  const entry = writer.reserve(8);
  entry?.putU32(1);
  expect(() => entry?.putNumber(1)).toThrow("an entry must not be longer than announced");
  expect(() => writer.reserve(7)?.putBlob(new Uint8Array(4))).toThrow("longer than announced");
  expect(() => writer.reserve(7)?.putText("four")).toThrow("longer than announced");
});

test("a length that cannot be is found before anything is read", () => {
  for (const wrong of [25, 200, 1024, 0xffff_fffe, 0x8000_0000]) {
    const memory = ringMemory(1024);
    const writer = new RingWriter(memory);
    expect(put(writer, new Uint8Array(16))).toBe(true);
    new DataView(memory).setUint32(HEADER_BYTES, wrong, true);
    const taken: unknown[] = [];
    expect(() => new RingReader(memory).drain((entry) => taken.push(entry))).toThrow(RingCorrupted);
    expect(taken).toEqual([]);
  }
});

test("a skip beyond what was written is found", () => {
  const memory = ringMemory(1024);
  expect(put(new RingWriter(memory), new Uint8Array(16))).toBe(true);
  new DataView(memory).setUint32(HEADER_BYTES, 0xffff_ffff, true);
  expect(() => new RingReader(memory).drain(() => undefined)).toThrow(RingCorrupted);
});

test("a sleeper is seen once, and nobody sleeps over an entry", () => {
  const memory = ringMemory(256);
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  expect(writer.takeSleeper()).toBe(false);
  expect(reader.sleep()).toBe(true);
  expect(put(writer, Uint8Array.of(1))).toBe(true);
  expect(writer.takeSleeper()).toBe(true);
  expect(writer.takeSleeper()).toBe(false);
  expect(reader.sleep()).toBe(false);
  expect(writer.takeSleeper()).toBe(false);
});

test("fields are read as they were written, and reading never leaves the range", () => {
  const cursor = new ByteCursor(new Uint8Array(200));
  const numbers = [0, -1, 0.5, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 2 ** -40];
  const texts = ["", "orders", "é", "日本", "🎈"];
  cursor.putU8(255);
  cursor.putU32(0xffff_ffff);
  for (const number of [...numbers, null]) cursor.putNumber(number);
  for (const text of texts) cursor.putText(text);
  for (const blob of [null, new Uint8Array(0), Uint8Array.of(1, 2)]) cursor.putBlob(blob);
  const end = cursor.at;
  cursor.range(0, end);
  expect([cursor.u8(), cursor.u32()]).toEqual([255, 0xffff_ffff]);
  expect(numbers.map(() => cursor.number())).toEqual(numbers);
  expect(cursor.numberOrNull()).toBe(null);
  expect(texts.map(() => cursor.text())).toEqual(texts);
  expect(cursor.blobOrNull()).toBe(null);
  expect([cursor.blob().length, [...cursor.blob()]]).toEqual([0, [1, 2]]);
  cursor.checkEnd();
  expect(() => cursor.u8()).toThrow("bytes end early");
  cursor.range(0, 4);
  expect(() => cursor.number()).toThrow("bytes end early");
  expect(() => cursor.checkEnd()).toThrow("4 bytes too many");
  // The length of a text that the range does not have.
  cursor.putU32(1000);
  cursor.range(0, 100);
  expect(() => cursor.text()).toThrow("bytes end early");
});

test("two threads: everything arrives once and in order, however often the reader sleeps", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const memory = ringMemory(4096);
  const reader = new RingReader(memory);
  const worker = new Worker(join(import.meta.dir, "../tools/lib/ring-worker.ts"));
  const count = 50_000;
  let taken = 0;
  let sleeps = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const look = () => {
    reader.drain((entry) => {
      const bytes = entry.blob();
      if (!sameBytes(bytes, entryAt(seed, taken))) throw new Error(`entry ${taken}, seed ${seed}`);
      taken++;
    });
    if (taken === count) resolve();
    else if (reader.sleep()) sleeps++;
    else setImmediate(look);
  };
  worker.onmessage = look;
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.postMessage({ memory, count, seed } satisfies RingWork);
  look();
  await promise;
  expect(taken).toBe(count);
  expect(sleeps).toBeGreaterThan(0);
  worker.terminate();
});
