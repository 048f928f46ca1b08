import { expect, test } from "bun:test";
import { DEDUPE_CHUNK_ENTRIES } from "../../src/broker/dedupe-chunk.ts";
import { type DedupeCapture, DedupeTable } from "../../src/broker/dedupe-table.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const ALL = Number.MAX_SAFE_INTEGER;

function digestOf(number: number, bytes: number): Uint8Array {
  const digest = new Uint8Array(bytes);
  const view = new DataView(digest.buffer);
  view.setUint32(0, Math.imul(number, 0x9e3779b1) >>> 0, true);
  view.setUint32(bytes - 4, number, true);
  return digest;
}

const push = (table: DedupeTable, number: number): void =>
  table.push(digestOf(number, 16), digestOf(number + 1, 8), number, number * 10, 1 + (number % 9));

const found = (table: DedupeTable, number: number): number => table.find(digestOf(number, 16), ALL);

test("a table behaves as a queue with look-up, over many chunks and index sizes", () => {
  forEachSeed(6, (random) => {
    const table = new DedupeTable();
    let head = 0;
    let tail = 0;
    const size = random.pick([20, 3_000, 12_000]);
    for (let i = 0; i < size * 4; i++) {
      if (tail - head > 0 && random.below(size) < tail - head - size / 2) {
        expect(table.oldestAt).toBe(head++);
        table.shift();
      } else push(table, tail++);
      if (i % 16 === 0) checkAround(table, random, head, tail);
    }
    expect(table.size).toBe(tail - head);
    while (head < tail) {
      table.shift();
      expect(found(table, head++)).toBe(-1);
    }
    push(table, 5);
    expect(table.firstOffset(found(table, 5))).toBe(50);
  });
});

function checkAround(table: DedupeTable, random: Random, head: number, tail: number): void {
  const number = Math.max(0, head - 5) + random.below(tail - head + 10);
  const sequence = found(table, number);
  expect(sequence >= 0).toBe(number >= head && number < tail);
  if (sequence < 0) return;
  expect(table.at(sequence)).toBe(number);
  expect(table.firstOffset(sequence)).toBe(number * 10);
  expect(table.count(sequence)).toBe(1 + (number % 9));
  expect(table.hasPayload(sequence, digestOf(number + 1, 8))).toBe(true);
  expect(table.hasPayload(sequence, digestOf(number + 2, 8))).toBe(false);
}

test("the index shrinks with the table, and finds what is left at every size", () => {
  const table = new DedupeTable();
  for (let i = 0; i < 9_000; i++) push(table, i);
  expect(table.chains).toBe(9_000);
  for (let head = 0; head < 9_000; ) {
    table.shift();
    head++;
    const size = 9_000 - head;
    expect(table.chains).toBeLessThanOrEqual(Math.max(16, Math.min(9_000, size * 4)));
    expect(found(table, head - 1)).toBe(-1);
    if (size === 0) break;
    expect(table.firstOffset(found(table, head))).toBe(head * 10);
    const within = head + ((head * 7919) % size);
    expect(table.firstOffset(found(table, within))).toBe(within * 10);
  }
  expect(table.chains).toBe(16);
});

test("a table that was cut to a few keys holds the index of a few, also while keys come", () => {
  const table = new DedupeTable();
  let tail = 0;
  while (tail < 9_000) push(table, tail++);
  for (let i = 0; table.size > 50; i++) {
    table.shift();
    if (i % 3 === 0) push(table, tail++);
    const head = tail - table.size;
    expect(found(table, head - 1)).toBe(-1);
    expect(table.firstOffset(found(table, head))).toBe(head * 10);
    expect(table.firstOffset(found(table, tail - 1))).toBe((tail - 1) * 10);
  }
  expect(table.chains).toBeLessThanOrEqual(200);
});

test("of two entries with one key the newer is found, also after the older has gone", () => {
  const table = new DedupeTable();
  const key = digestOf(1, 16);
  table.push(key, digestOf(0, 8), 1, 100, 1);
  for (let i = 10; i < 200; i++) push(table, i);
  table.push(key, digestOf(0, 8), 200, 300, 1);
  for (let i = 201; i < 900; i++) push(table, i);
  expect(table.firstOffset(table.find(key, ALL))).toBe(300);
  table.shift();
  expect(table.firstOffset(table.find(key, ALL))).toBe(300);
});

test("keys whose hashes are all equal are still told apart", () => {
  const table = new DedupeTable();
  const key = (n: number): Uint8Array => new Uint8Array(16).fill(n, 12);
  for (let i = 0; i < 100; i++) table.push(key(i), key(i), i, i, 1);
  for (let i = 0; i < 100; i++) expect(table.firstOffset(table.find(key(i), ALL))).toBe(i);
  for (let i = 0; i < 50; i++) table.shift();
  for (let i = 0; i < 100; i++) expect(table.find(key(i), ALL) >= 0).toBe(i >= 50);
});

test("what was captured stays as it was while entries come and go", () => {
  const table = new DedupeTable();
  for (let i = 0; i < DEDUPE_CHUNK_ENTRIES + 100; i++) push(table, i);
  for (let i = 0; i < 50; i++) table.shift();
  const capture = table.capture();
  const before = timesOf(capture);
  for (let i = 0; i < DEDUPE_CHUNK_ENTRIES * 3; i++) {
    push(table, 1_000_000 + i);
    table.shift();
  }
  expect(timesOf(capture)).toEqual(before);
  expect(before).toHaveLength(DEDUPE_CHUNK_ENTRIES + 50);
});

function timesOf({ chunks, from, to }: DedupeCapture): number[] {
  const times: number[] = [];
  for (let i = from; i < to; i++) {
    times.push(chunks[Math.floor(i / DEDUPE_CHUNK_ENTRIES)]?.at[i % DEDUPE_CHUNK_ENTRIES] ?? -1);
  }
  return times;
}
