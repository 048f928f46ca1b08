/** Records that a feed passes over because their key is at work. */
import { expect, test } from "bun:test";
import type { PartitionState } from "../../src/broker/state.ts";
import { utf8 } from "../../src/lib/bytes.ts";
import { PartitionHandle } from "../../src/node/partition-handle.ts";
import { KeyedFeed } from "../../src/node/queues/feed.ts";
import type { RecordWaits } from "../../src/node/reads/record-waits.ts";
import type { QueuePartition } from "../../src/queue/state.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import { batchCount, batchLength, stampBatch } from "../../src/record/batch-header.ts";
import { NO_HEADERS } from "../../src/record/headers.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";

const RECORDS = 20_500;

/** A partition whose records all have one key. */
function partitionOfOneKey(): PartitionState {
  const builder = new BatchBuilder(RECORDS * 16);
  for (let i = 0; i < RECORDS; i++) builder.add(utf8("key"), utf8("x"), NO_HEADERS);
  const { bytes } = builder.finish();
  const batches: { readonly end: number; readonly bytes: Uint8Array }[] = [];
  let offset = 0;
  for (let at = 0; at < bytes.length; ) {
    const length = batchLength(bytes, at);
    const batch = bytes.slice(at, at + length);
    stampBatch(batch, 0, offset, 1_000, 0);
    offset += batchCount(batch, 0);
    batches.push({ end: offset, bytes: batch });
    at += length;
  }
  const page = (from: number) => ({
    slices: batches.filter(({ end }) => end > from).map((each) => each.bytes),
    first: null,
  });
  const partition = { partition: 0, endOffset: offset, lowWatermark: 0 } as PartitionState;
  const log = { page } as unknown as PartitionLog;
  partition.node = new PartitionHandle(partition, log, {} as RecordWaits);
  return partition;
}

test("the event loop runs while very many records are passed over", async () => {
  let pauses = 0;
  const feed = new KeyedFeed(undefined, async () => {
    pauses++;
  });
  const untouched = { isDone: () => false, items: new Map(), keys: new Map(), low: 0 };
  const mine = untouched as unknown as QueuePartition;
  const its = partitionOfOneKey();
  const first = await feed.take(mine, its, { records: 100, bytes: 1024 });
  expect(first.map(({ record }) => record.offset)).toEqual([0]);
  expect(pauses).toBe(4);
  expect(await feed.take(mine, its, { records: 100, bytes: 1024 })).toEqual([]);
  expect(pauses).toBe(4);
});
