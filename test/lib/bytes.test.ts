import { expect, test } from "bun:test";
import {
  ByteReader,
  ByteWriter,
  DecodeError,
  utf8,
  utf8Length,
  varintLength,
} from "../../src/lib/bytes.ts";
import { forEachSeed } from "../tools/random.ts";

test("numbers come back, up to 2^53-1", () => {
  forEachSeed(200, (random) => {
    const value = Math.floor((random.u32() / 2 ** 32) * 2 ** (1 + random.below(53)));
    const writer = new ByteWriter(1);
    writer.varint(value);
    expect(writer.length).toBe(varintLength(value));
    writer.u64(value);
    writer.text("é\u0000x");
    const reader = new ByteReader(writer.take());
    expect([reader.varint(), reader.u64(), reader.text(), reader.remaining]).toEqual([
      value,
      value,
      "é\u0000x",
      0,
    ]);
  });
});

test("every cut of valid bytes ends in a DecodeError", () => {
  const writer = new ByteWriter();
  writer.varint(300);
  writer.u64(7);
  writer.blob(new Uint8Array(200));
  const whole = writer.take();
  for (let length = 0; length < whole.length; length++) {
    const reader = new ByteReader(whole.subarray(0, length));
    expect(() => {
      reader.varint();
      reader.u64();
      reader.blob();
    }, `${length}`).toThrow(DecodeError);
  }
});

test("integers above 2^53-1 and text that is not UTF-8 are refused", () => {
  expect(() => new ByteReader(new Uint8Array(8).fill(255)).u64()).toThrow(DecodeError);
  expect(() => new ByteReader(new Uint8Array(11).fill(255)).varint()).toThrow(DecodeError);
  expect(() => new ByteReader(new Uint8Array([2, 255, 254])).text()).toThrow(DecodeError);
});

test("the length of a text in UTF-8 is that of its bytes, also with halves of surrogate pairs", () => {
  const parts = ["", "a", "\u0080", "é", "\u0800", "€", "😀", "\ud800", "\udc00"];
  for (const a of parts) {
    for (const b of parts) {
      for (const c of parts) {
        const text = a + b + c;
        expect([text, utf8Length(text)]).toEqual([text, utf8(text).length]);
      }
    }
  }
});
