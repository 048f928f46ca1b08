import { expect, test } from "bun:test";
import { crc32, crc32Between, crc32Range } from "../../src/lib/crc32.ts";
import { Random } from "../tools/random.ts";

test("the checksum of a range by tables is the native one, at every length, start and seed", () => {
  const random = new Random(4);
  const bytes = Uint8Array.from({ length: 400 }, () => random.below(256));
  for (let length = 0; length <= 300; length++) {
    const start = random.below(100);
    const seed = random.pick([0, 1, 0xffffffff, random.u32()]);
    const native = crc32(bytes.subarray(start, start + length), seed);
    expect(crc32Range(bytes, start, start + length, seed)).toBe(native);
    expect(crc32Between(bytes, start, start + length, seed)).toBe(native);
  }
});
