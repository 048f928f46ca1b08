/** Slots of cron expressions, above all where clocks are moved. */
import { expect, test } from "bun:test";
import { stepOf } from "../../src/node/later/cron-runner.ts";
import { InvalidCron, Slots } from "../../src/node/later/slots.ts";

function slotsFrom(expression: string, tz: string, from: string, count: number): string[] {
  const slots = new Slots(expression, tz);
  const found: string[] = [];
  for (let at: number | null = Date.parse(from); found.length < count; ) {
    at = slots.after(at);
    if (at === null) break;
    found.push(new Date(at).toISOString().replace(":00.000Z", "Z"));
  }
  return found;
}

test("a working day at nine in Berlin is at eight of UTC in winter and at seven in summer", () => {
  expect(slotsFrom("0 9 * * 1-5", "Europe/Berlin", "2026-03-27T12:00:00Z", 2)).toEqual([
    "2026-03-30T07:00Z",
    "2026-03-31T07:00Z",
  ]);
  expect(slotsFrom("0 9 * * 1-5", "Europe/Berlin", "2026-10-23T12:00:00Z", 2)).toEqual([
    "2026-10-26T08:00Z",
    "2026-10-27T08:00Z",
  ]);
});

test("a time that is skipped falls on the next valid instant, several of them on it once", () => {
  expect(slotsFrom("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3)).toEqual([
    "2026-03-28T01:30Z",
    "2026-03-29T01:00Z",
    "2026-03-30T00:30Z",
  ]);
  expect(slotsFrom("*/20 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2)).toEqual([
    "2026-03-29T01:00Z",
    "2026-03-30T00:00Z",
  ]);
  expect(slotsFrom("0 * * * *", "America/New_York", "2026-03-08T05:30:00Z", 3)).toEqual([
    "2026-03-08T06:00Z",
    "2026-03-08T07:00Z",
    "2026-03-08T08:00Z",
  ]);
});

test("a time that is repeated is one slot: the first instant", () => {
  expect(slotsFrom("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2)).toEqual([
    "2026-10-25T00:30Z",
    "2026-10-26T01:30Z",
  ]);
  expect(slotsFrom("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2)).toEqual([
    "2026-11-01T05:30Z",
    "2026-11-02T06:30Z",
  ]);
  // Asked in the second of the two hours, the answer is behind them.
  expect(slotsFrom("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:15:00Z", 3)).toEqual([
    "2026-10-25T00:30Z",
    "2026-10-25T02:00Z",
    "2026-10-25T02:30Z",
  ]);
  expect(slotsFrom("30 2 * * *", "Europe/Berlin", "2026-10-25T01:15:00Z", 1)).toEqual([
    "2026-10-26T01:30Z",
  ]);
});

test("half-hour zones and zones without daylight saving", () => {
  expect(slotsFrom("0 0 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1)).toEqual([
    "2026-01-01T18:30Z",
  ]);
  expect(slotsFrom("0 0 29 2 *", "", "2026-01-01T00:00:00Z", 2)).toEqual([
    "2028-02-29T00:00Z",
    "2032-02-29T00:00Z",
  ]);
  // Half an hour is skipped on Lord Howe Island.
  expect(slotsFrom("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", 2)).toEqual([
    "2026-10-03T15:30Z",
    "2026-10-04T15:15Z",
  ]);
});

test("expressions and zones that there are not are refused; a date that never comes has no slot", () => {
  for (const [expression, tz] of [
    ["", ""],
    ["* * * *", ""],
    ["61 * * * *", ""],
    ["a b c d e", ""],
    ["* * * * *", "Nowhere/City"],
  ] as const) {
    expect(() => new Slots(expression, tz)).toThrow(InvalidCron);
  }
  expect(new Slots("0 0 31 2 *", "").after(0)).toBeNull();
});

const minutes = { after: (ms: number) => (Math.floor(ms / 60_000) + 1) * 60_000 };
const at = (minute: number, seconds = 0) => minute * 60_000 + seconds * 1_000;

test("a slot in time fires and the next one follows, however it catches up", () => {
  for (const catchUp of ["none", "one", "all"] as const) {
    expect(stepOf(minutes, catchUp, at(10), at(10, 5))).toEqual({
      fireMs: at(10),
      nextMs: at(11),
      missed: 0,
    });
  }
});

test("slots that passed: none fires the last one if it is recent, one fires it, all fires each", () => {
  expect(stepOf(minutes, "none", at(10), at(13, 5))).toEqual({
    fireMs: at(13),
    nextMs: at(14),
    missed: 3,
  });
  const hourly = { after: (ms: number) => ms + 3_600_000 };
  expect(stepOf(hourly, "none", at(0), at(150))).toEqual({
    fireMs: null,
    nextMs: at(180),
    missed: 3,
  });
  expect(stepOf(hourly, "one", at(0), at(150))).toEqual({
    fireMs: at(120),
    nextMs: at(180),
    missed: 2,
  });
  expect(stepOf(hourly, "all", at(0), at(150))).toEqual({
    fireMs: at(0),
    nextMs: at(60),
    missed: 0,
  });
});

test("very many slots that passed are left out in steps, and counted", () => {
  let stands: number | null = at(0);
  let missed = 0;
  let fired: number | null = null;
  for (let steps = 0; stands !== null && stands <= at(1_000, 5); steps++) {
    expect(steps).toBeLessThan(10);
    const step = stepOf(minutes, "one", stands, at(1_000, 5));
    missed += step.missed;
    stands = step.nextMs;
    if (step.fireMs !== null) fired = step.fireMs;
  }
  expect({ fired, missed, stands }).toEqual({ fired: at(1_000), missed: 1_000, stands: at(1_001) });
});
