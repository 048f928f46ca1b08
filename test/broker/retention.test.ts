import { expect, test } from "bun:test";
import { effectiveRetention, listRetention } from "../../src/broker/retention.ts";
import type { CommandResult } from "../../src/machine/commands.ts";
import { Machine } from "../../src/machine/machine.ts";
import { Bench, offset } from "../tools/machine/support.ts";
import { forEachSeed, type Random } from "../tools/random.ts";

const HOUR = 3_600_000;

type Limits = { partition?: number; ttlMs?: number; maxBytes?: number };

const set = (bench: Bench, topic: string, limits: Limits): CommandResult =>
  bench.do({
    type: "set_retention",
    topic,
    partition: limits.partition ?? null,
    ttlMs: limits.ttlMs ?? null,
    maxBytes: limits.maxBytes ?? null,
  });

const effective = (bench: Bench, topicId: number, partition: number) => {
  const { ttlMs, maxBytes } = effectiveRetention(bench.machine.broker, topicId, partition);
  return [ttlMs, maxBytes];
};

function benchWithTwo(): Bench {
  const bench = new Bench();
  bench.createTopic("a", 2);
  bench.createTopic("b", 1);
  return bench;
}

test("without a policy nothing is limited", () => {
  expect(effective(benchWithTwo(), 1, 0)).toEqual([null, null]);
});

test("the answer says which of the two was given", () => {
  const bench = benchWithTwo();
  const answer = { ok: true, ttlApplied: true, sizeApplied: false };
  expect(set(bench, "a", { ttlMs: 5 })).toMatchObject(answer);
  expect(set(bench, "a", { maxBytes: 0 })).toMatchObject({ ttlApplied: false, sizeApplied: true });
  expect(set(bench, "a", {})).toMatchObject({ ttlApplied: false, sizeApplied: false });
});

test("a policy for a topic or partition that is not there is refused", () => {
  const bench = benchWithTwo();
  expect(set(bench, "c", { ttlMs: 5 })).toMatchObject({ code: "topic_not_found" });
  expect(set(bench, "a", { ttlMs: 5, partition: 2 })).toMatchObject({
    code: "partition_not_found",
  });
  expect(set(bench, "*", { ttlMs: 5, partition: 0 })).toMatchObject({
    code: "partition_not_found",
  });
  expect(listRetention(bench.machine.broker)).toEqual([]);
});

test("the most specific level wins, for each field on its own", () => {
  const bench = benchWithTwo();
  set(bench, "*", { ttlMs: 100, maxBytes: 1000 });
  set(bench, "a", { ttlMs: 200 });
  set(bench, "a", { partition: 1, maxBytes: 3000 });
  expect(effective(bench, 1, 0)).toEqual([200, 1000]);
  expect(effective(bench, 1, 1)).toEqual([200, 3000]);
  expect(effective(bench, 2, 0)).toEqual([100, 1000]);
});

test("a limit that is removed inherits again, and the other one stays", () => {
  const bench = benchWithTwo();
  set(bench, "*", { ttlMs: 100, maxBytes: 1000 });
  set(bench, "a", { ttlMs: 0, maxBytes: 2000 });
  set(bench, "a", { partition: 1, ttlMs: 300 });
  expect(effective(bench, 1, 0)).toEqual([null, 2000]);
  const { revision } = effectiveRetention(bench.machine.broker, 1, 0);
  const change = { type: "change_retention", topic: "a", partition: null } as const;
  bench.do({ ...change, ttlMs: "inherit", maxBytes: "keep" });
  expect(effective(bench, 1, 0)).toEqual([100, 2000]);
  // A trim that was computed under the former limits must not be applied under the present ones.
  expect(effectiveRetention(bench.machine.broker, 1, 0).revision).toBeGreaterThan(revision);
  bench.do({ ...change, partition: 1, ttlMs: "inherit", maxBytes: 7 });
  expect(effective(bench, 1, 1)).toEqual([100, 7]);
  bench.do({ ...change, partition: 1, ttlMs: "keep", maxBytes: "inherit" });
  bench.do({ ...change, ttlMs: "inherit", maxBytes: "inherit" });
  expect(effective(bench, 1, 0)).toEqual([100, 1000]);
  expect(effective(bench, 1, 1)).toEqual([100, 1000]);
  bench.do({ ...change, topic: "*", ttlMs: "inherit", maxBytes: "inherit" });
  expect(effective(bench, 2, 0)).toEqual([null, null]);
  expect(listRetention(bench.machine.broker)).toEqual([]);
  const absent = bench.do({ ...change, topic: "c", ttlMs: "inherit", maxBytes: "keep" });
  expect(absent).toMatchObject({ code: "topic_not_found" });
  // A snapshot keeps the revisions of policies without limits.
  const copy = Machine.restore([bench.machine.beginSnapshot().next(1e9) ?? new Uint8Array()]);
  expect(copy.digest()).toBe(bench.machine.digest());
  expect(effectiveRetention(copy.broker, 1, 1)).toEqual(
    effectiveRetention(bench.machine.broker, 1, 1),
  );
});

