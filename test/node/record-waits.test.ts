/** A thousand readers that wait cost one timer and one wake-up a burst, and none is forgotten. */
import { expect, test } from "bun:test";
import { RecordWaits } from "../../src/node/reads/record-waits.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

/** Counts what is asked of it. */
class CountingClock extends SimClock {
  timers = 0;
  wakeUps = 0;

  override after(delayMs: number, run: () => void): () => void {
    if (delayMs > 0) this.timers++;
    return super.after(delayMs, run);
  }

  override defer(run: () => void): void {
    this.wakeUps++;
    super.defer(run);
  }
}

const never = new AbortController().signal;

function start(timeoutsMs: readonly number[], signal = never) {
  const clock = new CountingClock();
  const waits = new RecordWaits(clock);
  const woken: number[] = [];
  const wait = (timeoutMs: number, index: number) =>
    waits.wait(5, timeoutMs, signal).then(() => {
      woken[index] = clock.elapsedMs;
    });
  timeoutsMs.forEach((timeoutMs, index) => {
    void wait(timeoutMs, index);
  });
  return { clock, waits, woken };
}
const thousand = (timeoutMs: (index: number) => number) =>
  Array.from({ length: 1000 }, (_, index) => timeoutMs(index));

test("a thousand that wait equally long have one timer, and one wake-up for a burst", async () => {
  const { clock, waits, woken } = start(thousand(() => 15_000));
  expect(clock.timers).toBe(1);
  await clock.advance(1000);
  let end = 5;
  for (end = 6; end < 20; end++) waits.appended(() => end);
  expect(clock.wakeUps).toBe(1);
  await clock.advance(1);
  expect(woken.length).toBe(1000);
  expect(waits.size).toBe(0);
  await clock.advance(20_000);
  expect(clock.nextMs).toBeNull();
});

test("a record before the offset wakes nobody", async () => {
  const { clock, waits, woken } = start([15_000]);
  waits.appended(() => 5);
  await clock.advance(10);
  expect(woken).toEqual([]);
  waits.appended(() => 6);
  await clock.advance(10);
  expect(woken.length).toBe(1);
});

test("each deadline is met, at most a look late, whatever the order of the deadlines", async () => {
  const timeouts = thousand((index) => 1 + ((index * 7919) % 1000));
  const { clock, woken } = start(timeouts);
  await clock.advance(1020);
  timeouts.forEach((timeoutMs, index) => {
    const at = woken[index] ?? Number.NaN;
    expect(at).toBeGreaterThanOrEqual(timeoutMs);
    expect(at).toBeLessThanOrEqual(timeoutMs + 11);
  });
  // A look every 10 ms, and a new timer for each that is earlier than all before it.
  expect(clock.timers).toBeLessThan(150);
});

test("the last of several that wait meets its deadline too", async () => {
  const { clock, waits, woken } = start([100, 500]);
  await clock.advance(600);
  expect(woken).toEqual([100, 500]);
  expect(waits.size).toBe(0);
  expect(clock.nextMs).toBeNull();
});

test("an abort wakes its own, also one that came before", async () => {
  const abort = new AbortController();
  const { clock, waits, woken } = start([15_000], abort.signal);
  void waits.wait(5, 20_000, never);
  abort.abort();
  await clock.advance(1);
  expect(woken.length).toBe(1);
  expect(waits.size).toBe(1);
  await waits.wait(5, 15_000, abort.signal);
  expect(waits.size).toBe(1);
});

test("at the end all are woken and no timer is left", async () => {
  const { clock, waits, woken } = start(thousand((index) => 1000 + index));
  waits.wakeAll();
  await clock.advance(0);
  expect(woken.length).toBe(1000);
  expect(clock.nextMs).toBeNull();
});
