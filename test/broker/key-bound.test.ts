/** The bound on the idempotency keys of all partitions together. */
import { describe, expect, test } from "bun:test";
import { keysPerPartition } from "../../src/broker/key-bound.ts";
import type { BrokerState } from "../../src/broker/state.ts";
import { Machine } from "../../src/machine/machine.ts";
import { Bench } from "../tools/machine/support.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const WINDOW_MS = 3_600_000;
const configureOf = (dedupeKeysMax: number) =>
  ({ type: "configure", dedupeWindowMs: WINDOW_MS, dedupeKeysMax, partitionsMax: 99 }) as const;

/** Writes so many keys to each partition of topic 1. */
function benchOf(...sizes: number[]): Bench {
  const bench = new Bench();
  bench.createTopic("t", Math.max(1, sizes.length));
  for (const [partition, size] of sizes.entries()) write(bench, partition, size);
  return bench;
}
let made = 0;
function write(bench: Bench, partition: number, count: number): void {
  for (let i = 0; i < count; i++) bench.produce({ partition, key: `k${made++}` });
}
const sizesOf = ({ topicsById }: BrokerState): number[] =>
  [...topicsById.values()].flatMap(({ partitions }) => partitions.map((p) => p.dedupe?.size ?? 0));
const sumOf = (sizes: readonly number[]): number => sizes.reduce((sum, size) => sum + size, 0);

describe("the number of keys that a partition may keep", () => {
  const levelOf = (sizes: number[], keysMax: number, total: number, present = keysMax) => {
    const bench = benchOf(...sizes);
    const { broker } = bench.machine;
    broker.limits = { ...broker.limits, dedupeKeysMax: present };
    return keysPerPartition(broker, keysMax, total);
  };

  test("is the setting while all keys are within the bound", () => {
    expect(levelOf([], 1000, 10)).toBe(1000);
    expect(levelOf([60, 40], 1000, 100)).toBe(1000);
  });
  test("is lowered so that nine tenths of the bound are kept, by the largest ones only", () => {
    // 90 are kept: 10 and 20 of the small ones, 30 of each of the large ones.
    expect(levelOf([10, 20, 31, 40], 1000, 100)).toBe(30);
    expect(levelOf([101], 1000, 100)).toBe(90);
    expect(levelOf([10, 91], 1000, 100)).toBe(80);
  });
  test("counts partitions at the present level as if they wanted more", () => {
    // 30 is at the level and counts without end; 5 is not.
    expect(levelOf([30, 30, 30, 30, 5], 1000, 110, 30)).toBe(Math.floor((99 - 5) / 4));
  });
  test("stays as it is between eight tenths of the bound and the bound", () => {
    expect(levelOf([40, 40], 1000, 100, 40)).toBe(40);
    expect(levelOf([50, 50], 1000, 100, 50)).toBe(50);
  });
  test("rises again below eight tenths, as far as the partitions at the level may use", () => {
    expect(levelOf([40, 39], 1000, 100, 40)).toBe(51);
    expect(levelOf([39, 39], 1000, 100, 40)).toBe(1000);
    expect(levelOf([40, 39], 45, 100, 40)).toBe(45);
  });
  test("does not exceed a setting that was lowered", () => {
    expect(levelOf([50, 50], 20, 1000, 60)).toBe(20);
  });
  test("counts keys that are to be freed as gone", () => {
    expect(levelOf([500, 500], 1000, 100, 45)).toBe(45);
    expect(levelOf([500, 500], 1000, 100, 51)).toBe(45);
  });
  test("is never 0, which would switch idempotency off", () => {
    expect(levelOf(Array(30).fill(2), 1000, 10)).toBe(1);
    expect(levelOf(Array(30).fill(1), 1000, 10, 1)).toBe(1);
  });
});

test("a lowered level takes the oldest keys of the largest partitions, and says how many", () => {
  const bench = benchOf(100, 300);
  const { broker } = bench.machine;
  expect(broker).toMatchObject({ dedupeKeys: 400, dedupeKeysCut: 0, isOverfull: false });
  bench.do(configureOf(keysPerPartition(broker, 1000, 300)));
  expect(broker.limits.dedupeKeysMax).toBe(170);
  expect(broker.isOverfull).toBe(true);
  expect(bench.machine.nextExpiry()).toBe(bench.machine.now);
  bench.do({ type: "tick" });
  expect(sizesOf(broker)).toEqual([100, 170]);
  expect(broker).toMatchObject({ dedupeKeys: 270, dedupeKeysCut: 130, isOverfull: false });
  expect(bench.machine.nextExpiry()).toBe(1_000 + WINDOW_MS);
});

