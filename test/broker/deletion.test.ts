import { expect, test } from "bun:test";
import { effectiveRetention } from "../../src/broker/retention.ts";
import type { CommandResult } from "../../src/machine/commands.ts";
import { Bench, offset } from "../tools/machine/support.ts";

/** Ten records of ten bytes each, offsets 0 to 9. */
function benchWithTen(): Bench {
  const bench = new Bench();
  bench.createTopic("t", 2);
  bench.produce({ count: 10, logicalBytes: 100 });
  return bench;
}

const at = (before: number) => ({
  topicId: 1,
  partition: 0,
  beforeOffset: offset(before),
  bytesBefore: before * 10,
});

const deleteBefore = (bench: Bench, before: number): CommandResult =>
  bench.do({ type: "delete_before", ...at(before) });

function trim(bench: Bench, before: number, policyRevision?: number): CommandResult {
  const { revision } = effectiveRetention(bench.machine.broker, 1, 0);
  return bench.do({ type: "trim", ...at(before), policyRevision: policyRevision ?? revision });
}

test("deleting raises the low watermark and tells what was freed", () => {
  const bench = benchWithTen();
  expect(deleteBefore(bench, 4)).toMatchObject({ ok: true, deletedCount: 4, freedBytes: 40 });
  expect(deleteBefore(bench, 10)).toMatchObject({ deletedCount: 6, freedBytes: 60 });
  const partition = bench.partition("t");
  expect(partition).toMatchObject({ lowWatermark: 10, endOffset: 10, bytesBelowLow: 100 });
  expect(bench.lines.slice(2)).toEqual(["trim 1/0 4", "trim 1/0 10"]);
});

test("deleting what is deleted already does nothing", () => {
  const bench = benchWithTen();
  deleteBefore(bench, 4);
  for (const before of [0, 3, 4]) {
    expect(deleteBefore(bench, before)).toMatchObject({ ok: true, deletedCount: 0, freedBytes: 0 });
  }
  expect(bench.lines).toHaveLength(3);
});

test("deleting beyond the end is refused with the end", () => {
  const bench = benchWithTen();
  expect(deleteBefore(bench, 11)).toEqual({
    ok: false,
    code: "offset_out_of_range",
    details: { endOffset: 10 },
  });
  expect(bench.partition("t").lowWatermark).toBe(offset(0));
});

test("deleting or trimming where there is no topic or partition is refused", () => {
  const bench = benchWithTen();
  for (const type of ["delete_before", "trim"] as const) {
    const command = { type, ...at(1), policyRevision: 0 };
    expect(bench.do({ ...command, partition: 2 })).toMatchObject({ code: "partition_not_found" });
    expect(bench.do({ ...command, topicId: 2 })).toMatchObject({ code: "topic_not_found" });
  }
});

test("offsets of deleted records are never given out again", () => {
  const bench = benchWithTen();
  deleteBefore(bench, 10);
  expect(bench.produce()).toMatchObject({ firstOffset: 10 });
});

test("a wrong byte count of the leader cannot make the kept bytes negative", () => {
  const bench = benchWithTen();
  bench.do({ type: "delete_before", ...at(5), bytesBefore: 1e9 });
  expect(bench.partition("t").bytesBelowLow).toBe(100);
  bench.do({ type: "delete_before", ...at(6), bytesBefore: 0 });
  expect(bench.partition("t").bytesBelowLow).toBe(100);
});

test("a trim raises the low watermark, never back and never beyond the end", () => {
  const bench = benchWithTen();
  expect(trim(bench, 6)).toMatchObject({ ok: true, deletedCount: 6, freedBytes: 60 });
  expect(trim(bench, 5)).toMatchObject({ ok: true, deletedCount: 0 });
  expect(trim(bench, 11)).toMatchObject({ ok: true, deletedCount: 0 });
  expect(bench.partition("t").lowWatermark).toBe(offset(6));
});

test("a trim at exactly the end removes the last record, and offsets go on from there", () => {
  const bench = benchWithTen();
  expect(trim(bench, 10)).toMatchObject({ ok: true, deletedCount: 10, freedBytes: 100 });
  expect(bench.partition("t")).toMatchObject({ lowWatermark: 10, endOffset: 10 });
  expect(bench.produce()).toMatchObject({ firstOffset: 10 });
});

test("a trim under a policy that is no longer in force is ignored", () => {
  const bench = benchWithTen();
  const set = { type: "set_retention", topic: "t", partition: null, maxBytes: null } as const;
  bench.do({ ...set, ttlMs: 1000 });
  const { revision } = effectiveRetention(bench.machine.broker, 1, 0);
  bench.do({ ...set, ttlMs: 0 });
  expect(trim(bench, 6, revision)).toMatchObject({ ok: true, deletedCount: 0, freedBytes: 0 });
  expect(bench.partition("t").lowWatermark).toBe(offset(0));
  bench.do({ ...set, ttlMs: 1000 });
  expect(trim(bench, 6, revision)).toMatchObject({ deletedCount: 0 });
  expect(trim(bench, 6)).toMatchObject({ deletedCount: 6 });
});