test("the policy of every topic covers later ones too", () => {
  const bench = benchWithTwo();
  set(bench, "*", { ttlMs: 100 });
  bench.createTopic("later", 1);
  expect(effective(bench, 3, 0)).toEqual([100, null]);
});

test("zero at a more specific level switches off there, and nowhere else", () => {
  const bench = benchWithTwo();
  set(bench, "*", { ttlMs: 100, maxBytes: 1000 });
  set(bench, "a", { partition: 0, ttlMs: 0 });
  expect(effective(bench, 1, 0)).toEqual([null, 1000]);
  expect(effective(bench, 1, 1)).toEqual([100, 1000]);
});

test("a field that is not given stays as it is", () => {
  const bench = benchWithTwo();
  set(bench, "a", { ttlMs: 100 });
  set(bench, "a", { maxBytes: 7 });
  expect(effective(bench, 1, 0)).toEqual([100, 7]);
});

test("the list shows the policies as they were set", () => {
  const bench = benchWithTwo();
  set(bench, "b", { ttlMs: 0 });
  set(bench, "a", { partition: 1, maxBytes: 3 });
  set(bench, "*", { ttlMs: 2 });
  expect(listRetention(bench.machine.broker)).toEqual([
    { topic: "*", partition: null, ttlMs: 2, maxBytes: null },
    { topic: "a", partition: 1, ttlMs: null, maxBytes: 3 },
    { topic: "b", partition: null, ttlMs: 0, maxBytes: null },
  ]);
});

test("whatever changes a partition's policy changes its revision", () => {
  forEachSeed(30, (random) => {
    const bench = benchWithTwo();
    for (let i = 0; i < 60; i++) {
      const before = allEffective(bench);
      set(bench, random.pick(["*", "a", "b"]), randomLimits(random));
      const after = allEffective(bench);
      for (const [n, { limits, revision }] of after.entries()) {
        if (limits !== before[n]?.limits)
          expect(revision).toBeGreaterThan(before[n]?.revision ?? 0);
      }
    }
  });
});

const allEffective = (bench: Bench): { limits: string; revision: number }[] =>
  [
    [1, 0],
    [1, 1],
    [2, 0],
  ].map(([topicId = 0, partition = 0]) => {
    const policy = effectiveRetention(bench.machine.broker, topicId, partition);
    return { limits: `${policy.ttlMs} ${policy.maxBytes}`, revision: policy.revision };
  });

function randomLimits(random: Random): Limits {
  const limits: Limits = {};
  if (random.below(3) === 0) limits.partition = 0;
  if (random.below(2) === 0) limits.ttlMs = random.below(4);
  if (random.below(2) === 0) limits.maxBytes = random.below(4);
  return limits;
}

type Kept = { offset: number; at: number; bytes: number };