test("one tick frees 10,000 keys at most, and the next one goes on", () => {
  const bench = benchOf(10_300);
  const { broker } = bench.machine;
  bench.do(configureOf(200));
  bench.do({ type: "tick" });
  expect(broker).toMatchObject({ dedupeKeys: 300, isOverfull: true });
  bench.do({ type: "tick" });
  expect(broker).toMatchObject({ dedupeKeys: 200, isOverfull: false, dedupeKeysCut: 10_100 });
});

test("keys whose time has passed are not counted as forgotten early", () => {
  const bench = benchOf(5);
  bench.at += WINDOW_MS * 24;
  bench.do({ type: "tick" });
  expect(bench.machine.broker).toMatchObject({ dedupeKeys: 0, dedupeKeysCut: 0 });
});

test("a deleted topic takes its keys with it", () => {
  const bench = benchOf(5, 7);
  bench.createTopic("u", 1);
  bench.produce({ topicId: 2, key: "k" });
  bench.do({ type: "delete_topic", name: "t" });
  expect(bench.machine.broker.dedupeKeys).toBe(1);
});

test("a snapshot has the level and the keys; its copy knows how many, and what is to be freed", () => {
  const bench = benchOf(100, 300);
  bench.do(configureOf(150));
  const snapshot = bench.machine.beginSnapshot();
  bench.do({ type: "tick" });
  const chunk = snapshot.next(Number.MAX_SAFE_INTEGER);
  const copy = Machine.restore(chunk === null ? [] : [chunk]);
  expect(copy.broker).toMatchObject({ dedupeKeys: 400, isOverfull: true, dedupeKeysCut: 0 });
  expect(copy.broker.limits.dedupeKeysMax).toBe(150);
  // The count of this process goes on after a snapshot has replaced the state.
  bench.machine.replace(copy);
  expect(bench.machine.broker.dedupeKeysCut).toBe(150);
});

test("however keys come, the sum converges to the bound, and no partition loses more than it must", () => {
  // Goal: the leader's rule bounds the state. Method: random writes to random partitions; each round
  // the leader decides as the janitor does; a model has all keys within the window, by partition.
  forEachSeed(12, (random) => {
    const partitions = 1 + random.below(8);
    const bench = benchOf(...Array(partitions).fill(0));
    const keysMax = random.pick([20, 200, 1000]);
    const total = random.pick([50, 300, 900]);
    bench.do(configureOf(keysMax));
    const model = Array.from({ length: partitions }, (): number[] => []);
    for (let round = 0; round < 25; round++) {
      bench.at += random.below(random.pick([1_000, WINDOW_MS / 4]));
      writeRandom(bench, model, random);
      decide(bench, keysMax, total);
      expectBound(bench, model, { keysMax, total });
    }
  });
});

function writeRandom(bench: Bench, model: number[][], random: Random): void {
  const most = random.pick([1, 10, 50]);
  for (const [partition, times] of model.entries()) {
    const count = random.below(most);
    write(bench, partition, count);
    for (let i = 0; i < count; i++) times.push(bench.at);
  }
}

function decide(bench: Bench, keysMax: number, total: number): void {
  const { broker } = bench.machine;
  const level = keysPerPartition(broker, keysMax, total);
  if (level !== broker.limits.dedupeKeysMax) bench.do(configureOf(level));
  bench.do({ type: "tick" });
}

function expectBound(
  bench: Bench,
  model: readonly number[][],
  { keysMax, total }: { keysMax: number; total: number },
): void {
  const { broker, now } = bench.machine;
  const level = broker.limits.dedupeKeysMax;
  const sizes = sizesOf(broker);
  expect(broker.dedupeKeys).toBe(sumOf(sizes));
  expect(broker.dedupeKeys).toBeLessThanOrEqual(Math.max(total, sizes.length));
  expect(broker.isOverfull).toBe(false);
  for (const [partition, times] of model.entries()) {
    const within = times.filter((at) => now - at < WINDOW_MS).length;
    const size = sizes[partition] ?? 0;
    expect(size).toBeLessThanOrEqual(Math.min(within, level));
    // Once cut, a partition has fewer than its writes; one that was never cut has all of them.
    if (broker.dedupeKeysCut === 0) expect(size).toBe(Math.min(within, keysMax));
  }
  // Without writes the level comes to rest, and it is not lower than it has to be.
  for (let i = 0; i < 3; i++) decide(bench, keysMax, total);
  const rest = broker.limits.dedupeKeysMax;
  expect(keysPerPartition(broker, keysMax, total)).toBe(rest);
  const few = broker.dedupeKeys + sizes.length < total * 0.8;
  if (few) expect(rest).toBe(keysMax);
}
