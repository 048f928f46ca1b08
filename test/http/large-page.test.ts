/** A page that is made in several reads, while the partition goes on and loses its oldest records. */
import { expect, test } from "bun:test";
import type { ConsumePage, ConsumeRequest } from "../../src/node/api.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { stampBatch } from "../../src/record/batch-header.ts";
import { fixture } from "../tools/http/fixture.ts";

const VALUE_BYTES = 200_000;
const PER_READ = 2;
const END = 10;

function recordAt(offset: number): Uint8Array {
  const { bytes } = encodeRecord(null, Buffer.alloc(VALUE_BYTES, 97 + (offset % 26)));
  stampBatch(bytes, 0, offset, 5, 0);
  return bytes;
}

type Partition = { lowWatermark: number; endOffset: number };

/** A page of what there is, no more than two records of it, as a node that reads from a file. */
function pageOf({ offset }: ConsumeRequest, partition: Partition): ConsumePage & { ok: true } {
  const { lowWatermark, endOffset } = partition;
  const startOffset = Math.max(offset ?? 0, lowWatermark);
  const count = Math.max(0, Math.min(PER_READ, endOffset - startOffset));
  const slices = Array.from({ length: count }, (_, i) => recordAt(startOffset + i));
  const rest = { topicId: 1, startOffset, committedOffset: 3, lowWatermark, endOffset };
  return { ok: true, slices, first: null, ...rest };
}

/** @param between changes the partition before the second read. */
async function read(query: string, between: (partition: Partition) => void) {
  const partition = { lowWatermark: 0, endOffset: END };
  const reads: (number | null)[] = [];
  const { node, ask } = fixture();
  node.consume = async (request) => {
    if (reads.push(request.offset) === 2) between(partition);
    return pageOf(request, partition);
  };
  const { body } = await ask(`GET /broker/consume/t/g/0?max_bytes=67108864&${query}`);
  const { messages, ...numbers } = body as { messages: { offset: number; value: string }[] };
  for (const { offset, value } of messages) {
    expect(value).toBe(String.fromCharCode(97 + (offset % 26)).repeat(VALUE_BYTES));
  }
  return { offsets: messages.map(({ offset }) => offset), numbers, reads };
}

const NUMBERS = {
  count: END,
  next_offset: END,
  committed_offset: 3,
  truncated: false,
  low_watermark: 0,
  end_offset: END,
};
const nothing = () => undefined;
const upTo = (end: number) => [...Array(end).keys()];

test("it has everything up to the end of its first read", async () => {
  const { offsets, numbers, reads } = await read("offset=0", nothing);
  expect(offsets).toEqual(upTo(END));
  expect(numbers).toEqual(NUMBERS);
  expect(reads).toEqual([0, 2, 4, 6, 8]);
});

test("records that come meanwhile are not in it, and the next read starts with them", async () => {
  const { offsets, numbers } = await read("offset=0", (partition) => {
    partition.endOffset = 2 * END;
  });
  expect(offsets).toEqual(upTo(END));
  expect(numbers).toEqual(NUMBERS);
});

test("records that are deleted meanwhile are skipped", async () => {
  const { offsets, numbers } = await read("offset=0", (partition) => {
    partition.lowWatermark = 7;
  });
  expect(offsets).toEqual([0, 1, 7, 8, 9]);
  expect(numbers).toEqual({ ...NUMBERS, count: 5 });
});

test("if all of the rest is deleted meanwhile, it ends where it would have ended", async () => {
  const { offsets, numbers } = await read("offset=0", (partition) => {
    partition.lowWatermark = 3 * END;
    partition.endOffset = 4 * END;
  });
  expect(offsets).toEqual([0, 1]);
  expect(numbers).toEqual({ ...NUMBERS, count: 2 });
});

test("limit ends it in any of its reads", async () => {
  for (let limit = 1; limit <= END + 1; limit++) {
    const { offsets, numbers } = await read(`offset=0&limit=${limit}`, nothing);
    const count = Math.min(limit, END);
    expect(offsets).toEqual(upTo(count));
    expect(numbers).toEqual({ ...NUMBERS, count, next_offset: count });
  }
});
