import { expect, test } from "bun:test";
import { Machine } from "../../src/machine/machine.ts";
import { Subscriptions, type SubscriptionsOptions } from "../../src/node/durable/subscriptions.ts";
import { recordsOf, StreamBench, subscriptionOf } from "../tools/durable/support.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

test("after a start, the pending streams of a subscription are found in slices, not at its first wake", () => {
  const bench = new StreamBench();
  const definition = { kind: "pull-wake", pattern: "**", webhookUrl: null } as const;
  for (const id of ["s", "t"]) bench.do(subscriptionOf(id, definition));
  for (let i = 0; i < 6_000; i++) bench.create(`x/${i}`, { records: recordsOf("x") });
  const snapshot = bench.machine.beginSnapshot().next(1e9) as Uint8Array;
  const machine = Machine.restore([snapshot]);
  const clock = new SimClock();
  const subscriptions = new Subscriptions({ machine, clock } as unknown as SubscriptionsOptions);
  const all = [...machine.parts.durable.subscriptions.values()];
  const lookedAt = () => all.map((each) => each.lookedAt);

  subscriptions.applied();
  expect(lookedAt()).toEqual([16, 0]);
  // Entries are applied while it goes on.
  subscriptions.applied();
  expect(lookedAt()).toEqual([16, 0]);
  let slices = 1;
  while (clock.step()) slices++;
  expect(slices).toBe(3);
  expect(all.map(({ pending }) => pending.size)).toEqual([6_000, 6_000]);
  expect(lookedAt()).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  subscriptions.applied();
  expect(clock.nextMs).toBeNull();
});