/** Does the work of the leader's janitor over a list of records instead of a partition log. */
function sweep(bench: Bench, records: readonly Kept[]): { before: number; revision: number } {
  const { broker, now } = bench.machine;
  const { ttlMs, maxBytes, revision } = effectiveRetention(broker, 1, 0);
  const { lowWatermark, endOffset, bytesEnd } = bench.partition("t");
  let before: number = lowWatermark;
  let retainedBytes = bytesEnd - bench.partition("t").bytesBelowLow;
  for (const record of records.slice(lowWatermark)) {
    const isOld = ttlMs !== null && record.at + ttlMs <= now;
    const isTooMuch = maxBytes !== null && retainedBytes > maxBytes;
    if (!isOld && !isTooMuch) break;
    before = record.offset + 1;
    retainedBytes -= record.bytes;
  }
  expect(before).toBeLessThanOrEqual(endOffset);
  return { before, revision };
}

test("a day of retention by age and size keeps just what a naive model keeps", () => {
  // Goal: policies, their switching and late trims add up over a day. Method: compressed time; the
  // model filters the list of all records anew after each sweep, and knows nothing of revisions.
  forEachSeed(12, (random) => {
    const bench = new Bench();
    bench.createTopic("t", 1);
    const records: Kept[] = [];
    let floor = 0;
    let late: { before: number; revision: number } | null = null;
    const end = bench.at + 30 * HOUR;
    while (bench.at < end) {
      bench.at += random.below(HOUR / 8);
      const changed = stepOfDay(bench, records, random);
      if (late !== null && changed) {
        propose(bench, records, late);
        expect(bench.partition("t").lowWatermark).toBe(offset(floor));
      }
      const cut = sweep(bench, records);
      late = cut;
      if (random.below(3) === 0) continue;
      propose(bench, records, cut);
      floor = Math.max(floor, naiveFloor(bench, records));
      expect(bench.partition("t").lowWatermark).toBe(offset(floor));
      const kept = records.slice(floor).reduce((sum, record) => sum + record.bytes, 0);
      expect(bench.partition("t").bytesEnd - bench.partition("t").bytesBelowLow).toBe(kept);
    }
    expect(records.length).toBeGreaterThan(100);
  });
});

/** @returns whether a policy was changed. */
function stepOfDay(bench: Bench, records: Kept[], random: Random): boolean {
  for (let i = random.below(3); i >= 0; i--) {
    const bytes = random.below(1000);
    records.push({ offset: records.length, at: bench.at, bytes });
    bench.produce({ logicalBytes: bytes });
  }
  if (random.below(12) > 0) return false;
  const limits: Limits = random.below(2) === 0 ? { partition: 0 } : {};
  if (random.below(2) === 0) limits.ttlMs = random.pick([0, HOUR, 6 * HOUR, 24 * HOUR]);
  else limits.maxBytes = random.pick([0, 5_000, 50_000]);
  set(bench, limits.partition === undefined ? random.pick(["*", "t"]) : "t", limits);
  return true;
}

function propose(
  bench: Bench,
  records: readonly Kept[],
  cut: { before: number; revision: number },
): void {
  const bytesBefore = records.slice(0, cut.before).reduce((sum, record) => sum + record.bytes, 0);
  bench.do({
    type: "trim",
    topicId: 1,
    partition: 0,
    beforeOffset: offset(cut.before),
    bytesBefore,
    policyRevision: cut.revision,
  });
}

/** The first offset that the policies as listed want kept, by looking at all records. */
function naiveFloor(bench: Bench, records: readonly Kept[]): number {
  const levels = listRetention(bench.machine.broker).toReversed();
  levels.sort((a, b) => specificity(b) - specificity(a));
  const ttlMs = levels.find((level) => level.ttlMs !== null)?.ttlMs ?? 0;
  const maxBytes = levels.find((level) => level.maxBytes !== null)?.maxBytes ?? 0;
  const firstYoung =
    ttlMs === 0 ? 0 : records.findLastIndex((record) => record.at <= bench.at - ttlMs) + 1;
  if (maxBytes === 0) return firstYoung;
  let first = records.length;
  let bytes = 0;
  while (first > 0) {
    bytes += records[first - 1]?.bytes ?? 0;
    if (bytes > maxBytes) break;
    first--;
  }
  return Math.max(firstYoung, first);
}

const specificity = (level: { topic: string; partition: number | null }): number =>
  (level.topic === "*" ? 0 : 1) + (level.partition === null ? 0 : 1);
