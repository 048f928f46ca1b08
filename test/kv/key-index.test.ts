import { expect, test } from "bun:test";
import { KeyIndex } from "../../src/kv/key-index.ts";
import { type KvEntry, KvNamespace } from "../../src/kv/state.ts";
import { DecodeError, utf8 } from "../../src/lib/bytes.ts";
import { forEachSeed, type Random } from "../sim/random.ts";

const namespace = new KvNamespace(1, "n", { value: 0 });

function entryOf(key: string, revision: number): KvEntry {
  const blob = utf8(key);
  const keyLength = blob.length;
  return { namespace, blob, keyLength, revision, expiresAt: 0, heapIndex: -1 };
}

const keyOf = (entry: KvEntry): string => Buffer.from(entry.blob).toString();
const inByteOrder = (a: string, b: string): number =>
  Buffer.compare(Buffer.from(a), Buffer.from(b));

function keysFrom(index: KeyIndex, start: string): string[] {
  const position = index.seek(utf8(start));
  const keys: string[] = [];
  for (let e = index.next(position); e !== undefined; e = index.next(position)) keys.push(keyOf(e));
  return keys;
}

const randomKey = (random: Random, range: number): string =>
  `${random.pick(["", "a", "ab", "é", "\u{10ffff}", "\uffff"])}${random.below(range)}`;

test("an index holds what a map holds, in byte order, while buckets split and join", () => {
  forEachSeed(10, (random) => {
    const index = new KeyIndex({ value: 0 });
    const model = new Map<string, KvEntry>();
    const range = random.pick([50, 2_000]);
    for (let i = 1; i < 6_000; i++) {
      const putsOfTen = i < 3_500 ? 7 : 3;
      const key = randomKey(random, range);
      changeBoth(index, model, key, random.below(10) < putsOfTen ? i : null);
      expect(index.find(utf8(key))).toBe(model.get(key) as KvEntry);
    }
    const sorted = [...model.keys()].sort(inByteOrder);
    expect(keysFrom(index, "")).toEqual(sorted);
    for (let i = 0; i < 50; i++) {
      const start = randomKey(random, range);
      const expected = sorted.filter((key) => inByteOrder(key, start) >= 0);
      expect(keysFrom(index, start)).toEqual(expected);
    }
    for (const entry of model.values()) index.remove(entry);
    expect(keysFrom(index, "")).toEqual([]);
  });
});

/** Puts the key with this revision, or removes it if that is null. */
function changeBoth(
  index: KeyIndex,
  model: Map<string, KvEntry>,
  key: string,
  revision: number | null,
): void {
  const present = model.get(key);
  if (revision !== null) {
    const entry = entryOf(key, revision);
    expect(index.put(entry)).toBe(present as KvEntry);
    model.set(key, entry);
  } else if (present !== undefined) {
    index.remove(present);
    model.delete(key);
  }
}

test("what was captured stays as it was, whatever is put and removed", () => {
  forEachSeed(10, (random) => {
    const epoch = { value: 0 };
    const index = new KeyIndex(epoch);
    const model = new Map<string, KvEntry>();
    const captures: { buckets: (readonly KvEntry[])[]; expected: string[] }[] = [];
    for (let i = 0; i < 8_000; i++) {
      if (i % 1_500 === 1_000) {
        epoch.value++;
        const buckets: (readonly KvEntry[])[] = [];
        index.capture(buckets);
        captures.push({ buckets, expected: [...model.keys()].sort(inByteOrder) });
      }
      const key = randomKey(random, 900);
      const isPut = !model.has(key) || random.below(2) === 0;
      changeBoth(index, model, key, isPut ? i + 1 : null);
    }
    for (const { buckets, expected } of captures) {
      expect(buckets.flat().map(keyOf)).toEqual(expected);
    }
  });
});

test("keys that come in order fill their buckets", () => {
  const index = new KeyIndex({ value: 0 });
  for (let i = 0; i < 20_000; i++) index.put(entryOf(`${100_000 + i}`, 1));
  const buckets: (readonly KvEntry[])[] = [];
  index.capture(buckets);
  expect(buckets.length).toBeLessThan(50);
});

test("entries are appended only in order", () => {
  const index = new KeyIndex({ value: 0 });
  index.append([entryOf("a", 1), entryOf("c", 2)]);
  index.append([entryOf("d", 1)]);
  expect(keysFrom(index, "")).toEqual(["a", "c", "d"]);
  for (const wrong of [[], [entryOf("d", 3)], [entryOf("f", 3), entryOf("e", 3)]]) {
    expect(() => index.append(wrong)).toThrow(DecodeError);
  }
});
