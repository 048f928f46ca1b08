// Goal: the queue refuses requests when it is full, and never what the leader needs itself.
import { expect, test } from "bun:test";
import { tick } from "../../src/machine/tick.ts";
import { Commander } from "../../src/node/writes/commander.ts";
import type { Core } from "../../src/raft/core.ts";
import { commandQueue, noLevel } from "../tools/node/command-queue.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

test("housekeeping goes through a full queue, but not on a node that takes no writes", () => {
  const clock = new SimClock();
  const core = {} as Core;
  const { queue } = commandQueue(core, clock, { kind: "majority" }, 2);
  const commander = new Commander(queue, clock, noLevel);
  commander.housekeep(tick, {});
  expect(queue.queuedRequests).toBe(0);

  queue.setRefusal(null);
  while (queue.admit(10) === null) void commander.run(TICK);
  expect(queue.queuedRequests).toBe(2);
  commander.housekeep(tick, {});
  expect(queue.queuedRequests).toBe(3);
  expect(queue.admit(10)).toBe("overloaded");
});

const TICK = { kind: tick, fields: {}, bytes: 10, done: () => null };
