/** `bun bench/page-writer.bench.ts`: the time to write one page of messages as JSON, without HTTP. */
import { ARRAY_FRAMING, PageWriter } from "../src/http/page-writer.ts";
import type { ConsumePage } from "../src/node/api.ts";
import { BatchBuilder } from "../src/record/batch-builder.ts";
import { batchLength, stampBatch } from "../src/record/batch-header.ts";
import { bench } from "./harness.ts";

const ALL = Number.MAX_SAFE_INTEGER;
const NOW_MS = 1_700_000_000_000;
const VALUE = Buffer.from("x".repeat(64));

function pageOf(records: number, perBatch: number): ConsumePage {
  const batches: Uint8Array[] = [];
  for (let offset = 0; offset < records; offset += perBatch) {
    const builder = new BatchBuilder();
    for (let i = 0; i < perBatch; i++) builder.add(null, VALUE);
    const { bytes } = builder.finish();
    for (let at = 0; at < bytes.length; at += batchLength(bytes, at)) {
      stampBatch(bytes, at, 5_000_000 + offset, NOW_MS + offset, 0);
    }
    batches.push(bytes);
  }
  const slices = [new Uint8Array(Buffer.concat(batches))];
  return {
    slices,
    first: null,
    topicId: 1,
    startOffset: 5_000_000,
    committedOffset: null,
    lowWatermark: 0,
    endOffset: 5_000_000 + records,
  };
}

for (const encoding of ["base64", "text"] as const) {
  for (const records of [100, 1000]) {
    for (const perBatch of [1, 100]) {
      const writer = new PageWriter();
      const page = pageOf(records, perBatch);
      const limits = { partition: 0, limit: records, maxBytes: ALL, base64: encoding === "base64" };
      await bench(
        {
          name: `page-writer/encoding=${encoding}/records=${records}/records-per-batch=${perBatch}`,
          unit: "page",
          bytesPerOp: records * VALUE.length,
          setup: () => writer,
          run: () => {
            writer.begin();
            writer.messages(page, limits, ARRAY_FRAMING, ALL);
          },
        },
        3000,
      );
    }
  }
}
