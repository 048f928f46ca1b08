/**
 * Goal: every block of shared memory is in use or was freed, so that a thread that reads it does not
 * retain what the node has dropped. Method: a count of blocks beside the memory that a store states.
 */
import { expect, test } from "bun:test";
import { SharedBlocks } from "../../src/lib/blocks.ts";
import { BatchBuilder } from "../../src/record/batch-builder.ts";
import type { PartitionLog } from "../../src/storage/partitions/log.ts";
import { forEachSeedAsync, type Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";
import { openStore } from "../tools/storage/partition-support.ts";

const KiB = 1024;
const LOGS = 5;

function append(log: PartitionLog, random: Random): void {
  const builder = new BatchBuilder();
  for (let left = random.below(50); left >= 0; left--) {
    builder.add(null, new Uint8Array(random.below(700)));
  }
  const { bytes, count, logicalBytes } = builder.finish();
  log.append(bytes, log.endOffset, 1, count, logicalBytes);
}

/** Blocks of the tails, by the logs. Each window of the read cache has one more. */
const chunksOf = (logs: readonly PartitionLog[]): number =>
  logs.reduce((sum, { chunks }) => sum + chunks.length, 0);

test("blocks are those of the chunks and windows, whatever is appended, read, trimmed and deleted", async () => {
  await forEachSeedAsync(10, async (random) => {
    const blocks = new SharedBlocks();
    const options = { tailBytes: 128 * KiB, segmentBytes: 64 * KiB, readCacheBytes: 0, blocks };
    const store = openStore(new SimDisk(), options);
    let logs = Array.from({ length: LOGS }, (_, n) => store.create(1, n));
    let created = LOGS;
    for (let step = 0; step < 200; step++) {
      const log = random.pick(logs);
      const action = random.below(20);
      if (action === 0) {
        store.delete(log.topicId, log.partition);
        logs = [...logs.filter((other) => other !== log), store.create(2, created++)];
      } else if (action < 3)
        log.trim(log.lowWatermark + random.below(log.endOffset - log.lowWatermark + 1));
      else if (action < 5) await store.flushAll();
      else append(log, random);
      expect(blocks.size).toBe(chunksOf(logs));
    }
    await store.close();
    expect(blocks.size).toBe(0);
  });
});

test("windows of files are in shared memory as long as they are cached", async () => {
  const random = Object.assign({ below: (n: number) => n - 1 }) as Random;
  const blocks = new SharedBlocks();
  const options = { tailBytes: 1, segmentBytes: 256 * KiB, readCacheBytes: 1024 * KiB, blocks };
  const store = openStore(new SimDisk(), options);
  const log = store.create(1, 0);
  for (let n = 0; n < 100; n++) append(log, random);
  await store.flushAll();
  expect([log.chunks.length, blocks.size]).toEqual([0, 0]);
  const numbers = new Set<number | null>();
  for (let offset = 0; offset < log.endOffset; offset += 50) {
    // Twice: from the file, and from the cache.
    for (const _ of [1, 2]) {
      const { slices } = await log.page(offset, 10, 1e9);
      for (const slice of slices) numbers.add(blocks.numberOf(slice));
    }
  }
  expect(numbers.has(null)).toBe(false);
  expect(blocks.size).toBeGreaterThan(1);
  expect(blocks.size).toBeLessThan(numbers.size);
  await store.close();
  expect(blocks.size).toBe(0);
});
