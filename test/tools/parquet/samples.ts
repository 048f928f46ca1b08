/** Records of all kinds of values, by number: the same record for the same number. */
import { utf8 } from "../../../src/lib/bytes.ts";
import { BatchBuilder } from "../../../src/record/batch-builder.ts";
import { batchCount, batchLength, stampBatch } from "../../../src/record/batch-header.ts";
import { encodeHeaders, type Header, NO_HEADERS } from "../../../src/record/headers.ts";

export type Sample = {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: readonly Header[];
};

const KINDS = 16;
const LARGE_BYTES = 1024 * 1024;
const INVALID = new Uint8Array([0xff, 0xfe, 0x00, 0x80]);

/** @param large numbers of this multiple have a value of 1 MiB. */
export function sampleOf(number: number, large = 250_000): Sample {
  const key = number % 5 === 0 ? null : number % 7 === 0 ? INVALID : utf8(`key-${number % 1000}`);
  const headers =
    number % 3 === 0
      ? [
          { name: "trace", value: `t${number}` },
          { name: "ünï", value: '"\\' },
        ]
      : [];
  return { key, headers, value: bytesOfValue(number, large) };
}

function bytesOfValue(number: number, large: number): Uint8Array {
  if (number % large === large - 1) return largeValue(number);
  switch (number % KINDS) {
    case 0:
      return new Uint8Array(0);
    case 1:
      return new Uint8Array([0x80, number & 255, 0xff]);
    case 2:
      return utf8("not JSON, but text: ünï 🎉");
    case 3:
      return utf8(`{"n":${number},"id":9223372036854775807,"at":"2026-01-31T08:00:00.123Z"}`);
    case 4:
      return utf8(`{"n":${number},"id":-9223372036854775808,"ok":true}`);
    case 5:
      return utf8(`{"n":${number},"id":9223372036854775808,"d":1e308}`);
    case 6:
      return utf8(`{"n":${number},"id":123456789012345678901234567890,"d":1e400}`);
    case 7:
      return utf8(`{"n":${number},"name":null,"d":-0.5,"at":${1_700_000_000_000 + number}}`);
    case 8:
      return utf8(`[1,2,{"n":${number}}]`);
    case 9:
      return utf8(`"${number}"`);
    case 10:
      return utf8("null");
    default:
      return utf8(
        JSON.stringify({
          n: number,
          id: number * 1_000_003,
          name: `name ${number % 97} 🎉 \u0000`,
          d: number / 3,
          ok: number % 2 === 0,
          nested: { list: [number, null], deep: { a: "ü" } },
        }),
      );
  }
}

/** As long as a value may be by default. */
function largeValue(number: number): Uint8Array {
  const [head, tail] = [`{"n":${number},"big":"`, '"}'];
  return utf8(head + "x".repeat(LARGE_BYTES - head.length - tail.length) + tail);
}

/** Batches of samples, as a partition stores them. @param timestampOf the time of a batch. */
export function* batchesOf(
  count: number,
  perBatch: number,
  timestampOf: (offset: number) => number,
  sample: (number: number) => Sample = sampleOf,
): Generator<Uint8Array, void> {
  for (let next = 0; next < count; ) {
    const builder = new BatchBuilder();
    const end = Math.min(count, next + perBatch);
    for (let number = next; number < end; number++) {
      const { key, value, headers } = sample(number);
      builder.add(key, value, headers.length === 0 ? NO_HEADERS : encodeHeaders(headers));
    }
    const { bytes } = builder.finish();
    for (let at = 0, offset = next; at < bytes.length; ) {
      const length = batchLength(bytes, at);
      const count = batchCount(bytes, at);
      stampBatch(bytes, at, offset, timestampOf(next), 0);
      offset += count;
      at += length;
    }
    yield bytes;
    next = end;
  }
}
