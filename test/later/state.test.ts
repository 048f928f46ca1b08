/** Records that wait and schedules: commands, one at a time, their bytes, and snapshots. */
import { expect, test } from "bun:test";
import { classOf } from "../../src/later/state.ts";
import { utf8 } from "../../src/lib/bytes.ts";
import { sha256 } from "../../src/lib/digest.ts";
import { decodeEntry } from "../../src/machine/command-codec.ts";
import type { Command } from "../../src/machine/commands.ts";
import { Machine } from "../../src/machine/machine.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { Bench, entryOf } from "../tools/machine/support.ts";

const MINUTE = 60_000;
const CRON = {
  cron: "0 9 * * *",
  tz: "Europe/Berlin",
  topic: "jobs",
  key: null,
  value: utf8("hi"),
  headers: new Uint8Array(0),
  catchUp: "none",
} as const;

function scheduleOf(deliverAt: number, idempotencyKey: string | null = null, value = "later") {
  const { bytes: batches, count, logicalBytes } = encodeRecord(null, utf8(value));
  const idempotency =
    idempotencyKey === null
      ? null
      : { keyDigest: sha256(idempotencyKey, 16), payloadDigest: sha256(value, 8) };
  const where = { topicId: 1, partition: 0, deliverAt };
  return { type: "schedule_records", ...where, idempotency, count, logicalBytes, batches } as const;
}

function benchOf(): Bench {
  const bench = new Bench();
  bench.do({ type: "create_topic", name: "jobs", partitions: 1 });
  return bench;
}
const later = (bench: Bench) => bench.machine.parts.later;
const deliver = (scheduleId: number) =>
  ({ type: "deliver_scheduled", scheduleId, logicalBytes: 5, batches: utf8("batch") }) as const;
const scheduled = (scheduleId: number, duplicate = false, payloadMatches = true) => ({
  ok: true,
  type: "schedule_records",
  scheduleId,
  firstOffset: 0,
  duplicate,
  payloadMatches,
});

test("records wait in a partition for their length of wait, and get their offset when they are due", () => {
  const bench = benchOf();
  expect(bench.do(scheduleOf(bench.at + 5))).toEqual(scheduled(8) as never);
  expect(bench.do(scheduleOf(bench.at + 90 * MINUTE))).toEqual(scheduled(18) as never);
  expect(later(bench).pending.nextAt()).toBe(bench.at + 5);
  expect(bench.machine.broker.topicsByName.get("jobs")?.partitions[0]?.endOffset).toBe(0 as never);
  expect(bench.do(deliver(8))).toMatchObject({ delivered: 1 });
  expect(bench.do(deliver(8))).toMatchObject({ delivered: 0 });
  expect(bench.machine.broker.topicsByName.get("jobs")?.partitions[0]?.endOffset).toBe(1 as never);
  expect(later(bench).pending.size).toBe(1);
});

test("the leader may choose the id: numbers grow, and one that is taken is replaced by the next", () => {
  const bench = benchOf();
  const as = (id: number, key: string | null = null): Command => ({
    ...scheduleOf(bench.at + 5, key),
    type: "schedule_records_as",
    id,
  });
  const type = "schedule_records_as";
  // The class of the id decides where the records wait, not the time.
  expect(bench.do(as(5 * 8 + 1))).toEqual({ ...scheduled(41), type } as never);
  expect(later(bench)).toMatchObject({ nextNumber: 6 });
  expect(bench.do(as(5 * 8 + 2))).toEqual({ ...scheduled(50), type } as never);
  expect(bench.do(as(9 * 8, "k"))).toEqual({ ...scheduled(72), type } as never);
  expect(bench.do(as(10 * 8, "k"))).toEqual({ ...scheduled(72, true), type } as never);
  expect(bench.do(scheduleOf(bench.at + 5))).toEqual(scheduled(80) as never);
  const copy = restoredOf(bench.machine);
  expect(copy.digest()).toBe(bench.machine.digest());
  for (const id of [41, 50, 72, 80]) expect(copy.parts.later.pending.find(id)?.id).toBe(id);
});

test("the classes of waits", () => {
  expect(
    [0, MINUTE - 1, MINUTE, 60 * MINUTE, 1_440 * MINUTE, 43_200 * MINUTE].map(classOf),
  ).toEqual([0, 0, 1, 2, 3, 4]);
});

test("deleted records are not delivered, and an unknown id is said so", () => {
  const bench = benchOf();
  bench.do(scheduleOf(bench.at + 5));
  expect(bench.do({ type: "delete_scheduled", scheduleId: 8 }).ok).toBe(true);
  expect(bench.do(deliver(8))).toMatchObject({ delivered: 0 });
  expect(bench.do({ type: "delete_scheduled", scheduleId: 8 })).toEqual({
    ok: false,
    code: "schedule_not_found",
    details: {},
  });
});

test("an idempotency key counts when it is scheduled, also for a produce, and after a restore", () => {
  const bench = benchOf();
  bench.do(scheduleOf(bench.at + 5, "k"));
  expect(bench.do(scheduleOf(bench.at + 9, "k"))).toEqual(scheduled(8, true) as never);
  expect(bench.do(scheduleOf(bench.at + 9, "k", "other"))).toEqual(
    scheduled(8, true, false) as never,
  );
  const copy = new Bench(restoredOf(bench.machine), bench.at);
  expect(copy.do(scheduleOf(bench.at + 9, "k"))).toEqual(scheduled(8, true) as never);
  copy.do(deliver(8));
  expect(copy.do(scheduleOf(bench.at + 9, "k"))).toEqual(scheduled(8, true) as never);
});

