import { expect, test } from "bun:test";
import type { Clock } from "../../src/env/clock.ts";
import { SILENT } from "../../src/metrics/log.ts";
import { Scrubber } from "../../src/node/maintenance/scrubber.ts";
import type { PartitionStore } from "../../src/storage/partitions/store.ts";

/** A clock that notes each delay, and passes it at once. */
function countingClock() {
  const delaysMs: number[] = [];
  const clock: Pick<Clock, "after" | "defer"> = {
    after: (ms, run) => {
      delaysMs.push(ms);
      queueMicrotask(run);
      return () => undefined;
    },
    defer: (run) => queueMicrotask(run),
  };
  return { clock: clock as Clock, delaysMs };
}

/** A store with this many partitions of one segment each, of which each is read in one slice. */
function storeOf(partitions: number, bytes: number): PartitionStore {
  const keys = Array.from({ length: partitions }, (_, key) => key);
  const log = { topicId: 1, partition: 0, segments: [{ baseOffset: 0, label: "a segment" }] };
  return {
    keys: () => keys,
    at: () => log,
    damagedRange: async (_: unknown, pace: (bytes: number) => Promise<void>) => {
      await pace(bytes);
      return null;
    },
  } as unknown as PartitionStore;
}

for (const { bytes, restsMs } of [
  { bytes: 100, restsMs: 1000 },
  { bytes: 8192, restsMs: 2000 },
]) {
  test(`a pass over 1,000 segments of ${bytes} bytes keeps the rate of a scrub`, async () => {
    const { clock, delaysMs } = countingClock();
    const store = storeOf(1000, bytes);
    const passed = Promise.withResolvers<void>();
    const scrubber = new Scrubber({
      store: () => store,
      clock,
      log: SILENT,
      bytesPerSecond: 4096 * 1000,
      repair: async () => false,
      passed: async () => {
        scrubber.stop();
        passed.resolve();
      },
      fault: passed.reject,
    });
    scrubber.start();
    await passed.promise;
    const [pauseMs, ...rests] = delaysMs;
    expect(pauseMs).toBe(60_000);
    expect(rests.reduce((sum, ms) => sum + ms, 0)).toBe(restsMs);
  });
}
