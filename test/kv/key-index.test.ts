import { expect, test } from "bun:test";
import { KeyIndex } from "../../src/kv/key-index.ts";
import { captured, type KeyPage, type NewEntry, type PageCapture } from "../../src/kv/key-page.ts";
import { DecodeError, utf8 } from "../../src/lib/bytes.ts";
import { DueIndex } from "../../src/lib/due-index.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const entryOf = (key: string, revision: number, value = `value of ${key}`): NewEntry => ({
  key: utf8(key),
  value: utf8(value),
  revision,
  expiresAt: 0,
});

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const inByteOrder = (a: string, b: string): number =>
  Buffer.compare(Buffer.from(a), Buffer.from(b));

const keysFrom = (index: KeyIndex, start: string): string[] =>
  [...index.from(utf8(start))].map(({ page, at }) => text(page.key(at)));

/** Key, value and revision of each entry of the captured pages. */
const linesOf = (pages: readonly PageCapture[]): string[] =>
  pages.flatMap((page) =>
    Array.from({ length: page.count }, (_, i) => {
      const { at, keyLength, length, revision } = captured(page, i);
      const key = text(page.bytes.subarray(at, at + keyLength));
      return `${key} ${text(page.bytes.subarray(at + keyLength, at + length))} ${revision}`;
    }),
  );

const linesOfModel = (model: Map<string, NewEntry>): string[] =>
  [...model.keys()].sort(inByteOrder).map((key) => {
    const entry = model.get(key);
    return `${key} ${text(entry?.value ?? new Uint8Array())} ${entry?.revision}`;
  });

const randomKey = (random: Random, range: number): string =>
  `${random.pick(["", "a", "ab", "é", "\u{10ffff}", "\uffff"])}${random.below(range)}`;

test("an index holds what a map holds, in byte order, while buckets split and join", () => {
  forEachSeed(10, (random) => {
    const index = new KeyIndex({ value: 0 });
    const model = new Map<string, NewEntry>();
    const range = random.pick([50, 2_000]);
    for (let i = 1; i < 6_000; i++) {
      const putsOfTen = i < 3_500 ? 7 : 3;
      const key = randomKey(random, range);
      const isPut = random.below(10) < putsOfTen;
      const value = "v".repeat(random.below(random.pick([5, 5, 5, 5, 300, 300, 300, 9_000])));
      changeBoth(index, model, isPut ? entryOf(key, i, value) : key);
      const place = index.find(utf8(key));
      expect(place?.page.revision(place.at)).toBe(model.get(key)?.revision as number);
    }
    const sorted = [...model.keys()].sort(inByteOrder);
    expect(keysFrom(index, "")).toEqual(sorted);
    for (let i = 0; i < 50; i++) {
      const start = randomKey(random, range);
      const expected = sorted.filter((key) => inByteOrder(key, start) >= 0);
      expect(keysFrom(index, start)).toEqual(expected);
    }
    expect(linesOf(index.capture())).toEqual(linesOfModel(model));
    for (const { key } of model.values()) index.remove(key);
    expect(keysFrom(index, "")).toEqual([]);
  });
});

/** Puts the entry, or removes the key. */
function changeBoth(
  index: KeyIndex,
  model: Map<string, NewEntry>,
  change: NewEntry | string,
): void {
  const key = typeof change === "string" ? change : text(change.key);
  const present = model.get(key);
  const bytes = present === undefined ? -1 : present.key.length + present.value.length;
  if (typeof change === "string") {
    expect(index.remove(utf8(key))).toBe(bytes);
    model.delete(key);
  } else {
    expect(index.put(change)).toBe(bytes);
    model.set(key, change);
  }
}

test("what was captured stays as it was, whatever is put and removed", () => {
  forEachSeed(6, (random) => {
    const epoch = { value: 0 };
    const index = new KeyIndex(epoch);
    const model = new Map<string, NewEntry>();
    const captures: { pages: PageCapture[]; expected: string[] }[] = [];
    for (let i = 0; i < 5_000; i++) {
      if (i % 1_500 === 1_000) {
        epoch.value++;
        captures.push({ pages: index.capture(), expected: linesOfModel(model) });
      }
      const key = randomKey(random, 900);
      const isPut = !model.has(key) || random.below(2) === 0;
      changeBoth(index, model, isPut ? entryOf(key, i + 1, "x".repeat(i % 99)) : key);
    }
    for (const { pages, expected } of captures) expect(linesOf(pages)).toEqual(expected);
  });
});

test("keys that come in order fill their pages", () => {
  const index = new KeyIndex({ value: 0 });
  for (let i = 0; i < 20_000; i++) index.put(entryOf(`${100_000 + i}`, 1));
  expect(index.capture().length).toBeLessThan(100);
});