test("records whose topic was deleted go with it", () => {
  const bench = benchOf();
  bench.do(scheduleOf(bench.at + 5));
  bench.do({ type: "delete_topic", name: "jobs" });
  expect(bench.do(deliver(8))).toMatchObject({ delivered: 0 });
  expect(later(bench).pending.size).toBe(0);
});

test("a schedule fires a slot once, whoever asks for it", () => {
  const bench = benchOf();
  const put = { type: "put_cron", name: "nine", definition: CRON, nextMs: 100 } as const;
  expect(bench.do(put)).toEqual({ ok: true, type: "put_cron", created: true });
  expect(bench.do({ ...put, nextMs: 500 })).toEqual({ ok: true, type: "put_cron", created: false });
  const fire = { type: "fire_cron", name: "nine", cronId: 1, slotMs: 100, fireMs: 100 } as const;
  expect(bench.do({ ...fire, nextMs: 200, missed: 0 })).toMatchObject({ fired: true });
  expect(bench.do({ ...fire, nextMs: 200, missed: 0 })).toMatchObject({ fired: false });
  const skip = { ...fire, slotMs: 200, fireMs: null, nextMs: 900, missed: 7 };
  expect(bench.do(skip)).toMatchObject({ fired: false });
  expect(later(bench).crons.get("nine")).toMatchObject({
    nextMs: 900,
    lastMs: 100,
    runs: 1,
    missed: 7,
  });
  // Another definition begins anew: a slot of the old one is not its slot.
  bench.do({ ...put, definition: { ...CRON, cron: "0 8 * * *" }, nextMs: 900 });
  expect(bench.do({ ...fire, slotMs: 900, nextMs: 1_000, missed: 0 })).toMatchObject({
    fired: false,
  });
  bench.do({ type: "delete_topic", name: "jobs" });
  bench.do({ ...fire, cronId: 2, slotMs: 900, nextMs: 1_000, missed: 0 });
  expect(later(bench).crons.get("nine")).toMatchObject({ runs: 1, missed: 8 });
});

function restoredOf(machine: Machine): Machine {
  const snapshot = machine.beginSnapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = snapshot.next(999); chunk !== null; chunk = snapshot.next(999))
    chunks.push(chunk);
  return Machine.restore(chunks);
}

test("a snapshot has what waits and the schedules", () => {
  const bench = benchOf();
  for (let i = 0; i < 5_000; i++) bench.do(scheduleOf(bench.at + ((i * 7_919) % 1_000) * MINUTE));
  for (let i = 0; i < 5_000; i += 3) bench.do(deliver(8 * (i + 1)));
  const named = { ...CRON, key: utf8("k"), catchUp: "all" } as const;
  bench.do({ type: "put_cron", name: "a", definition: named, nextMs: null });
  bench.do({ type: "put_cron", name: "b", definition: CRON, nextMs: 7 });
  const copy = restoredOf(bench.machine);
  expect(copy.digest()).toBe(bench.machine.digest());
  expect(copy.parts.later.pending.nextAt()).toBe(later(bench).pending.nextAt());
  expect(copy.parts.later.crons).toEqual(later(bench).crons);
  expect(copy.parts.later.cronBytes).toBe(later(bench).cronBytes);
});

const { idempotency } = scheduleOf(1, "k");
const BYTES: readonly (readonly [Command, string])[] = [
  [
    { ...scheduleOf(300), idempotency, batches: utf8("b") },
    "46200100ac02018254c329a92850f6d539dd376f4816ee1d9283d848ea941a010562",
  ],
  [{ ...scheduleOf(300), batches: utf8("b") }, "46080100ac0200010562"],
  [
    { ...scheduleOf(300), type: "schedule_records_as", id: 300, batches: utf8("b") },
    "4c0aac020100ac0200010562",
  ],
  [deliver(8), "470708056261746368"],
  [{ type: "delete_scheduled", scheduleId: 300 }, "4802ac02"],
  [
    { type: "put_cron", name: "n", definition: { ...CRON, key: utf8("k") }, nextMs: 5 },
    "4928016e0609302039202a202a202a0d4575726f70652f4265726c696e046a6f627301016b0268690000",
  ],
  [
    { type: "put_cron", name: "n", definition: { ...CRON, catchUp: "one" }, nextMs: null },
    "4926016e0009302039202a202a202a0d4575726f70652f4265726c696e046a6f6273000268690001",
  ],
  [
    { type: "fire_cron", name: "n", cronId: 2, slotMs: 3, fireMs: 4, nextMs: null, missed: 6 },
    "4a07016e0203050006",
  ],
  [{ type: "delete_cron", name: "n" }, "4b02016e"],
];

for (const [command, bytes] of BYTES) {
  test(`the bytes of ${command.type} are those of the first release with it: ${bytes}`, () => {
    const entry = entryOf(5, command);
    expect(Buffer.from(entry.subarray(13)).toString("hex")).toBe(bytes);
    expect(decodeEntry(entry).commands).toEqual([command]);
  });
}
