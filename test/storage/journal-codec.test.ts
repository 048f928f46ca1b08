import { expect, test } from "bun:test";
import { crc32 } from "../../src/lib/crc32.ts";
import {
  crcOfWords,
  FrameDecoder,
  FrameEncoder,
  frameBytes,
  KIND_ENTRY,
  KIND_WATERMARK,
  segmentSeed,
} from "../../src/storage/journal/frame.ts";
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  segmentIdOf,
  segmentPath,
} from "../../src/storage/journal/segment.ts";
import { forEachSeed, type Random } from "../tools/random.ts";
import { at, entryOf, inTerm } from "../tools/storage/journal-fixture.ts";

const safeInteger = (random: Random) => random.below(2 ** 21) * 2 ** 32 + random.u32();

test("the checksum by words is that of the native CRC-32", () => {
  forEachSeed(200, (random) => {
    const words = Uint32Array.from({ length: 1 + random.below(20) }, () => random.u32());
    const seed = random.u32();
    expect(crcOfWords(words, 0, words.length, seed)).toBe(
      crc32(new Uint8Array(words.buffer), seed),
    );
  });
});

test("frames decode to what was encoded, at any position, with any numbers", () => {
  const encoder = new FrameEncoder();
  const decoder = new FrameDecoder();
  forEachSeed(200, (random) => {
    const seed = segmentSeed(random.u32(), safeInteger(random));
    const position = 16 * random.below(2 ** 24);
    const watermark = safeInteger(random);
    const chain = random.u32();
    encoder.begin(seed, position, chain);
    encoder.setSynced(watermark, position);
    const index = 1 + random.below(1e6) * 2 ** 30;
    const entry = {
      ...entryOf(5, 3, random.below(300)),
      index: at(index),
      term: inTerm(2 ** 40 + 1),
    };
    encoder.entry(entry);
    encoder.mark(KIND_WATERMARK, index, 7);
    decoder.load(encoder.view().slice(), position, seed);
    expect(decoder.header(0)).toBe(true);
    expect([decoder.kind, decoder.index, decoder.term]).toEqual([KIND_ENTRY, index, 2 ** 40 + 1]);
    expect([decoder.watermark, decoder.synced, decoder.chain]).toEqual([
      watermark,
      position,
      chain,
    ]);
    expect(decoder.payload(0)).toEqual(entry.data);
    const first = decoder.checksum;
    const size = frameBytes(entry.data.length);
    expect(decoder.header(size)).toBe(true);
    expect([decoder.kind, decoder.chain, decoder.length]).toEqual([KIND_WATERMARK, first, 0]);
    expect(encoder.position).toBe(position + size + 48);
  });
});

test("a frame is valid at its place only", () => {
  const encoder = new FrameEncoder();
  const decoder = new FrameDecoder();
  const seed = segmentSeed(1, 1);
  encoder.begin(seed, 64, 0);
  encoder.entry(entryOf(1, 1, 20));
  const bytes = encoder.view().slice();
  for (const [start, place] of [
    [64, seed],
    [80, seed],
    [64, segmentSeed(1, 2)],
    [64, segmentSeed(2, 1)],
  ] as const) {
    decoder.load(bytes, start, place);
    expect(decoder.header(0)).toBe(start === 64 && place === seed);
  }
});

test("every flipped bit of a frame is seen, but for the padding", () => {
  const encoder = new FrameEncoder();
  const decoder = new FrameDecoder();
  encoder.begin(9, 64, 0);
  encoder.entry(entryOf(1, 1, 37));
  for (let bit = 0; bit < (48 + 37) * 8; bit++) {
    const bytes = encoder.view().slice();
    bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
    decoder.load(bytes, 64, 9);
    expect(decoder.header(0) && decoder.payload(0) !== null, `bit ${bit}`).toBe(false);
  }
});

test("golden bytes: a frame and a segment header of version 1", () => {
  const encoder = new FrameEncoder();
  encoder.begin(segmentSeed(1, 2), 64, 0x01020304);
  encoder.setSynced(6, 64);
  encoder.entry({
    index: at(7),
    term: inTerm(3),
    type: "conf_change",
    data: new Uint8Array([1, 2, 3]),
  });
  expect(Buffer.from(encoder.view()).toString("hex")).toMatchSnapshot();
  const header = encodeSegmentHeader({
    version: 1,
    capacity: 4096,
    id: 2,
    baseIndex: 6,
    baseTerm: 3,
    watermark: 6,
    identity: 1,
    previousChain: 5,
  });
  expect(Buffer.from(header).toString("hex")).toMatchSnapshot();
});

test("segment headers decode to what was encoded, and to null after any flipped bit", () => {
  forEachSeed(50, (random) => {
    const header = {
      version: 1,
      capacity: random.u32(),
      id: safeInteger(random),
      baseIndex: safeInteger(random),
      baseTerm: safeInteger(random),
      watermark: safeInteger(random),
      identity: random.u32(),
      previousChain: random.u32(),
    };
    const bytes = encodeSegmentHeader(header);
    expect(decodeSegmentHeader(bytes)).toMatchObject(header);
    const bit = random.below(bytes.length * 8);
    bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeSegmentHeader(bytes)).toBeNull();
  });
  expect(decodeSegmentHeader(new Uint8Array(10))).toBeNull();
});

test("names of segments sort like their ids, and nothing else is one", () => {
  expect(segmentPath("j", 12)).toBe("j/0000000000000012.seg");
  expect(segmentIdOf("0000000000000012.seg")).toBe(12);
  for (const name of ["12.seg", "0000000000000012.seg.tmp", "LOCK"])
    expect(segmentIdOf(name)).toBeNull();
});
