/** Goal: a cached text is the one that the bytes mean, whatever was read before. */
import { expect, test } from "bun:test";
import { ByteReader, ByteWriter, DecodeError } from "../../src/lib/bytes.ts";
import { TextCache } from "../../src/lib/text-cache.ts";
import { forEachSeed } from "../tools/random.ts";

const PIECES = ["a", "b", "é", "\u{1F600}", "\u0000", "orders", "x".repeat(40), "\ud800"];

test("texts of any length and script come back, through a cache and without one", () => {
  const cache = new TextCache();
  forEachSeed(300, (random) => {
    const texts = Array.from({ length: 8 }, () =>
      Array.from({ length: random.below(4) }, () => random.pick(PIECES)).join(""),
    );
    const writer = new ByteWriter(1);
    const plain = new ByteWriter(1);
    for (const text of texts) {
      writer.text(text);
      plain.blob(new TextEncoder().encode(text));
    }
    const bytes = writer.take();
    expect(bytes).toEqual(plain.take());
    // A lone surrogate becomes the replacement character, as the encoder has it.
    const expected = texts.map((text) => text.toWellFormed());
    const [cached, uncached] = [new ByteReader(bytes), new ByteReader(bytes)];
    expect(texts.map(() => cache.read(cached))).toEqual(expected);
    expect(texts.map(() => uncached.text())).toEqual(expected);
    expect([cached.remaining, uncached.remaining]).toEqual([0, 0]);
  });
});

test("bytes of the reader may change afterwards", () => {
  const cache = new TextCache();
  const bytes = Uint8Array.of(2, 97, 98);
  expect(cache.read(new ByteReader(bytes))).toBe("ab");
  bytes[1] = 99;
  expect(cache.read(new ByteReader(bytes))).toBe("cb");
  expect(cache.read(new ByteReader(Uint8Array.of(2, 97, 98)))).toBe("ab");
});

test("bytes that are not UTF-8, or end early, are refused each time", () => {
  const cache = new TextCache();
  for (let i = 0; i < 2; i++) {
    expect(() => cache.read(new ByteReader(Uint8Array.of(2, 255, 254)))).toThrow(DecodeError);
    expect(() => cache.read(new ByteReader(Uint8Array.of(3, 97)))).toThrow(DecodeError);
  }
});
