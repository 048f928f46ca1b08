import { expect, test } from "bun:test";
import { SimClock } from "../tools/sim/sim-clock.ts";

test("events run by time, then in the order in which they were asked for", async () => {
  const clock = new SimClock();
  const ran: string[] = [];
  clock.after(5, () => ran.push("late"));
  clock.after(1, () => ran.push("first"));
  clock.after(1, () => ran.push("second"));
  const cancel = clock.after(2, () => ran.push("never"));
  clock.after(1, () => clock.defer(() => ran.push("deferred")));
  cancel();
  await clock.advance(4);
  expect(ran).toEqual(["first", "second", "deferred"]);
  await clock.advance(1);
  expect(ran).toEqual(["first", "second", "deferred", "late"]);
  expect(clock.step()).toBe(false);
});

test("time stands still between events and never goes back", async () => {
  const clock = new SimClock(1000);
  expect(Number(clock.now())).toBe(1000);
  await clock.advance(2.5);
  expect([Number(clock.now()), Number(clock.monotonic())]).toEqual([1002, 2500]);
  clock.skewMs = -500;
  expect([Number(clock.now()), Number(clock.monotonic())]).toEqual([502, 2500]);
});

test("many timers come out in order", () => {
  const clock = new SimClock();
  const ran: number[] = [];
  for (let i = 0; i < 500; i++) {
    const at = (i * 7919) % 503;
    clock.after(at, () => ran.push(at));
  }
  while (clock.step());
  expect(ran).toEqual(ran.toSorted((a, b) => a - b));
  expect(ran.length).toBe(500);
});
