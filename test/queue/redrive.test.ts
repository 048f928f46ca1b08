/** Redrives with a rate: replicated state that ends, survives a snapshot, and counts exactly. */
import { expect, test } from "bun:test";
import { decodeEntry } from "../../src/machine/command-codec.ts";
import type { Command } from "../../src/machine/commands.ts";
import { Machine } from "../../src/machine/machine.ts";
import { Bench, entryOf } from "../tools/machine/support.ts";
import { DEFINITION } from "../tools/queue/bench.ts";

const BATCH = new Uint8Array([1, 2, 3]);
const bury = (at: number): Command => ({
  type: "bury_message",
  queueId: 1,
  partition: 0,
  offset: at,
  attempt: 1,
  isLeased: true,
  logicalBytes: 3,
  batch: BATCH,
});
const plan = (perSecond: number, max: number | null): Command => ({
  type: "plan_redrive",
  queueId: 1,
  perSecond,
  max,
});
const appends = (count: number) => [{ partition: 0, count, logicalBytes: 3, batches: BATCH }];
const planned = (from: number, to: number, nextAt: number): Command => ({
  type: "redrive_planned",
  queueId: 1,
  deadTopicId: 2,
  deadPartition: 0,
  from,
  to,
  appends: appends(to - from),
  nextAt,
});

/** A queue with four dead letters. */
function benchOf(): Bench {
  const bench = new Bench();
  bench.createTopic("jobs", 1);
  bench.do({ type: "define_queue", name: "q", definition: { ...DEFINITION, deadLetter: "d" } });
  for (let i = 0; i < 4; i++) bench.produce();
  const candidates = [0, 1, 2, 3].map((offset) => ({ partition: 0, offset, key: 0 }));
  bench.do({ type: "receive", queueId: 1, visibilityMs: 1_000, candidates });
  for (let i = 0; i < 4; i++) expect(bench.do(bury(i))).toMatchObject({ ok: true, error: null });
  return bench;
}
const queueOf = ({ machine }: { machine: Machine }) => machine.parts.queues.byName.get("q");

test("a plan counts what it moves and ends with the last one", () => {
  const bench = benchOf();
  expect(bench.do(plan(2, 3))).toEqual({ ok: true, type: "plan_redrive", replaced: false });
  expect(queueOf(bench)?.redrive).toEqual({ perSecond: 2, left: 3, nextAt: 0 });
  expect(bench.do(planned(0, 2, 5_000))).toMatchObject({ moved: 2 });
  expect(queueOf(bench)?.redrive).toEqual({ perSecond: 2, left: 1, nextAt: 5_000 });
  expect(bench.do(planned(2, 3, 6_000))).toMatchObject({ moved: 1 });
  expect(queueOf(bench)).toMatchObject({ redrive: null, dead: 1, redriven: 3 });
  expect(bench.partition("jobs").endOffset).toBe(7 as never);
});

test("a plan without a maximum goes on until it is ended, and nothing is moved after that", () => {
  const bench = benchOf();
  bench.do(plan(2, null));
  bench.do(planned(0, 2, 5_000));
  expect(queueOf(bench)?.redrive).toEqual({ perSecond: 2, left: null, nextAt: 5_000 });
  expect(bench.do(plan(9, 1))).toMatchObject({ replaced: true });
  expect(bench.do(plan(0, null))).toMatchObject({ replaced: true });
  expect(bench.do(planned(2, 4, 6_000))).toMatchObject({ moved: 0 });
  expect(queueOf(bench)).toMatchObject({ redrive: null, dead: 2, redriven: 2 });
  expect(bench.do(plan(0, null))).toMatchObject({ replaced: false });
});

test("a command for dead letters that were moved already moves nothing", () => {
  const bench = benchOf();
  bench.do(plan(2, null));
  bench.do(planned(0, 2, 5_000));
  expect(bench.do(planned(0, 2, 6_000))).toMatchObject({ moved: 0 });
  expect(bench.do({ ...(planned(1, 3, 0) as object), type: "redrive" } as Command)).toMatchObject({
    moved: 0,
  });
  expect(queueOf(bench)).toMatchObject({ dead: 2, redriven: 2 });
});

test("a redrive without a rate does not count for the plan", () => {
  const bench = benchOf();
  bench.do(plan(2, 2));
  bench.do({ ...(planned(0, 2, 0) as object), type: "redrive" } as Command);
  expect(queueOf(bench)).toMatchObject({ redrive: { left: 2 }, redriven: 2 });
});

test("a snapshot has the plan, and the same bytes as before without one", () => {
  const bench = benchOf();
  const without = bytesOf(bench.machine);
  bench.do(plan(2, 3));
  bench.do(planned(0, 2, 5_000));
  const restored = Machine.restore([bytesOf(bench.machine)]);
  expect(queueOf({ machine: restored })?.redrive).toEqual({ perSecond: 2, left: 1, nextAt: 5_000 });
  expect(restored.digest()).toBe(bench.machine.digest());
  expect(without.length).toBeLessThan(bytesOf(bench.machine).length);
});

test("the bytes of the commands", () => {
  const commands: readonly (readonly [Command, string])[] = [
    [plan(5, null), "4503010500"],
    [plan(5, 7), "4503010508"],
    [{ type: "forget_queues" }, "4e00"],
    [planned(2, 4, 300), "4d0eac02010200020400020303010203"],
  ];
  for (const [command, bytes] of commands) {
    const entry = entryOf(5, command);
    expect(Buffer.from(entry.subarray(13)).toString("hex")).toBe(bytes);
    expect(decodeEntry(entry).commands).toEqual([command]);
  }
});

function bytesOf(machine: Machine): Uint8Array {
  const snapshot = machine.beginSnapshot();
  const pieces: Uint8Array[] = [];
  for (let piece = snapshot.next(1 << 16); piece !== null; piece = snapshot.next(1 << 16)) {
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
