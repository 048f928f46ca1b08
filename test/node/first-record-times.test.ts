// Goal: retention by age needs the log of a partition only when its first record may be too old.
import { expect, test } from "bun:test";
import { PartitionState } from "../../src/broker/state.ts";
import { FirstRecordTimes } from "../../src/node/maintenance/first-record-times.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import type { Offset } from "../../src/record/offset.ts";
import { PartitionDisk } from "../tools/storage/partition-disk.ts";
import { openStore } from "../tools/storage/partition-support.ts";

test("the time of the first record holds until records are deleted", async () => {
  const log = openStore(new PartitionDisk()).create(1, 0);
  const partition = new PartitionState(1, 0);
  const append = (timestampMs: number) => {
    const { bytes, logicalBytes } = encodeRecord(null, new Uint8Array(10));
    log.append(bytes, log.endOffset, timestampMs, 1, logicalBytes);
    partition.endOffset = log.endOffset as Offset;
  };
  const times = new FirstRecordTimes();
  for (const timestampMs of [1_000, 2_000, 3_000]) append(timestampMs);
  // Nothing is known before the first look.
  expect(times.isYoung(partition, 0)).toBe(false);
  await times.note(partition, log);
  expect(times.isYoung(partition, 1_000)).toBe(true);
  expect(times.isYoung(partition, 1_001)).toBe(false);
  append(4_000);
  expect(times.isYoung(partition, 1_000)).toBe(true);
  // The first record is in the middle of a segment now, and its own time counts.
  partition.lowWatermark = 2 as Offset;
  log.trim(2);
  expect(times.isYoung(partition, 0)).toBe(false);
  await times.note(partition, log);
  expect(times.isYoung(partition, 3_000)).toBe(true);
  expect(times.isYoung(partition, 3_001)).toBe(false);
});
