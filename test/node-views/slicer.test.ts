import { expect, test } from "bun:test";
import type { Clock } from "../../src/env/clock.ts";
import type { Micros, Millis } from "../../src/lib/ids.ts";
import { Slicer } from "../../src/node/slicer.ts";

/** Time moves only where the test says so; what is asked for later is kept. */
class ManualClock implements Clock {
  us = 0;
  readonly calls: ("deferred" | number)[] = [];
  #pending: (() => void)[] = [];

  now(): Millis {
    return 0 as Millis;
  }
  monotonic(): Micros {
    return this.us as Micros;
  }
  after(delayMs: number, run: () => void): () => void {
    this.calls.push(delayMs);
    this.#pending.push(run);
    return () => undefined;
  }
  defer(run: () => void): void {
    this.calls.push("deferred");
    this.#pending.push(run);
  }
  /** One round of the loop. `requestsUs` pass before the callbacks run. */
  async round(requestsUs = 0): Promise<void> {
    this.us += requestsUs;
    for (const run of this.#pending.splice(0)) run();
    await Promise.resolve();
  }
}

test("workers get slices in turn, one in a round of the loop", async () => {
  const clock = new ManualClock();
  const slicer = new Slicer(clock);
  const order: string[] = [];
  for (const name of ["a", "b"]) {
    const work = async () => {
      for (let i = 0; i < 3; i++) {
        await slicer.turn();
        order.push(name);
      }
    };
    void work();
  }
  for (let i = 0; i < 12; i++) {
    await clock.round();
    expect(order.length).toBeLessThanOrEqual(i + 1);
  }
  expect(order.join("")).toBe("ababab");
});

test("a slice ends after half a millisecond", async () => {
  const clock = new ManualClock();
  const slicer = new Slicer(clock);
  void slicer.turn();
  await clock.round();
  expect(slicer.isOver).toBe(false);
  clock.us += 500;
  expect(slicer.isOver).toBe(true);
});

test("while requests keep the loop busy, they have it for a while after each slice", async () => {
  const clock = new ManualClock();
  const slicer = new Slicer(clock);
  let slices = 0;
  const work = async () => {
    for (;;) {
      await slicer.turn();
      slices++;
      clock.us += 500;
    }
  };
  void work();
  await clock.round(300);
  expect(slices).toBe(0);
  for (let i = 0; i < 3; i++) await clock.round(1_000);
  expect(slices).toBe(3);
  expect(clock.calls.slice(0, 4)).toEqual(["deferred", 1, 1, 1]);
  // Quiet again: the work has the loop for itself.
  for (let i = 0; i < 100; i++) await clock.round(i < 2 ? 1_000 : 0);
  expect(clock.calls.slice(-3)).toEqual(["deferred", "deferred", "deferred"]);
});

test("steps run within turns", async () => {
  const clock = new ManualClock();
  const slicer = new Slicer(clock);
  function* steps(): Generator<void, string> {
    for (let i = 0; i < 10; i++) {
      clock.us += 200;
      yield;
    }
    return "done";
  }
  const done = slicer.turn().then(() => slicer.run(steps()));
  for (let i = 0; i < 10; i++) {
    await clock.round();
    await Promise.resolve();
  }
  expect(await done).toBe("done");
  expect(clock.calls.filter((call) => call === "deferred").length).toBe(4);
});