test("large values have pages of their own, and small ones between them still share", () => {
  const index = new KeyIndex({ value: 0 });
  for (let i = 0; i < 600; i++) {
    const number = (i * 7) % 600;
    const length = number % 50 === 0 ? 200_000 : 20;
    index.put(entryOf(`${1_000 + number}`, 1, "x".repeat(length)));
  }
  const pages = index.capture();
  expect(pages.length).toBeLessThan(50);
  const shared = pages.filter((page) => page.count > 1).map((page) => page.bytes.length);
  expect(Math.max(...shared)).toBeLessThan(100_000);
});

test("what was removed or replaced does not stay in memory", () => {
  const index = new KeyIndex({ value: 0 });
  const bytes = () => index.capture().reduce((sum, page) => sum + page.bytes.length, 0);
  for (let i = 0; i < 50_000; i++) index.put(entryOf(`${i % 100}`, 1, "x".repeat(100)));
  expect(bytes()).toBeLessThan(30_000);
  for (let i = 0; i < 90; i++) index.remove(utf8(`${i}`));
  expect(bytes()).toBeLessThan(5_000);
});

test("expired entries are removed in the order of keys, however they are spread over pages", () => {
  const [dueOfA, dueOfB] = [new DueIndex<KeyPage>(), new DueIndex<KeyPage>()];
  const [a, b] = [new KeyIndex({ value: 0 }, dueOfA), new KeyIndex({ value: 0 }, dueOfB)];
  const entry = (i: number): NewEntry => ({
    ...entryOf(`${10_000 + i}`, i),
    expiresAt: i % 3 === 0 ? 1 + (i % 100) : 0,
  });
  for (let i = 0; i < 3_000; i++) a.append(entry(i));
  for (let i = 0; i < 3_000; i++) b.put(entry((i * 7) % 3_000));
  expect(dueOfA.nextAt()).toBe(1);
  expect(a.capture().length).not.toBe(b.capture().length);
  expect(a.removeExpired(50, 200, [...dueOfA.due(50)]).count).toBe(200);
  expect(b.removeExpired(50, 200, [...dueOfB.due(50)]).count).toBe(200);
  expect(linesOf(a.capture())).toEqual(linesOf(b.capture()));
  expect(a.removeExpired(50, 1_000_000, [...dueOfA.due(50)]).count).toBe(300);
  expect(dueOfA.nextAt()).toBe(51);
  expect(keysFrom(a, "")).toHaveLength(3_000 - 500);
});

test("pages that have become small join", () => {
  const index = new KeyIndex({ value: 0 });
  for (let i = 0; i < 5_000; i++) index.put(entryOf(`${10_000 + i}`, 1));
  for (let i = 0; i < 5_000; i++) if (i % 50 !== 0) index.remove(utf8(`${10_000 + i}`));
  expect(keysFrom(index, "")).toHaveLength(100);
  expect(index.capture().length).toBeLessThan(6);
});

test("a page that takes over its neighbour is copied first if a snapshot has it", () => {
  const epoch = { value: 0 };
  const index = new KeyIndex(epoch);
  const key = (i: number): string => `${1_000 + i}`;
  for (let i = 0; i < 512; i++) index.append(entryOf(key(i), i));
  for (let i = 0; i < 512; i++) if (i % 256 >= 50) index.remove(utf8(key(i)));
  // Leaves dead bytes in the page, so that it moves its entries when it takes more.
  index.put(entryOf(key(0), 0, "another value"));
  epoch.value++;
  const pages = index.capture();
  const before = linesOf(pages);
  expect(pages.map((page) => page.count)).toEqual([50, 50]);
  for (let i = 256; i < 260; i++) index.remove(utf8(key(i)));
  expect(index.capture().length).toBe(1);
  expect(linesOf(pages)).toEqual(before);
});

test("no page is passed over while pages join and others expire", () => {
  const due = new DueIndex<KeyPage>();
  const index = new KeyIndex({ value: 0 }, due);
  for (let i = 0; i < 2_000; i++) {
    index.append({ ...entryOf(`${1_000 + i}`, 1), expiresAt: i % 100 === 0 ? 0 : 7 });
  }
  expect(index.removeExpired(7, 10_000, [...due.due(7)]).count).toBe(1_980);
  expect(index.capture().length).toBe(1);
});

test("entries are appended only in order", () => {
  const index = new KeyIndex({ value: 0 });
  for (const key of ["a", "c", "d"]) index.append(entryOf(key, 1));
  expect(keysFrom(index, "")).toEqual(["a", "c", "d"]);
  for (const key of ["d", "b", ""]) {
    expect(() => index.append(entryOf(key, 3))).toThrow(DecodeError);
  }
});
