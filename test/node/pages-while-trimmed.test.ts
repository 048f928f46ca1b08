/** Pages of a partition that changes while one of its files is read. */
import { expect, test } from "bun:test";
import type { Machine } from "../../src/machine/machine.ts";
import type { ConsumeRequest } from "../../src/node/api.ts";
import { PartitionHandle, setHandle } from "../../src/node/partition-handle.ts";
import type { Linearizer } from "../../src/node/reads/linearizer.ts";
import { Reader } from "../../src/node/reads/reader.ts";
import { RecordWaits } from "../../src/node/reads/record-waits.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import { PartitionPage } from "../../src/storage/partitions/window.ts";
import { Bench, offset } from "../tools/machine/support.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const REQUEST: ConsumeRequest = {
  topic: "t",
  partition: 0,
  group: "g",
  offset: 2,
  limit: 100,
  maxBytes: 1024,
  linearizable: false,
};
const SLICES = [new Uint8Array([1])];

function pageOf(slices: readonly Uint8Array[]): PartitionPage {
  const page = new PartitionPage(0, 1, 1);
  page.slices.push(...slices);
  return page;
}

/** A reader of a partition with ten records whose file is read until `finish`. */
function reading() {
  const bench = new Bench();
  bench.createTopic("t", 1);
  bench.produce({ count: 10, logicalBytes: 100 });
  const file = Promise.withResolvers<PartitionPage>();
  const log: Pick<PartitionLog, "page"> & { deleted: boolean } = {
    deleted: false,
    page: () => file.promise,
  };
  const partition = bench.partition("t");
  const waits = new RecordWaits(new SimClock());
  setHandle(partition, new PartitionHandle(partition, log as PartitionLog, waits));
  const reader = new Reader(bench.machine as Machine, {} as Linearizer);
  const deleteBefore = (before: number) =>
    bench.do({
      type: "delete_before",
      topicId: 1,
      partition: 0,
      beforeOffset: offset(before),
      bytesBefore: before * 10,
    });
  return { bench, reader, deleteBefore, finish: () => file.resolve(pageOf(SLICES)) };
}

test("a page ends where the partition ended when it was asked for", async () => {
  const { bench, reader, finish } = reading();
  const page = reader.consume(REQUEST);
  bench.produce({ count: 5 });
  finish();
  expect(await page).toMatchObject({ startOffset: 2, lowWatermark: 0, endOffset: 10 });
});

test("records that are deleted while they are read are not in the page", async () => {
  const { reader, deleteBefore, finish } = reading();
  const page = reader.consume(REQUEST);
  deleteBefore(6);
  finish();
  expect(await page).toMatchObject({ startOffset: 6, lowWatermark: 6, endOffset: 10 });
});

test("if all of it is deleted while it is read, the page is empty and goes on behind that", async () => {
  const { bench, reader, deleteBefore, finish } = reading();
  const page = reader.consume(REQUEST);
  bench.produce({ count: 10, logicalBytes: 100 });
  deleteBefore(15);
  finish();
  expect(await page).toMatchObject({ startOffset: 15, lowWatermark: 15, endOffset: 15 });
});

test("an offset below the low watermark starts at it, and without a file", async () => {
  const { reader, deleteBefore } = reading();
  deleteBefore(10);
  expect(await reader.consume(REQUEST)).toEqual({
    ok: true,
    slices: [],
    first: null,
    topicId: 1,
    startOffset: 10,
    committedOffset: null,
    lowWatermark: 10,
    endOffset: 10,
  });
});
