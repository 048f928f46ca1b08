/** The clock of the machine: delays that are longer than the runtime's timers take. */
import { expect, test } from "bun:test";
import { BunClock } from "../../src/env/bun-clock.ts";

const DAY_MS = 24 * 3_600_000;

test("a delay of many days does not run at once, and can be cancelled", async () => {
  const clock = new BunClock();
  const ran: string[] = [];
  const cancels = [25, 60, 366, Number.POSITIVE_INFINITY].map((days) =>
    clock.after(days * DAY_MS, () => ran.push(`${days} days`)),
  );
  // A timer that overflows runs after a millisecond, before this one.
  await new Promise<void>((resolve) => clock.after(20, resolve));
  expect(ran).toEqual([]);
  for (const cancel of cancels) cancel();
});
